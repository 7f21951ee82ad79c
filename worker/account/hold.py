"""Hold: stops the account, a lane, a sender or a prefix for all workers, with a cause and an end."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
import redis.asyncio

from threelane.contract import fields
from threelane.contract.refusal import Refusal
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.rates import Rate
from threelane.store.tally import Count
from threelane.worker.gateway.breaking import SCOPE, reset
from threelane.worker.policy.rule import Scope

OF_SETTINGS = frozenset({"authentication_failed", "unknown_user", "ip_lockdown", "invalid_api_id", "wrong_address"})
"""Causes that other credentials or another address fix."""
NO_CREDIT = frozenset({"no_credit", "insufficient_balance"})
"""Causes that a top-up fixes."""
BY_HAND = "by_hand"
"""The code of a hold set by a person."""
MOST_CAUSE = 200  # characters
_PREFIX = re.compile(r"[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class Hold:
    """A stop for all messages of a scope; ``until`` is 0 if only a person or a top-up ends it."""

    scope: str  # account, sender:<sender ID> or prefix:<digits>
    code: str
    cause: str
    until: int = 0
    credentials: str = ""  # the fingerprint of the refused credentials


class Held(msgspec.Struct, frozen=True):
    """A hold in force; times in milliseconds, ``until`` 0 if it has no end time."""

    code: str
    cause: str
    since: int
    until: int
    credentials: str = ""  # the fingerprint of the refused credentials
    next_probe: int = 0  # of an open breaker

    def is_over(self, now: int) -> bool:
        """Return whether its time is over."""
        return 0 < self.until <= now


def encode(hold: Hold, now: int) -> bytes:
    """Return the entry as stored in Redis."""
    fields: dict[str, Any] = asdict(hold) | {"since": now}
    del fields["scope"]
    return msgspec.json.encode(fields)


def decode(entries: dict[bytes, bytes], now: int) -> dict[str, Held]:
    """Return the holds in force by scope."""
    held = {scope.decode(): msgspec.json.decode(entry, type=Held) for scope, entry in entries.items()}
    return {scope: hold for scope, hold in held.items() if not hold.is_over(now)}


def holds(client: redis.Redis, now: int) -> dict[str, Held]:
    """Return the holds in force by scope."""
    return decode(client.hgetall(keys.HOLDS), now)  # type: ignore[arg-type]


def parse_scope(raw: str) -> str:
    """Return ``account``, ``lane:<1 to 3>``, ``sender:<ID>`` or ``prefix:<digits>``; raises ValueError for others."""
    kind, _, name = raw.strip().partition(":")
    if kind == Scope.ACCOUNT and not name:
        return kind
    if kind == "lane" and name in map(str, keys.LANES):
        return f"lane:{name}"
    if kind == Scope.SENDER and not isinstance(sender := fields.sender(name, "sender"), Refusal):
        return f"sender:{sender}"
    if kind == Scope.PREFIX and _PREFIX.fullmatch(digits := name.removeprefix("+")):
        return f"prefix:{digits}"
    raise ValueError(f"{raw!r} cannot be on hold; write account, lane:1 to lane:3, sender:ACME or prefix:2783")


def parse_resumable(raw: str) -> str:
    """Return a scope that can be resumed: one for ``put``, or ``gateway`` for breakers; raises ValueError."""
    scope = raw.strip()
    return scope if scope.partition(":")[0] == SCOPE else parse_scope(raw)


def put(client: redis.Redis, scope: str, cause: str, now: int, until: int = 0) -> Held | None:
    """Put something on hold by hand, until a time (ms) or (0) until it is resumed; returns the hold that it replaces.

    Only ``resume`` and its end time lift such a hold.  Raises ValueError with what would be valid.
    """
    scope, cause = parse_scope(scope), cause.strip()
    if not cause or len(cause) > MOST_CAUSE or not cause.isprintable():
        raise ValueError(f"a hold needs a cause for its later readers: one line of up to {MOST_CAUSE} characters")
    if until and until <= now:
        raise ValueError("the hold would already be over: give a future time")
    before = holds(client, now).get(scope)
    with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.HOLDS, scope, encode(Hold(scope, BY_HAND, cause, until), now).decode())
        if before is None:
            pipe.hincrby(keys.TALLY, Count.HELD.field(scope.partition(":")[0]), 1)
        pipe.execute()
    logs.event("held", level=30, scope=scope.partition(":")[0], code=BY_HAND)
    return before


def way_back(held: Held) -> str:
    """Return what ends a hold without an end time."""
    if held.next_probe:
        at = datetime.fromtimestamp(held.next_probe / 1000, UTC)
        return f"a probe succeeds, the next at {at:%H:%M:%S} UTC, or threelane resume gateway"
    if held.cause in NO_CREDIT:
        return "there is credit again, or threelane resume"
    return (
        "a worker starts with other settings, or threelane resume" if held.cause in OF_SETTINGS else "threelane resume"
    )


def resume(client: redis.Redis, scope: str, now: int) -> bool:
    """Lift a hold; returns whether there was one.  After one of the account or the gateway the rate ramps up."""
    if scope.partition(":")[0] == SCOPE:
        return reset(client, scope, now)
    lifted = client.hdel(keys.HOLDS, scope)
    if lifted and scope == "account":
        client.hset(keys.RATE, mapping=ramp(now))
    return bool(lifted)


async def lift_for(client: redis.asyncio.Redis, credentials: str, now: int) -> bool:
    """Lift the account's hold if other credentials than these caused it; returns whether there was one."""
    entries: Any = await client.hgetall(keys.HOLDS)
    held = decode(entries, now).get("account")
    return bool(held and held.credentials not in ("", credentials) and await lift(client, now))


async def lift(client: redis.asyncio.Redis, now: int) -> bool:
    """Lift the hold of the account, as ``resume`` does."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.RATE, mapping=ramp(now))  # first, so that nothing resumes at the full rate
        pipe.hdel(keys.HOLDS, "account")
        _, lifted = await pipe.execute()
    return bool(lifted)


def ramp(now: int) -> dict[Any, Any]:
    """Return the start of a ramp: an empty bucket, and the time since when the rate grows back."""
    return {Rate.RAMP: now, Rate.TOKENS: 0, Rate.AT: now}
