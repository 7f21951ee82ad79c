"""Hold: stops the account, a lane, a sender or a prefix for all workers, with a cause, its evidence and an end.

A code that concerns a sender or a prefix is evidence against it: evidence.lua collects it, and holds the scope once
enough different numbers failed and most messages there did.  Such an inferred hold concerns the producer whose messages
failed, as ``sender:ACME:GB@shop``, and all producers once several have one.  It does not apply to lane 1, and lets one
message through at an interval: an accepted one lifts it.  A hold set by a person applies to all lanes and producers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from threelane.contract import phone, prices, senders, zones
from threelane.contract.counted import counted
from threelane.contract.refusal import Refusal
from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, Space
from threelane.store.rates import Rate
from threelane.store.tally import Count
from threelane.worker.gateway.breaking import SCOPE, reset
from threelane.worker.policy.rule import Scope

OF_SETTINGS = frozenset({"authentication_failed", "unknown_user", "ip_lockdown", "invalid_api_id", "wrong_address"})
"""Causes for which older versions hold the account, although other credentials or another address fix them."""
NO_CREDIT = frozenset({"no_credit", "insufficient_balance"})
"""Causes that a top-up fixes."""
REFUSED_MS = 30_000
"""How long refused credentials stay among the holds; their workers renew that at each refused login."""
BY_HAND = "by_hand"
"""The code of a hold set by a person."""
MOST_CAUSE = 200  # characters
PROBE_MS = 60_000
"""The interval of probes of an inferred hold that an older version stored; the same as in holds.lua."""
_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
OF_PRODUCER = "@"
"""What separates a scope from the one producer that a hold concerns; no sender ID or producer contains it."""
UNNAMED = "-"
"""The producer of messages without one, in a scope."""
_NARROW = (f"{Scope.SENDER}:", f"{Scope.PREFIX}:")


@dataclass(frozen=True, slots=True)
class Hold:
    """A stop for all messages of a scope, as an attempt or a report causes it; times in milliseconds.

    ``until`` is 0 if only a person, a top-up or a probe ends it.  A hold that ``lasts_ms`` does so from the time at
    which its cause happened.
    """

    scope: str  # account, sender:<sender ID>:<country> or prefix:<digits>
    code: str
    cause: str
    until: int = 0
    credentials: str = ""  # the fingerprint of the refused credentials
    lasts_ms: int = 0
    probe_ms: int = 0  # the interval of probes of an inferred hold
    needs: int = 0  # different numbers that must fail first
    at: int = 0  # when its cause happened; 0: when its message was sent, or now if it was not
    stale_ms: int = 0  # a cause this old holds nothing; 0: at any age


class Evidence(msgspec.Struct, frozen=True):
    """The messages that a hold was learned from; ``tried`` are those that failed or were accepted since the first."""

    messages: int
    tried: int
    numbers: int  # different ones, at most 50 are counted
    since: int  # when the first one failed, ms


class Held(msgspec.Struct, frozen=True):
    """A hold in force; times in milliseconds, ``until`` 0 if it has no end time."""

    code: str
    cause: str
    since: int
    until: int
    credentials: str = ""  # the fingerprint of the refused credentials
    next_probe: int = 0  # of an open breaker
    evidence: Evidence | None = None  # None: set by a person, or by an older version
    probe_ms: int = 0  # the interval of probes; 0: not inferred, or stored by an older version
    probed_at: int = 0

    def is_over(self, now: int) -> bool:
        """Return whether its time is over."""
        return 0 < self.until <= now


DAMAGED = Held(rows.CODE, "its row is damaged", 0, 0)
"""Stands for an unreadable hold: all its scope is held, until a person resumes it."""
OF_DAMAGED_TABLE: Mapping[str, Held] = {str(Scope.ACCOUNT): DAMAGED}
_REWRITTEN = (f"{SCOPE}:", f"{Scope.CREDENTIALS}:")
read_row = msgspec.json.Decoder(Held).decode


def encode(hold: Hold, now: int) -> bytes:
    """Return the entry as stored in Redis."""
    return msgspec.json.encode(Held(hold.code, hold.cause, now, hold.until, hold.credentials, probe_ms=hold.probe_ms))


def decode(entries: Mapping[bytes, bytes], now: int, space: Space = HERE) -> dict[str, Held]:
    """Return the holds in force by scope; an unreadable one holds its scope until it is resumed.

    Unreadable rows of a breaker and of refused credentials are dropped: workers write them again.
    """
    held: dict[str, Held] = {}
    for name, entry in entries.items():
        scope = rows.text(name)
        found = rows.decode(keys.names(space).HOLDS, name, entry, read_row)
        if found is None and scope.startswith(_REWRITTEN):
            continue
        if found is None or not found.is_over(now):
            held[scope] = found or DAMAGED
    return held


def holds(client: redis.Redis, now: int, space: Space = HERE) -> dict[str, Held]:
    """Return the holds of an account in force by scope."""
    key = keys.names(space).HOLDS
    try:
        return decode(client.hgetall(key), now, space)  # type: ignore[arg-type]
    except ResponseError as failed:
        found: dict[str, Held] = rows.known(key, failed, dict(OF_DAMAGED_TABLE))
        return found


async def read(client: redis.asyncio.Redis, space: Space = HERE) -> Mapping[bytes, bytes]:
    """Return the stored holds of an account; a key that is no hash holds the account, as in the claim script."""
    key = keys.names(space).HOLDS
    try:
        found: Any = await client.hgetall(key)
    except ResponseError as failed:
        found = rows.known(key, failed, {str(Scope.ACCOUNT).encode(): b""})
    return dict(found)


def prefixed(space: Space, scope: str) -> str:
    """Return a scope among those of several accounts: after the name of an account other than the default one."""
    return f"{space.account}/{scope}" if space.account else scope


def split(raw: str, names: Collection[str]) -> tuple[str, str]:
    """Return the name of an account and the scope of what ``prefixed`` returned; "" if it has no name."""
    name, slash, scope = raw.strip().partition("/")
    return (name, scope) if slash and name in names else ("", raw)


def is_inferred(scope: str, held: Held) -> bool:
    """Return whether a hold was inferred from codes of single messages: lane 1 ignores it, and probes lift it."""
    return scope.startswith(_NARROW) and held.code not in (BY_HAND, rows.CODE)


def next_probe_at(scope: str, held: Held) -> int:
    """Return when the next message, or the next call of a breaker, tests a hold, ms; 0 if none does."""
    if is_inferred(scope, held):
        return max(held.since, held.probed_at) + (held.probe_ms or PROBE_MS)
    return held.next_probe


def credentials_scope(fingerprint: str) -> str:
    """Return the scope of refused credentials."""
    return f"{Scope.CREDENTIALS}:{fingerprint}"


def sender_scope(sender: str, to: str) -> str:
    """Return the scope of a sender in the country of a number."""
    return f"{Scope.SENDER}:{sender}:{prices.country(to)}"


def scopes_of(sender: str, to: str) -> tuple[str, ...]:
    """Return the scopes, other than longer and shorter prefixes, that a message's own code can put on hold."""
    prefix = f"{Scope.PREFIX}:{phone.network(to)}"
    return (f"{Scope.SENDER}:{sender}", sender_scope(sender, to), prefix) if sender else (prefix,)


