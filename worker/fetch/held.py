"""Held: stops fetching from lanes on hold."""

from __future__ import annotations

from threelane.store import keys
from threelane.worker.account import credentials, hold
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.policy.rule import Scope
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 0.25


async def look(context: WorkerContext) -> bool:
    """Read which lanes are on hold now, and whether this worker may call the gateway."""
    changes = context.breaker.changes
    entries = await hold.read(context.client, context.settings.space)
    now = context.clock.now()
    held = hold.decode(entries, now, context.settings.space)
    await context.breaker.follow(context.client, entries, changes, now)
    await credentials.follow(context, held)
    if not context.may_call:
        LANES.hold(keys.LANES)
        return False
    account = held.get(Scope.ACCOUNT)
    if account is None and 0 < context.held_until <= now:  # it ended by itself; before the first claim
        await hold.ramp_up(context.client, context.held_until, context.settings.space)
    context.held_until = account.until if account else 0
    LANES.hold(lane for lane in keys.LANES if "account" in held or f"lane:{lane}" in held)
    return False


DUTY = Duty(name="look_at_holds", interval_seconds=LOOK_SECONDS, work=look)
