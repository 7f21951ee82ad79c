"""Late: publishes lane 1 messages without a receipt in time, so that their producer can try another channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.scripts import flags, script
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

BATCH = 100
LATE_SECONDS = 1.0


@script(__file__, flags)
def _late(*, records: Sequence[RecordKey], ids: Sequence[str]) -> None:
    """Publish late messages; returns which were late."""


async def late(client: redis.asyncio.Redis, now: int) -> list[str]:
    """Publish up to 100 late messages; returns their ids."""
    due: Any = await client.zrange(keys.LATE, "-inf", now, byscore=True, offset=0, num=BATCH)
    if not due:
        return []
    ids = [one.decode() for one in due]
    published = await _late.run(client, records=keys.records(ids), ids=ids)
    found = [one for one, is_late in zip(ids, published, strict=True) if is_late]
    for one in found:
        logs.event("late", level=30, id=one)
    return found


async def _round(context: WorkerContext) -> bool:
    return len(await late(context.client, context.clock.now())) == BATCH


DUTY = Duty(name="late", interval_seconds=LATE_SECONDS, work=_round)
