"""Suppression: the list of numbers that must not be sent to, with the source and the reason of each entry.

It is checked at accept and again by the claim script, since a STOP may arrive while a message waits.  A number may have
several entries, one for each source and scope; each forbids sending and is lifted independently.

The entries of a person are under the present spelling of the number; those under a former one, of earlier versions,
forbid as well until ``respell`` moves them.  A new entry is copied to the former spellings for a week, since workers of
earlier versions look only for the spelling that a message has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from threelane.contract import phone, senders
from threelane.contract.fields import LABEL
from threelane.contract.reading import INTERNATIONAL, Reading
from threelane.contract.refusal import Code, Refusal
from threelane.contract.reply_address import senders_of
from threelane.contract.schedule import DAY
from threelane.contract.subscriber import spellings, subscriber
from threelane.store import keys, rows
from threelane.store.scripts import Item, script
from threelane.store.scripts import number as to_number

STOP = "STOP"
OPERATOR = "operator"
IMPORT = "import"
DAMAGED = "unreadable"
ALL = "all"
BATCH = 500
_MISSPELT = "misspelt"  # the field of the last hourly count
MOST_DAYS = 36_500
_CODE = re.compile(r"code [0-9]{1,3}")
_FORMER_SCOPE = re.compile(r"all|sender:[A-Za-z0-9 ._&-]{1,16}|tag:[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}")
FORMS = "all, sender:<sender ID>, tag:<tag>, lanes:2,3 or number:<our number>"
"""The scopes of an entry, for messages to people."""
CONFIRMATION = "@stop-confirmation"
"""The producer of the confirmations of a STOP, a name that no producer can have; the same as in suppression.lua."""


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


class Respelt(StrEnum):
    """What became of a row under a former spelling."""

    MOVED = "moved"
    MERGED = "merged"  # into the entries under the present spelling
    GONE = "gone"
    UNREADABLE = "unreadable"  # it, or the row under the present spelling


def _respelt(reply: bytes) -> Respelt:
    return Respelt(reply.decode())


@script(__file__, _respelt, [Respelt])
def _respell(*, number: str) -> None:
    """Move a row to the present spelling; returns a Respelt."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a number must not be sent to; times are Unix time in milliseconds.

    ``source`` is STOP, ``code 122`` (and other codes of the gateway), import or operator.  ``scope`` is all,
    ``sender:<sender ID>``, ``tag:<tag>``, ``lanes:<lanes>`` or ``number:<our number>`` (messages of this sender, and
    those without one).  It is in force after ``needs`` occurrences, until ``expires`` (0: no end).
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

    def covers(self, sender: str, tags: Sequence[str], lane: int) -> bool:
        """Return whether its scope has a message, as suppression.lua does: an unknown scope has all."""
        kind, _, name = (part.strip() for part in self.scope.lower().partition(":"))
        match kind:
            case "sender":
                return name == sender.lower()
            case "number":
                return not sender or subscriber(sender.lower()) == subscriber(name)
            case "tag":
                return name in (tag.lower() for tag in tags)
            case "lanes":
                return str(lane) in name.split(",")
        return True


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


def parse_number(raw: str, reading: Reading = INTERNATIONAL) -> str:
    """Return a number as the list has it; raises ValueError with problem and fix."""
    number = phone.parse(raw, "number", reading)
    if isinstance(number, Refusal):
        raise ValueError(f"{number.problem}; {number.remedy}")
    return str(number)


def parse_scope(raw: str) -> str:
    """Return a scope in its normal form; raises ValueError, with the correct form, for one that can match nothing."""
    kind, _, name = (part.strip() for part in raw.partition(":"))
    match kind.lower():
        case "all" if not name:
            return ALL
        case "sender" if name:
            return f"sender:{_sender(raw, name)}"
        case "number" if name:
            return f"number:{senders_of(_sender(raw, name))[0]}"
        case "tag" if LABEL.fullmatch(name):
            return f"tag:{name}"
        case "lanes":
            return _lanes(raw, name)
    raise ValueError(f"{raw!r} is not a scope; write {FORMS}")


def parse_stored_scope(raw: str) -> str:
    """Return the scope of an entry to remove, which an earlier version may have stored in another form."""
    return raw.strip() if _FORMER_SCOPE.fullmatch(raw.strip()) else parse_scope(raw)