def of_producer(scope: str, producer: str) -> str:
    """Return the scope for the messages of one producer only."""
    return f"{scope}{OF_PRODUCER}{producer or UNNAMED}"


def stopping(held: Mapping[str, Held], lane: int, sender: str, to: str, producer: str = "") -> str:
    """Return the scope of the hold that stops a message, or "" if nothing does; a probe may pass an inferred one."""
    senders = scopes_of(sender, to)[:2] if sender and to else ()
    known = dict.fromkeys(scope.partition(OF_PRODUCER)[0] for scope in held)
    prefixes = (scope for scope in known if scope.startswith(_NARROW[1]) and to.startswith(scope[len(_NARROW[1]) :]))
    narrow = (one for scope in (*senders, *prefixes) for one in (scope, of_producer(scope, producer)))
    wanted = (str(Scope.ACCOUNT), f"lane:{lane}", *narrow)
    found = (scope for scope in wanted if scope in held)
    return next((scope for scope in found if lane > 1 or not is_inferred(scope, held[scope])), "")


def evidence_of(held: Held) -> str:
    """Return what a hold was learned from, as words; "" if nothing is recorded."""
    one = held.evidence
    if one is None:
        return ""
    failed = (
        f"{one.messages:,} of {one.tried:,} messages" if one.tried > one.messages else counted(one.messages, "message")
    )
    return f"{failed} to {counted(one.numbers, 'number')}"


