"""Reserved: a worker for lane 1 alone gives a sign of life, and busy ones leave it the lane while it keeps up."""

from __future__ import annotations

from contextlib import suppress

import redis.asyncio
from redis.exceptions import OutOfMemoryError

from threelane.store import keys
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 0.25
SIGN_MS = 1_000  # without another sign it is taken for gone
BEHIND_MS = 250  # a message that waited so long in lane 1 is for whoever can take it
_FIRST = keys.LANES[0]


async def sign(client: redis.asyncio.Redis, name: str) -> None:
    """Say that this worker serves lane 1, and nothing else."""
    with suppress(OutOfMemoryError):  # the others take their share of the lane meanwhile
        await client.set(keys.LANE_1_WORKER, name, px=SIGN_MS)


async def keeps_up(client: redis.asyncio.Redis, now: int) -> bool:
    """Tell whether such a worker lives and nothing waits for it; ``now`` is Unix time in milliseconds."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.exists(keys.LANE_1_WORKER)
        pipe.zrange(keys.QUEUED[_FIRST], 0, 0, withscores=True)
        lives, oldest = await pipe.execute()
    return bool(lives) and all(now - since <= BEHIND_MS for _, since in oldest)


async def _round(context: WorkerContext) -> bool:
    if LANES.consumed != {_FIRST}:
        LANES.spared = await keeps_up(context.client, context.clock.now())
    elif not context.draining:
        await sign(context.client, context.settings.worker_name)
    return False


DUTY = Duty(name="look_at_lane_1", interval_seconds=LOOK_SECONDS, work=_round)
