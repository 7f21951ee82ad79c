"""Limits: how many messages are accepted for a person, a prefix, a country and of a producer.

The accept script checks them all before it counts a message, so a refused message uses up nothing; a message that was
accepted and is cancelled later stays counted.  The limits of a person look back from each message; those of a prefix,
a country and a producer count in minutes, hours and days of UTC.  A message counts when it is accepted, whatever its
delivery time; a deferred one counts in the period in which it is sent.

A damaged row counts as absent: a default applies in its place, and no damage stops a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

import msgspec
import redis

from threelane.contract import zones
from threelane.contract.fields import LABEL
from threelane.contract.subscriber import subscriber
from threelane.store import audit, keys, rows

KIND = "limit"
"""What the audit log calls these changes."""
PERSON, TEXT, NEIGHBOURS = "recipient", "same-text", "neighbours"
SHARED = ("prefix", "country", "producer")
"""The kinds of limits that many recipients share."""
PERIODS: Mapping[str, int] = MappingProxyType({"minute": 60, "hour": 3_600, "day": 86_400})
"""The length of each period, in seconds."""
OFF = "off"
REFUSE, DEFER, ALARM, HOLD = "refuse", "defer", "alarm", "hold"
LANE_1, ALL_LANES = "1", "all"
OF_PRODUCER = "@"
MOST = 200  # rows: accept reads all of them in each call
MOST_OF_PERSON = 1_000  # messages: the times of that many are kept for each person
MOST_SECONDS = 3_600  # for the same text
MOST_COUNT = 10**9
HELD_MS = 3_600_000
"""How long a block of a thousand numbers is on hold, after which a run that goes on holds it again."""
MOST_HELD = 50
"""Blocks of numbers on hold at a time: each claim reads all holds."""
_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
_COUNTRY = re.compile(r"[A-Z]{2}")


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit: ``count`` messages, or seconds for the same text, or neighbouring numbers.

    ``over``: what to do with messages over it.  ``defer`` sends a message in the next period, if that has room and the
    message is still valid then.  ``lanes`` is ``1`` if a person's messages of the other lanes do not count.
    """

    count: int
    over: str = REFUSE
    lanes: str = ALL_LANES
    off: bool = False


class Name(msgspec.Struct, frozen=True):
    """What a limit concerns; ``producer`` is the one whose messages it applies to, in place of the general limit."""

    kind: str
    of: str = ""  # the digits, the country or the producer that is limited
    period: str = ""
    producer: str = ""

    @property
    def scope(self) -> str:
        """The scope, as on the command line."""
        return f"{self.kind}:{self.of}" if self.of else self.kind

    def __str__(self) -> str:
        """Return the name of the row."""
        name = f"{self.scope}:{self.period}" if self.period else self.scope
        return f"{name}{OF_PRODUCER}{self.producer}" if self.producer else name


class Allowed(msgspec.Struct, frozen=True):
    """What the limits of a kind may be: from ``least`` to ``most`` units, and what to do with messages over it."""

    least: int
    most: int
    unit: str
    over: tuple[str, ...] = (REFUSE, DEFER)


KINDS: Mapping[str, Allowed] = MappingProxyType(
    {
        TEXT: Allowed(1, MOST_SECONDS, "seconds", (REFUSE,)),
        NEIGHBOURS: Allowed(5, 100, "numbers", (ALARM, HOLD)),
        PERSON: Allowed(1, MOST_OF_PERSON, "messages"),
        **dict.fromkeys(SHARED, Allowed(1, MOST_COUNT, "messages")),
    }
)
"""The kinds of limits; the script knows them, too, and reads no row that cannot be set."""
DEFAULTS: Mapping[str, Limit] = MappingProxyType(
    {f"{PERSON}:hour": Limit(10, lanes=LANE_1), TEXT: Limit(10), NEIGHBOURS: Limit(10, ALARM)}
)
"""The limits in force until an operator sets others."""
_read = msgspec.json.Decoder(Limit).decode


class InvalidLimit(ValueError):
    """A limit that cannot be set; the text has the field, what is wrong and the right form."""


def read_row(name: str, row: bytes) -> Limit:
    """Return a stored limit; raises ValueError for one that cannot be set, which the script does not apply either."""
    found = _read(row)
    if not 0 <= found.count < rows.MOST_EXACT:
        raise ValueError(found.count)
    check(name_of(name), found)
    return found


def check_row(name: bytes, row: bytes) -> None:
    """Raise ValueError for a row that does not apply."""
    read_row(name.decode(), row)


