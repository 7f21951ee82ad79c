"""Publish ceiling: the memory ceiling of Redis, for producers whose Redis user may not read it."""

from __future__ import annotations

from contextlib import suppress

from redis.exceptions import OutOfMemoryError

from threelane.store import ceiling
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

PUBLISH_SECONDS = 10.0


async def _round(context: WorkerContext) -> bool:
    with suppress(OutOfMemoryError):  # producers are refused by Redis itself then
        await ceiling.publish(context.client)
    return False


DUTY = Duty(name="publish_ceiling", interval_seconds=PUBLISH_SECONDS, work=_round)
