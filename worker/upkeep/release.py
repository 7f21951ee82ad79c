"""Release: moves due messages to their lanes; every worker does it, in small batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.producer.nudge import NUDGE_SIZE
from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.scripts import script, texts
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty

BATCH = NUDGE_SIZE
RELEASE_SECONDS = 0.2


@script(__file__, texts)
def _release(*, records: Sequence[RecordKey], now: int, ids: Sequence[str]) -> None:
    """Put due messages on their lanes; returns the lane of each, or "" if it is not due any more."""


async def release(client: redis.asyncio.Redis, now: int) -> dict[int, list[str]]:
    """Release up to 99 due messages; returns by lane the ids to be nudged."""
    due: Any = await client.zrange(keys.DUE, "-inf", now, byscore=True, offset=0, num=BATCH)
    if not due:
        return {}
    ids = [one.decode() for one in due]
    lanes = await _release.run(client, records=keys.records(ids), now=now, ids=ids)
    released: dict[int, list[str]] = defaultdict(list)
    for one, lane in zip(ids, lanes, strict=True):
        if lane:
            released[int(lane)].append(one)
    return released


async def _round(context: WorkerContext) -> bool:
    released = await release(context.client, context.clock.now())
    for lane, ids in sorted(released.items()):
        metrics.RELEASED.labels(lane).inc(len(ids))
    await context.nudge(released)
    return sum(map(len, released.values())) == BATCH


DUTY = Duty(name="release", interval_seconds=RELEASE_SECONDS, work=_round, while_draining=False)
