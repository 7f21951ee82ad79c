"""Outage: the open breaker that stops all workers of an account."""

from __future__ import annotations

from collections.abc import Mapping

import redis

from threelane.store import rows
from threelane.store.keys import HERE, Space
from threelane.worker.account.hold import Held
from threelane.worker.gateway.breaking import scope_of
from threelane.worker.process.identity import SILENT_MS


def outage(client: redis.Redis, held: Mapping[str, Held], now: int, space: Space = HERE) -> Held | None:
    """Return the open breaker that stops every reporting worker of an account, or None; ``held`` are its holds."""
    reports = rows.reports_of(client, now - SILENT_MS, ["gateway"], space).values()
    opened = [held.get(scope_of(rows.text(one))) for (one,) in reports]
    return opened[0] if opened and all(opened) else None
