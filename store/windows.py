"""Windows: the operator's sending windows, in Redis."""

from __future__ import annotations

import redis

from threelane.contract.window import Window, Windows, parse, parse_scope
from threelane.store import keys, rows


def set_window(client: redis.Redis, scope: str, text: str) -> Window:
    """Set the window of a lane or a tag; raises ValueError with the correct form."""
    scope, window = parse_scope(scope), parse(text)
    client.hset(keys.WINDOWS, scope, str(window))
    return window


def remove(client: redis.Redis, scope: str) -> bool:
    """Remove a window, even an invalid one; returns whether there was one."""
    return bool(client.hdel(keys.WINDOWS, scope.strip().encode(errors="surrogateescape")))


def read(client: redis.Redis) -> Windows:
    """Return all windows."""
    return Windows.decode(rows.table(client, keys.WINDOWS))
