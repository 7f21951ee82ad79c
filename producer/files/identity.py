"""Identity: a row of a job is known by its content, wherever it stands in the file.

The content is the recipient, the sender and the text after the placeholders are filled in; of two equal rows the second
is the second occurrence.  So a file can be sorted, edited and exported again, and each row keeps its client message id.
Options such as the lane are not part of it.
"""

from __future__ import annotations

import unicodedata
from base64 import b32encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from threelane.contract import words
from threelane.contract.fields import BY_SPELLING
from threelane.contract.message_id import both
from threelane.contract.refusal import Refusal
from threelane.contract.subscriber import subscriber
from threelane.contract.text import composed
from threelane.producer.files.bulk import FileRow, Identity

_READ = frozenset({
    "text", "sender", "udh", "binary", "data", "type", "batch", "producer", "client_message_id", "template", "values",
})  # fmt: skip
CONTENT = ("text", "udh", "binary")
"""What a message says, besides its recipient and sender."""


def default_name(file: Path) -> str:
    """Return the default name of a job: that of its file, as it is."""
    return unicodedata.normalize("NFC", file.name)


class Occurrences:
    """Counts how many times a content has occurred before; a new one takes about a hundred octets of memory."""

    def __init__(self) -> None:
        """Begin a file."""
        self._seen: set[bytes] = set()
        self._again: dict[bytes, int] = {}

    def count(self, content: bytes) -> int:
        """Return how many times a content occurred before this time."""
        if content not in self._seen:
            self._seen.add(content)
            return 0
        self._again[content] = times = self._again.get(content, 0) + 1
        return times


def identified(rows: Iterable[FileRow], job: str, producer: str) -> Iterator[FileRow]:
    """Give each row its batch, its client message id and its identity; a row of no batch stays without.

    ``producer`` is the one of rows that name none.  A row with a client message id of its own keeps it.
    """
    occurrences = Occurrences()
    for row in rows:
        yield row if isinstance(row.content, Refusal) else _identified(row, row.content, job, producer, occurrences)


def _identified(row: FileRow, content: Mapping[str, Any], job: str, producer: str, occurrences: Occurrences) -> FileRow:
    given = _parsed(content)
    if isinstance(given, Refusal):
        return row._replace(content=given)
    batch = given.get("batch", job)
    if not batch or not isinstance(content.get("to"), str):
        return row
    name, to = given.get("producer", producer), subscriber(content["to"].removeprefix("+"))
    own = given.get("client_message_id")
    more: dict[str, Any] = {} if "batch" in given else {"batch": batch}
    key, times = b"", 0
    if own is None:
        key = content_key(batch, to, given)
        times = occurrences.count(key)
        own = more["client_message_id"] = row_id(key, times)
        if times:
            more["repeat"] = 1  # a second one on purpose: the limit of the same text does not apply
    identity = Identity(*both(name, own), batch, name, to, key, times)
    return row._replace(content={**content, **more}, identity=identity)


def _parsed(content: Mapping[str, Any]) -> dict[str, Any] | Refusal:
    """Return the fields that make an identity, by Threelane's names, or the refusal of an invalid one."""
    given: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for spelling, value in content.items():
        field = BY_SPELLING.get(spelling)
        if field is None or field.name not in _READ or value is None:
            continue
        parsed = field.parse(value, spelling)
        if isinstance(parsed, Refusal):
            return parsed
        given[field.name], spelt[field.name] = parsed, spelling
    return words.settle(given, spelt) or given


def content_key(batch: str, to: str, given: Mapping[str, Any]) -> bytes:
    """Return what the occurrences of a row in a batch have in common, in 10 octets; ``given`` are parsed fields."""
    text, *others = (str(given.get(name, "")) for name in CONTENT)
    parts = [batch, to, str(given.get("sender", "")), composed(text), *others]
    if "template" in given:
        parts += str(given["template"]), repr(given.get("values", {}))
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=10).digest()


def row_id(content: bytes, times: int) -> str:
    """Return the client message id of a row: 16 letters and digits, short to save memory in Redis."""
    return b32encode(blake2b(content + times.to_bytes(4), digest_size=10).digest()).decode()
