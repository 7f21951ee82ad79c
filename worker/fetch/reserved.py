"""Reserved: a worker for lane 1 only sends heartbeats; busy workers leave it the lane while it keeps up."""

from __future__ import annotations

from contextlib import suppress

import redis.asyncio
from redis.exceptions import OutOfMemoryError

from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.identity import IDENTITY

LOOK_SECONDS = 0.25
SIGN_MS = 1_000  # without a new heartbeat the worker counts as gone
BEHIND_MS = 250  # after this wait any worker may take a message of lane 1
_FIRST = keys.LANES[0]


async def sign(client: redis.asyncio.Redis, name: str, space: Space = HERE) -> None:
    """Publish a heartbeat: this worker serves lane 1 only."""
    with suppress(OutOfMemoryError):  # meanwhile the others serve the lane, too
        await client.set(keys.names(space).LANE_1_WORKER, name, px=SIGN_MS)


async def keeps_up(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> bool:
    """Return whether a reserved worker is alive and has no backlog; ``now`` is Unix time in milliseconds."""
    names = keys.names(space)
    async with client.pipeline(transaction=False) as pipe:
        pipe.exists(names.LANE_1_WORKER)
        pipe.zrange(names.QUEUED[_FIRST], 0, 0, withscores=True)
        lives, oldest = await pipe.execute()
    return bool(lives) and all(now - since <= BEHIND_MS for _, since in oldest)


async def _round(context: WorkerContext) -> bool:
    if LANES.consumed != {_FIRST}:
        LANES.spared = await keeps_up(context.client, context.clock.now(), context.settings.space)
    elif not context.draining and context.may_call:
        await sign(context.client, IDENTITY.name, context.settings.space)
    return False


DUTY = Duty(name="look_at_lane_1", interval_seconds=LOOK_SECONDS, work=_round)
