"""Outage: the open breaker that stops the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping

import redis

from threelane.store import rows
from threelane.worker.account.hold import Held
from threelane.worker.gateway.breaking import scope_of
from threelane.worker.process.identity import SILENT_MS


def outage(client: redis.Redis, held: Mapping[str, Held], now: int) -> Held | None:
    """Return the open breaker that stops every reporting worker, or None."""
    names = rows.workers(client, now - SILENT_MS)
    opened = [held.get(scope_of(rows.text(one))) for (one,) in rows.reports(client, names, ["gateway"])]
    return opened[0] if opened and all(opened) else None
