"""Release: moves due messages to the queues of their lanes; every worker does it, in small batches.

Lane 1 has its own duty on its own event loop, and each other lane its own batch: a code that becomes due after 20,000
newsletters is released with the first batch after its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.producer.nudge import NUDGE_SIZE
from threelane.store import keys, rows
from threelane.store.keys import HERE, IndexKey, RecordKey, Space
from threelane.store.scripts import flags, script
from threelane.store.states import Status
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process import by_lane, metrics

BATCH = NUDGE_SIZE
RELEASE_SECONDS = 0.2


@script(__file__, flags)
def _release(*, records: Sequence[RecordKey], former: IndexKey, now: int, lane: int, ids: Sequence[str]) -> None:
    """Put due messages on their lane; returns which were."""


async def release(client: redis.asyncio.Redis, lane: int, now: int, space: Space = HERE) -> list[str]:
    """Release up to 99 due messages of a lane of an account; returns the ids to be nudged."""
    names = keys.names(space)
    due: Any = await client.zrange(names.DUE[lane], "-inf", now, byscore=True, offset=0, num=BATCH)
    ids = await rows.take_ids(client, names.DUE[lane], due)
    if not ids:
        return []
    records, former = keys.records(ids), names.FORMER[Status.SCHEDULED]
    released = await _release.within(space).run(client, records=records, former=former, now=now, lane=lane, ids=ids)
    return [one for one, is_released in zip(ids, released, strict=True) if is_released]


async def _lane(context: WorkerContext, lane: int) -> bool:
    released = await release(context.client, lane, context.clock.now(), context.settings.space)
    metrics.RELEASED.labels(lane).inc(len(released))
    await context.nudge({lane: released} if released else {})
    return len(released) == BATCH


DUTY_1, DUTY = by_lane.duties(
    "release", lambda names: names.DUE, _lane, lane_1_seconds=RELEASE_SECONDS, seconds=RELEASE_SECONDS
)
