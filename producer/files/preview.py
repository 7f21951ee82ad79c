"""Preview: the first messages of a file as handsets will show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from threelane.contract import message
from threelane.contract.refusal import Refusal
from threelane.contract.text import GSM_7, Alphabet
from threelane.contract.wording import Wording
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


Words = Callable[[Mapping[str, Any]], Wording]  # of a row: the templates and opt-out lines that it may need


def first_messages(rows: Iterable[FileRow], now: int, words: Words, alphabet: Alphabet = GSM_7) -> list[Shown]:
    """Return the first messages that the rows make."""
    return list(islice(_messages(rows, now, words, alphabet), ROWS))


def _messages(rows: Iterable[FileRow], now: int, words: Words, alphabet: Alphabet) -> Iterator[Shown]:
    for row in rows:
        if isinstance(row.content, Refusal):
            continue
        draft = message.parse(row.content, now, wording=words(row.content), alphabet=alphabet)
        if isinstance(draft, Refusal):
            continue
        sms = draft.message
        text = sms.text or f"(binary, {len(sms.binary) // 2} octets)"
        yield Shown(row.number, f"+{sms.to}", sms.sender, text, sms.parts, sms.encoding)
