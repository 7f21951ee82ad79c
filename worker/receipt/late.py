"""Late: publishes lane 1 messages without a final receipt in time, so that their producer can try another channel.

The time counts from when a message was accepted, became due or was redriven, wherever it is by then: in its lane, put
off by a retry or a hold, being sent, in doubt, or sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, RecordKey, Space
from threelane.store.scripts import script, texts
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

BATCH = 100
LATE_SECONDS = 1.0


@script(__file__, texts)
def _late(*, records: Sequence[RecordKey], now: int, late_ms: int, ids: Sequence[str]) -> None:
    """Publish late messages; returns the state in which each is late, or ""."""


async def late(client: redis.asyncio.Redis, late_ms: int, now: int, space: Space = HERE) -> list[str]:
    """Publish up to 200 late messages; those of other accounts only if their own workers do not; returns their ids."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.EXPECTED, "-inf", now - late_ms, byscore=True, offset=0, num=BATCH)
        pipe.zrange(keys.LATE, "-inf", now, byscore=True, offset=0, num=BATCH)
        expected, of_earlier = await pipe.execute()
    ids = await rows.take_ids(client, keys.EXPECTED, expected) + await rows.take_ids(client, keys.LATE, of_earlier)
    ids = list(dict.fromkeys(ids))
    if not ids:
        return []
    states = await _late.within(space).run(client, records=keys.records(ids), now=now, late_ms=late_ms, ids=ids)
    found = [(one, status) for one, status in zip(ids, states, strict=True) if status]
    for one, status in found:
        logs.event("late", level=30, id=one, status=status)
    return [one for one, _ in found]


async def _round(context: WorkerContext) -> bool:
    settings = context.settings
    return len(await late(context.client, settings.keeping.late, context.clock.now(), settings.space)) >= BATCH


DUTY = Duty(name="late", interval_seconds=LATE_SECONDS, work=_round, on_lane_1=True)
