"""Hold: the account (or a lane) is stopped for all workers, with a cause and a way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
import redis
import redis.asyncio

from producer import keys
from worker.policy.judge import Hold

OF_SETTINGS = frozenset({"authentication_failed", "unknown_user", "ip_lockdown", "invalid_api_id", "wrong_address"})
"""Causes that other credentials, or another address, mend."""


class Held(msgspec.Struct, frozen=True):
    """A hold in force; times in milliseconds, ``until`` 0 when it does not end by itself."""

    code: str
    cause: str
    since: int
    until: int
    credentials: str = ""  # a fingerprint of those that were refused

    def is_over(self, now: int) -> bool:
        """Tell whether its time has come."""
        return 0 < self.until <= now


def encode(hold: Hold, now: int) -> bytes:
    """Return the entry as it stands in Redis."""
    fields: dict[str, Any] = asdict(hold) | {"since": now}
    del fields["scope"]
    return msgspec.json.encode(fields)


def decode(entries: dict[bytes, bytes], now: int) -> dict[str, Held]:
    """Return the holds in force by scope."""
    held = {scope.decode(): msgspec.json.decode(entry, type=Held) for scope, entry in entries.items()}
    return {scope: hold for scope, hold in held.items() if not hold.is_over(now)}


def holds(client: redis.Redis, now: int) -> dict[str, Held]:
    """Return what is on hold."""
    return decode(client.hgetall(keys.HOLDS), now)  # type: ignore[arg-type]


def resume(client: redis.Redis, scope: str, now: int) -> bool:
    """Lift a hold; tells whether there was one.  After one of the account the rate grows back from little."""
    lifted = client.hdel(keys.HOLDS, scope)
    if lifted and scope == "account":
        client.hset(keys.RATE, mapping=ramp(now))
    return bool(lifted)


async def lift_for(client: redis.asyncio.Redis, credentials: str, now: int) -> bool:
    """Lift the hold that other credentials than these brought about; tells whether there was one."""
    entries: Any = await client.hgetall(keys.HOLDS)
    held = decode(entries, now).get("account")
    return bool(held and held.credentials not in ("", credentials) and await lift(client, now))


async def lift(client: redis.asyncio.Redis, now: int) -> bool:
    """Lift the hold of the account, as ``resume`` does."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.RATE, mapping=ramp(now))  # first: nothing goes on at the full rate
        pipe.hdel(keys.HOLDS, "account")
        _, lifted = await pipe.execute()
    return bool(lifted)


def ramp(now: int) -> dict[Any, Any]:
    """Return what makes claims begin slowly: an empty bucket, and since when the rate grows back."""
    return {"ramp": now, "tokens": 0, "at": now}