def parse_scope(raw: str) -> str:
    """Return a valid scope; raises ValueError for others.

    ``account``, ``lane:<1 to 3>``, ``sender:<ID>``, ``sender:<ID>:<country>`` or ``prefix:<digits>``.
    """
    kind, _, name = raw.strip().partition(":")
    if kind == Scope.ACCOUNT and not name:
        return kind
    if kind == "lane" and name in map(str, keys.LANES):
        return f"lane:{name}"
    if kind == Scope.SENDER:
        name, _, where = name.partition(":")
        country = _country(where) if where else ""
        if country is not None and not isinstance(sender := senders.parse_stored(name, "sender"), Refusal):
            return f"sender:{sender}:{country}" if country else f"sender:{sender}"
    if kind == Scope.PREFIX and _PREFIX.fullmatch(digits := name.removeprefix("+")):
        return f"prefix:{digits}"
    raise ValueError(
        f"{raw!r} cannot be on hold; write account, lane:1 to lane:3, sender:ACME, sender:ACME:GB or prefix:2783"
    )


def _country(raw: str) -> str | None:
    """Return a country as in a scope: two letters, or ``other``; None if there is no such country."""
    if raw.lower() == prices.ELSEWHERE:
        return prices.ELSEWHERE
    return raw.upper() if raw.upper() in zones.COUNTRIES else None


def parse_resumable(raw: str) -> str:
    """Return a scope that can be resumed: one for ``put``, of a producer as well, or ``gateway``; raises ValueError.

    Only the gateway ends a hold of credentials.
    """
    scope = raw.strip()
    if scope.partition(":")[0] == Scope.CREDENTIALS:
        raise ValueError("the gateway refuses these credentials: correct them for their workers; threelane doctor")
    if scope.partition(":")[0] == SCOPE:
        return scope
    name, _, producer = scope.partition(OF_PRODUCER)
    return of_producer(parse_scope(name), producer) if producer else parse_scope(raw)


def put(client: redis.Redis, scope: str, cause: str, now: int, until: int = 0, space: Space = HERE) -> Held | None:
    """Put something on hold by hand, until a time (ms) or (0) until it is resumed; returns the hold that it replaces.

    Only ``resume`` and its end time lift such a hold.  Raises ValueError with what would be valid.
    """
    scope, cause = parse_scope(scope), cause.strip()
    if not cause or len(cause) > MOST_CAUSE or not cause.isprintable():
        raise ValueError(f"a hold needs a cause for its later readers: one line of up to {MOST_CAUSE} characters")
    if until and until <= now:
        raise ValueError("the hold would already be over: give a future time")
    names = keys.names(space)
    _names(client, names.HOLDS)
    before = holds(client, now, space).get(scope)
    with client.pipeline(transaction=True) as pipe:
        pipe.hset(names.HOLDS, scope, encode(Hold(scope, BY_HAND, cause, until), now).decode())
        if before is None:
            pipe.hincrby(names.TALLY, Count.HELD.field(scope.partition(":")[0]), 1)
        pipe.execute()
    logs.event("held", level=30, scope=scope.partition(":")[0], code=BY_HAND)
    return before


