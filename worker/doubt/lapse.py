"""Lapse: puts attempts with a lapsed lease in doubt, since their worker is gone."""

from __future__ import annotations

from collections.abc import Sequence

import redis.asyncio

from threelane.contract.refusal import Owner
from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, IndexKey, RecordKey, Space
from threelane.store.scripts import flags, script
from threelane.store.states import Status
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty

BATCH = 100
LAPSE_SECONDS = 1.0


@script(__file__, flags, [Owner])
def _lapse(*, records: Sequence[RecordKey], lapsed_in: IndexKey, now: int, look_up_at: int, ids: Sequence[str]) -> None:
    """Put messages with a lapsed lease in doubt; returns which were."""


async def lapse(client: redis.asyncio.Redis, first_probe_ms: int, now: int, space: Space = HERE) -> list[str]:
    """Put up to 100 messages of each lane of an account with a lapsed lease in doubt, lane 1 first; returns their ids.

    Attempts of earlier versions have their leases in an index of all lanes.
    """
    indexes, lapsed = keys.indexes_of(Status.SENDING, space=space), []
    async with client.pipeline(transaction=False) as pipe:
        for index in indexes:
            pipe.zrange(index, "-inf", now, byscore=True, offset=0, num=BATCH)
        found = await pipe.execute()
    for index, over in zip(indexes, found, strict=True):
        if ids := await rows.take_ids(client, index, over):
            records, look_up_at = keys.records(ids), now + first_probe_ms
            moved = await _lapse.within(space).run(
                client, records=records, lapsed_in=index, now=now, look_up_at=look_up_at, ids=ids
            )
            lapsed += [one for one, done in zip(ids, moved, strict=True) if done]
    for one in lapsed:
        logs.event("in_doubt", level=30, id=one, code="lapsed", reason="lease_ran_out", owner="operator")
    return lapsed


async def _round(context: WorkerContext) -> bool:
    first_probe_ms = int(context.settings.doubt_delays_seconds[0] * 1000)
    lapsed = await lapse(context.client, first_probe_ms, context.clock.now(), context.settings.space)
    metrics.LAPSED.inc(len(lapsed))
    return len(lapsed) >= BATCH


DUTY = Duty(name="lapse", interval_seconds=LAPSE_SECONDS, work=_round)
