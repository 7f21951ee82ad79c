"""Windows: the operator's list of sending windows, on Redis."""

from __future__ import annotations

import redis

from threelane.contract.window import Window, Windows, parse, parse_scope
from threelane.store import keys


def set_window(client: redis.Redis, scope: str, text: str) -> Window:
    """Give a lane or a tag its window, in place of an earlier one; raises ValueError with what would be right."""
    scope, window = parse_scope(scope), parse(text)
    client.hset(keys.WINDOWS, scope, str(window))
    return window


def remove(client: redis.Redis, scope: str) -> bool:
    """Take a window away, also one that cannot be read; tells whether there was one."""
    return bool(client.hdel(keys.WINDOWS, scope.strip().encode(errors="surrogateescape")))


def read(client: redis.Redis) -> Windows:
    """Return all windows as they stand."""
    return Windows.decode(client.hgetall(keys.WINDOWS))  # type: ignore[arg-type]
