"""Ceiling: whether Redis is close to its memory ceiling; asked some times a second at most, however much comes in."""

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
MESSAGE_BYTES = 2048  # more than most messages take, with their places in sets and their nudge


@dataclass(slots=True)
class Memory:
    """What Redis uses of what it may use, in bytes, and what this process added since; a ceiling of 0 is none."""

    used: int
    ceiling: int
    read_at: float

    def is_above(self, share: float) -> bool:
        """Tell whether more than this share of the ceiling is used."""
        return 0 < self.ceiling * share < self.used


_known: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()


def is_near(client: redis.Redis, share: float, messages: int, clock: Callable[[], float] = time.monotonic) -> bool:
    """Tell whether more than this share of the ceiling is used, to within a tenth of a second.

    Raises what Redis raises.  If not, ``messages`` are going to be added.  False where the user may not run INFO: such
    a producer is refused at the ceiling itself.
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
        return Memory(0, 0, float("inf"))  # it is not asked for again
    return Memory(found["used_memory"], found["maxmemory"], now)
