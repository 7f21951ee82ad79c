"""Hold: the account (or a lane) is stopped for all workers, with a cause and a way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
import redis

from producer import keys
from worker.policy.judge import Hold


class Held(msgspec.Struct, frozen=True):
    """A hold in force; times in milliseconds, ``until`` 0 when it does not end by itself."""

    code: str
    cause: str
    since: int
    until: int

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


def resume(client: redis.Redis, scope: str = "account") -> bool:
    """Lift a hold; tells whether there was one."""
    return bool(client.hdel(keys.HOLDS, scope))
