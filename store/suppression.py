"""Suppression: the list of numbers that must not be sent to, with the source and the reason of each entry.

It is checked at accept and again by the claim script, since a STOP may arrive while a message waits.  A number may have
several entries, one for each source and scope; each forbids sending and is lifted independently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from threelane.contract import phone
from threelane.contract.refusal import Code, Refusal
from threelane.contract.schedule import DAY
from threelane.store import keys, rows
from threelane.store.scripts import Item, script
from threelane.store.scripts import number as to_number

STOP = "STOP"
OPERATOR = "operator"
IMPORT = "import"
DAMAGED = "unreadable"
ALL = "all"
BATCH = 500
MOST_DAYS = 36_500
_CODE = re.compile(r"code [0-9]{1,3}")
_SCOPE = re.compile(r"all|sender:[A-Za-z0-9 ._&-]{1,16}|tag:[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}")


class Added(Item, frozen=True):
    """A number and the JSON of an entry for it."""

    number: str
    entry: str


@script(__file__, to_number)
def _suppress(*, again: int, source: str, added: Sequence[Added]) -> None:
    """Add entries; returns how many."""


@script(__file__, to_number)
def _lift(*, number: str, source: str, scope: str) -> None:
    """Remove entries; returns how many."""


@script(__file__, to_number)
def _forget(*, number: str, entries: str) -> None:
    """Remove a number unless its entries changed; returns 1 or 0."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a number must not be sent to; times are Unix time in milliseconds.

    ``source`` is STOP, ``code 122`` (and other codes of the gateway), import or operator.  ``scope`` is all,
    ``sender:<sender ID>`` or ``tag:<tag>``.  It is in force after ``needs`` occurrences, until ``expires`` (0: no
    end).
    """

    source: str
    code: str = Code.OPTED_OUT.value
    scope: str = ALL
    evidence: str = ""
    first: int = 0
    last: int = 0
    expires: int = 0
    times: int = 1
    needs: int = 1

    def forbids(self, now: int) -> bool:
        """Return whether it is in force."""
        return self.times >= self.needs and not 0 < self.expires <= now


UNREADABLE = Entry(source=DAMAGED, evidence="the row of this number is damaged, so nothing is sent to it")
"""Stands for an unreadable row; the same as in suppression.lua."""
_read = msgspec.json.Decoder(list[Entry]).decode


def read_row(row: bytes) -> list[Entry]:
    """Return the entries in a row; raises ValueError for one that the scripts cannot compare with."""
    found = _read(row)
    for one in found:
        if any(abs(value) >= rows.MOST_EXACT for value in (one.first, one.last, one.expires, one.times, one.needs)):
            raise ValueError(one.source)
    return found


def decode(number: bytes | str, entries: bytes) -> Sequence[Entry]:
    """Return the entries in a row; an unreadable one has one entry, which forbids."""
    masked = phone.mask(rows.text(number) if isinstance(number, bytes) else number)
    found = rows.decode(keys.SUPPRESSED, masked, entries, read_row)
    return (UNREADABLE,) if found is None else found


def without_evidence(entry: Entry) -> Entry:
    """Return an entry as a reader without the right ``evidence`` sees it: the kind of source, and no free text."""
    kind = entry.source if entry.source in (STOP, OPERATOR, DAMAGED) or _CODE.fullmatch(entry.source) else IMPORT
    return msgspec.structs.replace(entry, source=kind, evidence="")


def by_hand(scope: str, evidence: str, days: float, now: int) -> Entry:
    """Return an operator's entry, from ``now`` (ms) on for ``days``, 0: no end."""
    expires = now + int(days * DAY) if days else 0
    return Entry(source=OPERATOR, scope=scope, evidence=evidence, first=now, last=now, expires=expires)


class Suppressed(NamedTuple):
    """A number and its entries."""

    number: str
    entries: Sequence[Entry]


def parse_number(raw: str) -> str:
    """Return a number as the list has it; raises ValueError with problem and fix."""
    number = phone.parse(raw, "number")
    if isinstance(number, Refusal):
        raise ValueError(f"{number.problem}; {number.remedy}")
    return str(number)


def parse_scope(raw: str) -> str:
    """Return a scope; raises ValueError with the correct form."""
    if not _SCOPE.fullmatch(raw):
        raise ValueError(f"{raw!r} is not a scope; write all, sender:<sender ID> or tag:<tag>")
    return raw


def add(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> None:
    """Add entries; an existing entry counts one more occurrence and gets the new evidence."""
    _put(client, numbers, again=1, source="")


def take_over(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> None:
    """Import entries of another list; repeating an import changes nothing."""
    _put(client, numbers, again=0, source=IMPORT)


def lift(client: redis.Redis, number: str, source: str = "", scope: str = "") -> int:
    """Remove the entries of a number, of one source and scope or of any; returns how many."""
    return _lift(client, number=number, source=source, scope=scope)


def encode(entry: Entry) -> bytes:
    """Return an entry for the scripts, with all fields that they compare."""
    return msgspec.json.encode(msgspec.structs.asdict(entry))


def why(client: redis.Redis, number: str) -> Sequence[Entry]:
    """Return the entries of a number, in force or not."""
    found = rows.unless_damaged(keys.SUPPRESSED, lambda: client.hget(keys.SUPPRESSED, number), b"")
    return () if found is None else decode(number, found)


def every(client: redis.Redis) -> Iterator[Suppressed]:
    """Yield the whole list, unordered, read a few hundred at a time."""
    try:
        for number, found in client.hscan_iter(keys.SUPPRESSED, count=BATCH):
            yield Suppressed(rows.text(number), decode(number, found))
    except ResponseError as failed:
        rows.known(keys.SUPPRESSED, failed, None)


async def forget_over(client: redis.asyncio.Redis, before: int) -> None:
    """Remove the numbers whose entries all expired before a time (ms); a name that is no text stays for the doctor."""
    try:
        async for number, found in client.hscan_iter(keys.SUPPRESSED, count=BATCH):
            if all(0 < one.expires <= before for one in decode(number, found)) and rows.is_text(number):
                await _forget.run(client, number=number.decode(), entries=found.decode())
    except ResponseError as failed:
        rows.known(keys.SUPPRESSED, failed, None)


def _put(client: redis.Redis, numbers: Sequence[tuple[str, Entry]], *, again: int, source: str) -> None:
    for start in range(0, len(numbers), BATCH):
        added = [Added(number, encode(entry).decode()) for number, entry in numbers[start : start + BATCH]]
        _suppress(client, again=again, source=source, added=added)