def parse_name(scope: str, period: str = "", producer: str = "") -> Name:
    """Return what a limit concerns; raises InvalidLimit."""
    kind, _, of = scope.strip().partition(":")
    if producer and not LABEL.fullmatch(producer):
        raise InvalidLimit(f"producer: {producer!r} is not a producer name, as in --producer shop")
    if kind in (TEXT, NEIGHBOURS) and not of:
        if period:
            raise InvalidLimit(f"period: {kind} has none; write threelane limits set {kind} 10")
        return Name(kind, producer=producer)
    _check_of(kind, of, scope)
    if period not in PERIODS:
        raise InvalidLimit(f"period: {period!r} is not minute, hour or day, as in {scope} hour 10")
    if producer and kind != PERSON:
        raise InvalidLimit(f"producer: a limit of {kind} counts the messages of all producers: leave out --producer")
    return Name(kind, of, period, producer)


def _check_of(kind: str, of: str, scope: str) -> None:
    forms: dict[str, re.Pattern[str]] = {"prefix": _PREFIX, "country": _COUNTRY, "producer": LABEL}
    if kind == PERSON and not of:
        return
    if kind == PERSON:
        raise InvalidLimit(f"scope: {scope!r}: one limit applies to every recipient; write recipient")
    if kind not in forms:
        others = "recipient, same-text, neighbours, prefix:370, country:LT or producer:NAME"
        raise InvalidLimit(f"scope: {scope!r} is unknown; write {others}")
    if not forms[kind].fullmatch(of):
        right = {
            "prefix": "prefix:370, digits with the country code and without +",
            "country": "country:LT, a country code of two capital letters",
            "producer": "producer:NAME",
        }[kind]
        raise InvalidLimit(f"scope: {scope!r} is invalid; write {right}")
    if kind == "country" and of not in zones.COUNTRIES:
        raise InvalidLimit(f"scope: {of} is no country with phone numbers; write country:LT")


def check(name: Name, limit: Limit) -> None:
    """Raise InvalidLimit for a limit that cannot apply."""
    if limit.off:
        return
    allowed = KINDS[name.kind]
    if limit.count == 0:
        raise InvalidLimit(
            "number: 0 is not a limit; off switches it off, remove restores the default, "
            "and threelane hold stops a prefix or a lane"
        )
    if not allowed.least <= limit.count <= allowed.most:
        possible = f"{allowed.least} to {allowed.most:,} {allowed.unit}"
        raise InvalidLimit(f"number: {limit.count:,} is not possible for {name.kind}; give {possible}")
    if limit.over not in allowed.over:
        raise InvalidLimit(f"over: {limit.over!r} is not possible for {name.kind}; give {' or '.join(allowed.over)}")
    if limit.lanes not in (LANE_1, ALL_LANES):
        raise InvalidLimit(f"lanes: {limit.lanes!r} is unknown; give 1 or all")
    if limit.lanes == LANE_1 and name.kind != PERSON:
        raise InvalidLimit(f"lanes: a limit of {name.kind} has no lanes: leave out --lanes")


def put(client: redis.Redis, name: Name, limit: Limit) -> None:
    """Set a limit; raises InvalidLimit."""
    check(name, limit)
    if not client.hexists(keys.LIMITS, str(name)) and client.hlen(keys.LIMITS) >= MOST:
        raise InvalidLimit(f"there are {MOST} limits already: remove one first, threelane limits list")
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.LIMITS, str(name))
        pipe.hset(keys.LIMITS, str(name), msgspec.json.encode(limit))
        before, _ = pipe.execute()
    audit.record_change(client, KIND, str(name), described(name, limit), _described_row(name, before))