def way_back(held: Held) -> str:
    """Return what ends a hold without an end time."""
    if held.next_probe:
        at = datetime.fromtimestamp(held.next_probe / 1000, UTC)
        return f"a probe succeeds, the next at {at:%H:%M:%S} UTC, or threelane resume gateway"
    if held.probe_ms:
        return "an accepted message, or threelane resume"
    if held.cause in NO_CREDIT:
        return "there is credit again, or threelane resume"
    return "the gateway accepts a worker's login, or threelane resume" if is_of_settings(held) else "threelane resume"


def resume(client: redis.Redis, scope: str, now: int, space: Space = HERE) -> bool:
    """Lift a hold, and those of single producers in its scope; returns whether there was one.

    After a hold of the account or the gateway the rate ramps up.
    """
    if scope.partition(":")[0] == SCOPE:
        return reset(client, scope, now, space)
    names = keys.names(space)
    known: Any = [*_names(client, names.HOLDS), *_names(client, names.SUSPECTS)]
    scopes = {scope, *(one for one in (rows.text(name) for name in known) if one.startswith(scope + OF_PRODUCER))}
    with client.pipeline(transaction=True) as pipe:
        pipe.hdel(names.HOLDS, *scopes)
        pipe.hdel(names.SUSPECTS, *scopes)  # what was learned before proves nothing any more
        lifted, _ = pipe.execute()
    if lifted and scope == "account":
        client.hset(names.RATE, mapping=ramp(now))
    return bool(lifted)


def is_of_settings(held: Held) -> bool:
    """Return whether a worker's settings caused a hold of the account."""
    return held.code != BY_HAND and held.cause in OF_SETTINGS


def _names(client: redis.Redis, key: str) -> Any:
    """Return the names of a hash; a key of another type becomes a hash, in which the account is still on hold."""
    try:
        return client.hkeys(key)
    except ResponseError as failed:
        names = rows.known(key, failed, [str(Scope.ACCOUNT).encode()])
        with client.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            pipe.hset(key, str(Scope.ACCOUNT), "")
            pipe.execute()
        return names


async def renew(client: redis.asyncio.Redis, one: Hold, now: int, space: Space = HERE) -> bool:
    """Hold refused credentials until its end time, since when they were first refused; returns whether that is new."""
    names = keys.names(space)
    was = decode(await read(client, space), now, space).get(one.scope)
    entry = encode(one, was.since if was else now)
    try:
        await client.hset(names.HOLDS, one.scope, entry.decode())
    except ResponseError as failed:  # it holds all already
        rows.known(names.HOLDS, failed, None)
        return False
    if was:
        return False
    kind = one.scope.partition(":")[0]
    await client.hincrby(names.TALLY, Count.HELD.field(kind), 1)
    logs.event("held", level=40, scope=kind, code=one.code)
    return True


async def lift(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> bool:
    """Lift the hold of the account, as ``resume`` does."""
    names = keys.names(space)
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(names.RATE, mapping=ramp(now))  # first, so that nothing resumes at the full rate
        pipe.hdel(names.HOLDS, "account")
        pipe.hdel(names.SUSPECTS, "account")
        _, lifted, _ = await pipe.execute()
    return bool(lifted)


async def ramp_up(client: redis.asyncio.Redis, since: int, space: Space = HERE) -> None:
    """Let the rate grow from the end of a hold that ended at its time, unless sending resumed later than that."""
    key = keys.names(space).RATE
    known: Any = await rows.unless_damaged_async(key, client.hget(key, Rate.RAMP))
    if rows.number(known) < since:
        await client.hset(key, mapping={Rate.RAMP: since, Rate.TOKENS: 0, Rate.AT: since})


def ramp(now: int) -> dict[Any, Any]:
    """Return the start of a ramp: an empty bucket, and the time since when the rate grows back.

    What happened before that time holds the account no more.
    """
    return {Rate.RAMP: now, Rate.RESUMED: now, Rate.TOKENS: 0, Rate.AT: now}
