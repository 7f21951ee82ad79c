"""Held: stops fetching from lanes on hold."""

from __future__ import annotations

from typing import Any

from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 0.25


async def look(context: WorkerContext) -> bool:
    """Read which lanes are on hold now."""
    entries: Any = await context.client.hgetall(keys.HOLDS)
    held = hold.decode(entries, context.clock.now())
    LANES.hold(lane for lane in keys.LANES if "account" in held or f"lane:{lane}" in held)
    return False


DUTY = Duty(name="look_at_holds", interval_seconds=LOOK_SECONDS, work=look)
