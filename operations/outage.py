"""Outage: the open breaker that stops the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from threelane.store import keys
from threelane.worker.account.hold import Held
from threelane.worker.gateway.breaking import scope_of
from threelane.worker.process.identity import SILENT_MS


def outage(client: redis.Redis, held: Mapping[str, Held], now: int) -> Held | None:
    """Return the open breaker that stops every reporting worker, or None."""
    names: Any = client.zrange(keys.WORKERS, now - SILENT_MS, "+inf", byscore=True)
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hget(keys.worker(name.decode()), "gateway")
        gateways = pipe.execute()
    opened = [held.get(scope_of((one or b"").decode())) for one in gateways]
    return opened[0] if opened and all(opened) else None
