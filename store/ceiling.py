"""Ceiling: whether Redis is near its memory ceiling; queried at most ten times per second.

INFO has memory use and ceiling, but is among Redis's dangerous commands, which a careful ACL leaves out.  Such a user
reads the use by MEMORY STATS, and the ceiling from ``tl:ceiling``, where a worker with the right to INFO publishes it.
If none publishes it, Redis refuses at the ceiling itself: what it uses then counts as the ceiling for a minute, so that
intake leaves room for sending from then on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError

from threelane.runtime import logs
from threelane.store import keys

INTAKE_SHARE = 0.9  # of the memory ceiling of Redis; the rest is for sending accepted messages
TIGHT_SHARE = 0.8  # above it, the producer of most of what waits is refused, and what is sent keeps no text
FRESH_SECONDS = 0.1
MESSAGE_BYTES = 2048  # more than most messages take, with their index entries and nudge
REACHED_SECONDS = 60.0  # a ceiling that was inferred from a refusal; then it may have been raised
DENIED_SECONDS = 60.0  # until a user without the right to INFO tries it again
PUBLISHED_MS = 60_000
_USED = b"total.allocated"


class Memory(NamedTuple):
    """Memory use and ceiling of Redis in bytes; ceiling 0: none, or unknown."""

    used: int
    ceiling: int
    is_known: bool = True

    @property
    def share(self) -> float:
        """Return the used fraction of the ceiling; 0 without one."""
        return self.used / self.ceiling if self.ceiling else 0.0


@dataclass(slots=True)
class _Known:
    """What was last read on one connection pool, plus what this process added since."""

    used: int = 0
    ceiling: int = 0
    read_at: float = float("-inf")
    denied_at: float = float("-inf")
    reached: int = 0
    reached_at: float = float("-inf")

    def is_above(self, share: float, now: float) -> bool:
        """Return whether more than this share of the ceiling is used."""
        reached = self.reached if now - self.reached_at <= REACHED_SECONDS else 0
        ceiling = self.ceiling or reached
        return 0 < ceiling * share < self.used


_known: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()
_published = _Known()  # what this process published last


def is_near(client: redis.Redis, share: float, messages: int, clock: Callable[[], float] = time.monotonic) -> bool:
    """Return whether more than this share of the ceiling is used, as of the last tenth of a second.

    If not, the caller adds ``messages``.  False if the ceiling is unknown: Redis then refuses at the ceiling itself.
    Raises RedisError.
    """
    now = clock()
    known = _of(client)
    if now - known.read_at > FRESH_SECONDS or known.is_above(share, now):
        memory = _read(client, known, now)
        known.used, known.ceiling, known.read_at = memory.used, memory.ceiling, now
    if known.is_above(share, now):
        return True
    known.used += messages * MESSAGE_BYTES
    return False


def reached(client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
    """Note that Redis refused at its ceiling: if that is unknown, it is what Redis uses now."""
    known, now = _of(client), clock()
    if known.ceiling:
        return
    try:
        memory = _read(client, known, now)
    except RedisError:
        return
    known.used, known.ceiling, known.read_at = memory.used, memory.ceiling, now
    if not memory.is_known:
        known.reached, known.reached_at = memory.used, now


def read(client: redis.Redis) -> Memory:
    """Return memory use and ceiling; raises RedisError."""
    return _read(client, _of(client), time.monotonic())


async def publish(client: redis.asyncio.Redis) -> bool:
    """Publish the ceiling for users that may not run INFO; False if this one may not either."""
    try:
        memory: Any = await client.info("memory")
    except NoPermissionError:
        return False
    _published.used, _published.ceiling = int(memory["used_memory"]), int(memory["maxmemory"])
    _published.read_at = time.monotonic()
    await client.set(keys.CEILING, _published.ceiling, px=PUBLISHED_MS)
    return True


def was_near(share: float, clock: Callable[[], float] = time.monotonic) -> bool:
    """Return whether more than this share was used when this process published the ceiling within the last minute."""
    now = clock()
    return 1000 * (now - _published.read_at) < PUBLISHED_MS and _published.is_above(share, now)


def _of(client: redis.Redis) -> _Known:
    return _known.setdefault(client.connection_pool, _Known())


def _read(client: redis.Redis, known: _Known, now: float) -> Memory:
    if now - known.denied_at > DENIED_SECONDS:
        try:
            found: Any = client.info("memory")
        except NoPermissionError:
            if known.denied_at < 0:
                logs.event("ceiling_unknown", level=30, owner="operator")
            known.denied_at = now
        else:
            return Memory(found["used_memory"], found["maxmemory"])
    pipe: Any  # redis-py's own types do not know commands by name
    with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("MEMORY STATS")
        pipe.get(keys.CEILING)
        replies: Any = pipe.execute(raise_on_error=False)
    if isinstance(replies[0], NoPermissionError):
        return Memory(0, 0, is_known=False)
    for failed in replies:
        if isinstance(failed, Exception):
            raise failed
    return Memory(_used(replies[0]), int(replies[1] or 0), is_known=replies[1] is not None)


def _used(stats: Any) -> int:
    """Return the memory use in the reply to MEMORY STATS, which redis-py returns as a dictionary or a list."""
    pairs: dict[Any, Any] = stats if isinstance(stats, dict) else dict(zip(stats[::2], stats[1::2], strict=True))
    return int(pairs.get(_USED, pairs.get(_USED.decode(), 0)))