def _sender(raw: str, name: str) -> str:
    sender = senders.parse_former(name, "scope")
    if isinstance(sender, Refusal):
        raise ValueError(f"{raw!r} matches no message: {sender.problem}; {sender.remedy}")
    return str(sender)


def _lanes(raw: str, name: str) -> str:
    lanes = sorted({one.strip() for one in name.split(",")})
    if not set(lanes) <= {"1", "2", "3"}:
        raise ValueError(f"{raw!r} has another lane than 1, 2 and 3; write lanes:2,3 or another choice of them")
    return f"lanes:{','.join(lanes)}" if len(lanes) < len(keys.LANES) else ALL


def add(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> None:
    """Add entries; an existing entry counts one more occurrence and gets the new evidence."""
    _put(client, numbers, again=1, source="")


def take_over(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> None:
    """Import entries of another list; repeating an import changes nothing."""
    _put(client, numbers, again=0, source=IMPORT)


def known(client: redis.Redis, numbers: Sequence[tuple[str, Entry]]) -> int:
    """Return how many of these entries the list has already, with the same source and scope, or earlier among them."""
    spelled = [spelling for number, _ in numbers for spelling in spellings(number)]
    if not spelled:
        return 0
    nothing: list[bytes | None] = [None] * len(spelled)
    found = rows.unless_damaged(keys.SUPPRESSED, lambda: client.hmget(keys.SUPPRESSED, spelled), nothing)
    seen = {
        (subscriber(spelling), one.source, one.scope)
        for spelling, row in zip(spelled, found, strict=True)
        if row is not None
        for one in decode(spelling, row)
    }
    fresh = {(subscriber(number), one.source, one.scope) for number, one in numbers} - seen
    return len(numbers) - len(fresh)


def lift(client: redis.Redis, number: str, source: str = "", scope: str = "") -> int:
    """Remove the entries of a number, of one source and scope or of any; returns how many."""
    return _lift(client, number=number, source=source, scope=scope)


def encode(entry: Entry) -> bytes:
    """Return an entry for the scripts, with all fields that they compare."""
    return msgspec.json.encode(msgspec.structs.asdict(entry))


def why(client: redis.Redis, number: str) -> Sequence[Entry]:
    """Return the entries of the person whom a number reaches, in force or not."""
    spelled = spellings(number)
    found: Any = rows.unless_damaged(keys.SUPPRESSED, lambda: client.hmget(keys.SUPPRESSED, spelled), [b""])
    return joined(spelled, found)


def joined(spelled: Sequence[str], found: Sequence[bytes | None]) -> Sequence[Entry]:
    """Return the entries in the rows of a person, by the spellings; of those with one source and scope, the longest."""
    entries: dict[tuple[str, str], Entry] = {}
    for number, row in zip(spelled, found, strict=False):
        for one in decode(number, row) if row is not None else ():
            known = entries.get(_kind(one))
            if known is None or _outlasts(one, known):
                entries[_kind(one)] = one
    return [*entries.values()]


def _kind(entry: Entry) -> tuple[str, str]:
    """Return the source and the scope by which entries are merged, as suppression.lua does."""
    kind, colon, name = entry.scope.lower().partition(":")
    return entry.source, f"{kind.rstrip()}{colon}{name.lstrip()}"


def _outlasts(entry: Entry, known: Entry) -> bool:
    """Return whether an entry forbids and another of its kind does not, or ends earlier; a copy never does."""

    def strength(one: Entry) -> tuple[bool, float]:
        return one.times >= one.needs, one.expires or math.inf

    return strength(entry) > strength(known)


def every(client: redis.Redis) -> Iterator[Suppressed]:
    """Yield the whole list, unordered, read a few hundred at a time."""
    try:
        found = client.hscan_iter(keys.SUPPRESSED, count=BATCH)
        while page := list(islice(found, BATCH)):
            yield from people(client, page)
    except ResponseError as failed:
        rows.known(keys.SUPPRESSED, failed, None)


def people(client: redis.Redis, page: Iterable[tuple[bytes, bytes]]) -> Iterator[Suppressed]:
    """Yield the people in some rows, once each: with the entries of all spellings, at the first row of them."""
    listed = [(rows.text(name), row) for name, row in page]
    several = {number: spelled for number, _ in listed if len(spelled := spellings(number)) > 1}
    wanted = [one for spelled in several.values() for one in spelled]
    known: Any = dict(zip(wanted, client.hmget(keys.SUPPRESSED, wanted) if wanted else (), strict=True))
    for number, row in listed:
        spelled = several.get(number, (number,))
        if len(spelled) == 1:
            yield Suppressed(number, decode(number, row))
        elif number == next((one for one in spelled if known[one] is not None), None):
            yield Suppressed(subscriber(number), joined(spelled, [known[one] for one in spelled]))


def _with_present(
    client: redis.Redis, former: dict[str, Sequence[Entry]]
) -> Iterator[tuple[str, Sequence[Entry], Sequence[Entry]]]:
    """Yield each number, its entries, and those under its present spelling."""
    if not former:
        return
    present: Any = client.hmget(keys.SUPPRESSED, [subscriber(number) for number in former])
    for (number, entries), row in zip(former.items(), present, strict=True):
        yield number, entries, decode(subscriber(number), row) if row is not None else ()


def misspelt(client: redis.Redis) -> Iterator[tuple[str, bool]]:
    """Yield the numbers that are listed under a former spelling, and whether the present one has entries already.

    Rows of copies, which expire on their own, are left out.
    """
    try:
        scan = client.hscan_iter(keys.SUPPRESSED, count=BATCH)
        while page := list(islice(scan, BATCH)):
            texts = ((rows.text(name), found) for name, found in page)
            former = {number: decode(number, found) for number, found in texts if subscriber(number) != number}
            for number, entries, present in _with_present(client, former):
                if _adds(present, entries) or any(not one.expires for one in entries):
                    yield number, bool(present)
    except ResponseError as failed:
        rows.known(keys.SUPPRESSED, failed, None)


def _adds(present: Sequence[Entry], former: Sequence[Entry]) -> bool:
    """Return whether an entry under a former spelling forbids more than those under the present one."""
    known = {_kind(one): one for one in present}
    return any((had := known.get(_kind(one))) is None or _outlasts(one, had) for one in former)


def respell(client: redis.Redis, number: str) -> Respelt:
    """Move the entries of a number to its present spelling, in one step; repeating it changes nothing."""
    return _respell(client, number=number)


async def forget_over(client: redis.asyncio.Redis, before: int) -> int:
    """Remove the numbers whose entries all expired before a time (ms); a name that is no text stays for the doctor.

    Returns how many numbers have entries without an end under a former spelling, and stores it: ``misspelt_count``.
    """
    misspelt = 0
    try:
        async for number, found in client.hscan_iter(keys.SUPPRESSED, count=BATCH):
            name = rows.text(number)
            misspelt += subscriber(name) != name and any(not one.expires for one in decode(number, found))
            if all(0 < one.expires <= before for one in decode(number, found)) and rows.is_text(number):
                await _forget.run(client, number=number.decode(), entries=found.decode())
    except ResponseError as failed:
        rows.known(keys.SUPPRESSED, failed, None)
    await rows.unless_damaged_async(keys.SWEEP, client.hset(keys.SWEEP, _MISSPELT, misspelt))
    return misspelt


def note_misspelt(client: redis.Redis, numbers: int) -> None:
    """Store how many numbers a migration left under a former spelling."""
    rows.unless_damaged(keys.SWEEP, lambda: client.hset(keys.SWEEP, _MISSPELT, numbers), 0)


def misspelt_count(client: redis.Redis) -> int:
    """Return how many numbers were listed under a former spelling an hour ago or less, without reading the list."""
    found: Any = rows.unless_damaged(keys.SWEEP, lambda: client.hget(keys.SWEEP, _MISSPELT), None)
    return rows.number(found) if found else 0


def _put(client: redis.Redis, numbers: Sequence[tuple[str, Entry]], *, again: int, source: str) -> None:
    for start in range(0, len(numbers), BATCH):
        added = [Added(number, encode(entry).decode()) for number, entry in numbers[start : start + BATCH]]
        _suppress(client, again=again, source=source, added=added)
