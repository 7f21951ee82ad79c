"""Ceiling: whether Redis is near its memory ceiling; queried at most ten times per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.exceptions import NoPermissionError

from threelane.runtime import logs

FRESH_SECONDS = 0.1
MESSAGE_BYTES = 2048  # more than most messages take, with their index entries and nudge


@dataclass(slots=True)
class Memory:
    """Memory use and ceiling of Redis in bytes, plus what this process added since; ceiling 0: none."""

    used: int
    ceiling: int
    read_at: float

    def is_above(self, share: float) -> bool:
        """Return whether more than this share of the ceiling is used."""
        return 0 < self.ceiling * share < self.used


_known: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()


def is_near(client: redis.Redis, share: float, messages: int, clock: Callable[[], float] = time.monotonic) -> bool:
    """Return whether more than this share of the ceiling is used, as of the last tenth of a second.

    If not, the caller adds ``messages``.  False if the user may not run INFO: Redis then refuses at the ceiling itself.
    Raises RedisError.
    """
    now = clock()
    known = _known.get(client.connection_pool)
    if known is None or now - known.read_at > FRESH_SECONDS or known.is_above(share):
        known = _known[client.connection_pool] = _read(client, now)
    if known.is_above(share):
        return True
    known.used += messages * MESSAGE_BYTES
    return False


def _read(client: redis.Redis, now: float) -> Memory:
    try:
        found: Any = client.info("memory")
    except NoPermissionError:
        logs.event("ceiling_unknown", level=30, owner="operator")
        return Memory(0, 0, float("inf"))  # never queried again
    return Memory(found["used_memory"], found["maxmemory"], now)