def remove(client: redis.Redis, name: Name) -> bool:
    """Remove a limit, so that its default applies again; returns whether there was one."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.LIMITS, str(name))
        pipe.hdel(keys.LIMIT_COUNTS, str(name))
        pipe.hdel(keys.LIMITS, str(name))
        before, _, removed = pipe.execute()
    if removed:
        audit.record_change(client, KIND, str(name), "", _described_row(name, before))
    return bool(removed)


def described(name: Name, limit: Limit) -> str:
    """Return a limit in a few words."""
    if limit.off:
        return OFF
    lane = " of lane 1" if limit.lanes == LANE_1 else ""
    return f"{limit.count:,} {KINDS[name.kind].unit}{lane}, {limit.over}"


def _described_row(name: Name, row: bytes | None) -> str:
    known = rows.decode(keys.LIMITS, str(name), row, partial(read_row, str(name))) if row else None
    return described(name, known) if known else "unreadable" if row else ""


def read(client: redis.Redis) -> dict[str, Limit]:
    """Return the limits that operators set, by name."""
    found = rows.table(client, keys.LIMITS)
    named = {rows.text(name): row for name, row in sorted(found.items())}
    decoded = {name: rows.decode(keys.LIMITS, name, row, partial(read_row, name)) for name, row in named.items()}
    return {name: limit for name, limit in decoded.items() if limit}


def in_force(client: redis.Redis) -> dict[str, Limit]:
    """Return all limits by name: those that operators set, and the other defaults."""
    return {**DEFAULTS, **read(client)}


def name_of(row: str) -> Name:
    """Return what a row concerns; raises InvalidLimit for a row that no version writes."""
    whole, _, producer = row.partition(OF_PRODUCER)
    if whole in (TEXT, NEIGHBOURS):
        return Name(whole, producer=producer)
    scope, _, period = whole.rpartition(":")
    return parse_name(scope, period, producer)


class Use(msgspec.Struct, frozen=True):
    """A limit and what of it is used; ``used`` is None where no single number says so."""

    name: Name
    limit: Limit
    used: int | None = None
    free_at: int | None = None  # when it has room again, ms; None: now


def usage(client: redis.Redis, now: int) -> Iterator[Use]:
    """Yield the limits of prefixes, countries and producers with their use."""
    counts = rows.table(client, keys.LIMIT_COUNTS)
    for row, limit in read(client).items():
        name = name_of(row)
        if name.kind in SHARED and not limit.off:
            length = PERIODS[name.period] * 1000
            window = now // length
            used = _used(rows.text(counts.get(row.encode())), window)
            yield Use(name, limit, used, (window + 1) * length if used >= limit.count else None)


def _used(stored: str, window: int) -> int:
    """Return how many messages count in a window."""
    at, *numbers = (rows.number(one) for one in stored.split(":"))
    return numbers[window - at] if len(numbers) == 2 and 0 <= window - at < 2 else 0


def applying(client: redis.Redis, to: str, country: str, producer: str, lane: int, now: int) -> Iterator[Use]:
    """Yield the limits that apply to a message now, with their use."""
    found = in_force(client)
    times: dict[str, list[int]] = {}
    for row in (*(f"{PERSON}:{period}" for period in PERIODS), TEXT, NEIGHBOURS):
        of_producer = f"{row}{OF_PRODUCER}{producer}"
        name = of_producer if producer and of_producer in found else row
        limit = found.get(name)
        if limit is None or limit.off or (limit.lanes == LANE_1 and lane != 1) or (row == NEIGHBOURS and lane != 1):
            continue
        if row in (TEXT, NEIGHBOURS):
            yield Use(name_of(name), limit)
            continue
        kind = LANE_1 if limit.lanes == LANE_1 else "*"
        if kind not in times:
            times[kind] = _times(client, kind + subscriber(to), now)
        seconds = PERIODS[row.partition(":")[2]]
        counted = [at for at in times[kind] if at >= now // 1000 - seconds]
        full = len(counted) >= limit.count
        yield Use(name_of(name), limit, len(counted), (counted[-limit.count] + seconds + 1) * 1000 if full else None)
    of = {"prefix": to, "country": country, "producer": producer}
    for use in usage(client, now):
        matches = to.startswith(use.name.of) if use.name.kind == "prefix" else of[use.name.kind] == use.name.of
        if matches:
            yield use


def _times(client: redis.Redis, row: str, now: int) -> list[int]:
    """Return when a person's latest messages were accepted, seconds, oldest first."""
    newest, packed = -1, b""
    for key in (keys.Key.RECIPIENTS_A, keys.Key.RECIPIENTS_B):
        found = rows.unless_damaged(keys.key(key), partial(client.hmget, keys.key(key), ["", row]), [None, None])
        length, _, turn = rows.text(found[0]).partition(":")
        number = rows.number(turn, -1)
        if found[1] and rows.number(length) and number >= now // int(length) - 1 and number > newest:
            newest, packed = number, found[1]
    return sorted(int.from_bytes(packed[at : at + 4], "big") for at in range(0, len(packed) - 3, 4))


class Run(msgspec.Struct, frozen=True):
    """A run of neighbouring numbers of lane 1; times in milliseconds."""

    block: str  # the numbers without their last three digits
    since: int
    last: int
    numbers: int
    producer: str = ""  # of the latest message
    held: int = 0  # when it was put on hold; 0: it was not


_read_run = msgspec.json.Decoder(dict[str, int | float | str]).decode
RUN_MS = 3_600_000
"""How long a run counts as present after its last number; the same as in limits.lua."""


def read_run(block: str, row: bytes) -> Run:
    """Return a stored run; raises ValueError."""
    return msgspec.convert(_read_run(row) | {"block": block}, Run, strict=False)


def runs(client: redis.Redis, now: int) -> Iterator[Run]:
    """Yield the runs of the last hour."""
    for name, row in sorted(rows.table(client, keys.RUNS).items()):
        block = rows.text(name)
        found = rows.decode(keys.RUNS, name, row, partial(read_run, block))
        if found and now - found.last <= RUN_MS:
            yield found
