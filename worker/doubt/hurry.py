"""Hurry: when the breaker closes, makes the look-ups of all doubts due at once; their rate spreads them."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.store.scripts import number, script
from threelane.store.visibility import Sight
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

BATCH = 1_000
HURRY_SECONDS = 0.25


@script(__file__, number)
def _hurry(*, now: int, lane: int, most: int) -> None:
    """Make look-ups due now; returns how many became due."""


async def hurry(client: redis.asyncio.Redis, closed_at: int, now: int, space: Space = HERE) -> int:
    """Make the look-ups of all doubts due, once for each closing of the breaker; returns how many became due."""
    visibility = keys.names(space).VISIBILITY
    done: Any = await client.hget(visibility, Sight.HURRIED)
    if int(done or 0) >= closed_at:
        return 0
    hurried = 0
    for lane in keys.LANES:
        while count := await _hurry.within(space).run(client, now=now, lane=lane, most=BATCH):
            hurried += count
    await client.hset(visibility, Sight.HURRIED, closed_at)  # last, so that another worker finishes a dead one's
    if hurried:
        logs.event("hurried", messages=hurried)
    return hurried


async def _round(context: WorkerContext) -> bool:
    closed_at = context.breaker.closed_at
    if not context.may_call or closed_at <= context.hurried_at or not context.gateway.can_look_up:
        return False
    await hurry(context.client, closed_at, context.clock.now(), context.settings.space)
    context.hurried_at = closed_at
    return False


DUTY = Duty(name="hurry", interval_seconds=HURRY_SECONDS, work=_round, while_draining=False)
