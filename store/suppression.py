"""Suppression: the one list of numbers that must not be sent to, who put them on it, and why.

Asked at accept and once more inside claim, since a STOP may arrive while a message waits.  A number may have several
entries, one for each source and scope; each forbids sending for itself, and each is lifted by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import redis
import redis.asyncio

from threelane.contract import phone
from threelane.contract.refusal import Code, Refusal
from threelane.contract.schedule import DAY
from threelane.store import keys
from threelane.store.scripts import Item, script
from threelane.store.scripts import number as a_number

STOP = "STOP"
OPERATOR = "operator"
IMPORT = "import"
ALL = "all"
BATCH = 500
MOST_DAYS = 36_500
_SCOPE = re.compile(r"all|sender:[A-Za-z0-9 ._&-]{1,16}|tag:[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}")


class Added(Item, frozen=True):
    """A number and the JSON of an entry for it."""

    number: str
    entry: str


@script(__file__, a_number)
def _suppress(*, again: int, source: str, added: Sequence[Added]) -> None:
    """Put entries on the list; returns how many."""


@script(__file__, a_number)
def _lift(*, number: str, source: str, scope: str) -> None:
    """Take entries off the list; returns how many."""


@script(__file__, a_number)
def _forget(*, number: str, entries: str) -> None:
    """Take a number off the list if its entries are still these; returns 1, or 0."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a number must not be sent to; times are milliseconds of Unix time.

    ``source`` is STOP, ``code 122`` (and other codes of the gateway), import or operator.  ``scope`` is all,
    ``sender:<sender ID>`` or ``tag:<tag>``.  It is in force once it was given ``needs`` times, until ``expires``
    (0: for ever).
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
        """Tell whether it is in force."""
        return self.times >= self.needs and not 0 < self.expires <= now


def by_hand(scope: str, evidence: str, days: float, now: int) -> Entry:
    """Return the entry of an operator, from ``now`` (ms) on for ``days``, 0: for ever."""
    expires = now + int(days * DAY) if days else 0
    return Entry(source=OPERATOR, scope=scope, evidence=evidence, first=now, last=now, expires=expires)


class Suppressed(NamedTuple):
    """A number and what stands against it."""

    number: str
    entries: Sequence[Entry]


def parse_number(raw: str) -> str:
    """Return the number as it stands on the list; raises ValueError with what is wrong."""
    number = phone.parse(raw, "number")
    if isinstance(number, Refusal):
        raise ValueError(f"{number.problem}; {number.remedy}")
    return str(number)


def parse_scope(raw: str) -> str:
    """Return a scope; raises ValueError with what would be right."""
    if not _SCOPE.fullmatch(raw):
        raise ValueError(f"{raw!r} is no scope; write all, sender:<sender ID> or tag:<tag>")
    return raw


def add(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> None:
    """Put entries on the list; one that is there already is counted once more and gets the new evidence."""
    _put(client, numbers, again=1, source="")


def take_over(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> None:
    """Put entries of another list on this one; to take the same ones over twice changes nothing."""
    _put(client, numbers, again=0, source=IMPORT)


def lift(client: redis.Redis, number: str, source: str = "", scope: str = "") -> int:
    """Take entries off a number, of one source and scope or of any; returns how many."""
    return _lift(client, number=number, source=source, scope=scope)


def encode(entry: Entry) -> bytes:
    """Return an entry as the scripts take it: with all that they compare."""
    return msgspec.json.encode(msgspec.structs.asdict(entry))


def why(client: redis.Redis, number: str) -> Sequence[Entry]:
    """Return what stands against a number, in force or not."""
    found = client.hget(keys.SUPPRESSED, number)
    return msgspec.json.decode(found, type=list[Entry]) if found else ()


def every(client: redis.Redis) -> Iterator[Suppressed]:
    """Return the whole list, in no order, a few hundred at a time."""
    for number, found in client.hscan_iter(keys.SUPPRESSED, count=BATCH):
        yield Suppressed(number.decode(), msgspec.json.decode(found, type=list[Entry]))


async def forget_over(client: redis.asyncio.Redis, before: int) -> None:
    """Take numbers off the list whose entries all ended before a time (ms)."""
    async for number, found in client.hscan_iter(keys.SUPPRESSED, count=BATCH):
        entries = msgspec.json.decode(found, type=list[Entry])
        if all(0 < one.expires <= before for one in entries):
            await _forget.run(client, number=number.decode(), entries=found.decode())


def _put(client: redis.Redis, numbers: Sequence[tuple[str, Entry]], *, again: int, source: str) -> None:
    for start in range(0, len(numbers), BATCH):
        added = [Added(number, encode(entry).decode()) for number, entry in numbers[start : start + BATCH]]
        _suppress(client, again=again, source=source, added=added)
