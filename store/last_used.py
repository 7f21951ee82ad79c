"""Last used: when each secret of an API key was last used, to within a minute; a write a minute at most."""

from __future__ import annotations

from threading import Lock
from typing import Any

import redis
from redis.exceptions import RedisError

from threelane.store import keys

COARSE_MS = 60_000  # between two updates for one secret by one process
_SHORT = 8  # characters of the digest of a secret with 256 random bits: they identify it and reveal nothing
_written: dict[str, int] = {}
_lock = Lock()


def note(client: redis.Redis, key_id: str, digest: str, now: int) -> None:
    """Record that a secret was used; never fails a request, such as when Redis accepts no writes."""
    field = _field(key_id, digest)
    with _lock:
        if 0 <= now - _written.get(field, -COARSE_MS) < COARSE_MS:
            return
        _written[field] = now
    try:
        client.hset(keys.API_USED, field, now)
    except RedisError:
        return  # the next minute tries again


def read_all(client: redis.Redis) -> dict[str, int]:
    """Return when each secret was last used, ms, by the field that ``of`` looks up."""
    found: Any = client.hgetall(keys.API_USED)
    return {field.decode(): int(at) for field, at in found.items()}


def of(used: dict[str, int], key_id: str, digest: str) -> int:
    """Return when a secret was last used, ms; 0: never, or before this version."""
    return used.get(_field(key_id, digest), 0)


def forget(client: redis.Redis, key_id: str, *digests: str) -> None:
    """Forget these secrets of a key."""
    if digests:
        client.hdel(keys.API_USED, *(_field(key_id, one) for one in digests))


def _field(key_id: str, digest: str) -> str:
    return f"{key_id}:{digest[:_SHORT]}"
