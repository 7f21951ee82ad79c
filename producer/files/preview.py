"""Preview: the first messages of a file as handsets will show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.producer.files.row import FileRow

ROWS = 3


class Shown(NamedTuple):
    """A message as it will arrive: its row, number, sender, text and parts."""

    row: int
    to: str
    sender: str
    text: str
    parts: int
    encoding: str


Preview = Callable[[Mapping[str, Any]], Draft | Refusal]  # of a row: the message that it makes, which is not sent


def first_messages(rows: Iterable[FileRow], preview: Preview) -> list[Shown]:
    """Return the first messages that the rows make."""
    return list(islice(_messages(rows, preview), ROWS))


def _messages(rows: Iterable[FileRow], preview: Preview) -> Iterator[Shown]:
    for row in rows:
        if isinstance(row.content, Refusal):
            continue
        draft = preview(row.content)
        if isinstance(draft, Refusal):
            continue
        sms = draft.message
        text = sms.text or f"(binary, {len(sms.binary) // 2} octets)"
        yield Shown(row.number, f"+{sms.to}", sms.sender, text, sms.parts, sms.encoding)
