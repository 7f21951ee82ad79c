"""Adopt: moves ids from the indexes of all lanes, which earlier versions write, to the index of their lane.

Producers and endpoints of an earlier version may run beside these workers, and a Redis may have messages from before
an upgrade.  A lease in ``tl:leases`` is not moved: the earlier worker that has it would not find it; see lapse.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, IndexKey, RecordKey, Space
from threelane.store.scripts import number, script
from threelane.store.states import Status
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

BATCH = 500
ADOPT_SECONDS = 0.5
ADOPTED = (Status.SCHEDULED, Status.IN_DOUBT, Status.SENT)


@script(__file__, number)
def _adopt(*, records: Sequence[RecordKey], former: IndexKey, now: int, status: Status, ids: Sequence[str]) -> None:
    """Move ids to the index of their lane; returns how many were moved."""


async def adopt(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> int:
    """Move up to 500 ids of each former index, the earliest first; returns how many were in them."""
    async with client.pipeline(transaction=False) as pipe:
        for status in ADOPTED:
            pipe.zrange(keys.names(space).FORMER[status], 0, BATCH - 1)
        found: Any = await pipe.execute()
    for status, members in zip(ADOPTED, found, strict=True):
        former = keys.names(space).FORMER[status]
        if ids := await rows.take_ids(client, former, members):
            records = keys.records(ids)
            moved = await _adopt.within(space).run(
                client, records=records, former=former, now=now, status=status, ids=ids
            )
            logs.event("adopted", status=status, messages=moved)
    return sum(map(len, found))


async def _round(context: WorkerContext) -> bool:
    return await adopt(context.client, context.clock.now(), context.settings.space) > 0


DUTY = Duty(name="adopt", interval_seconds=ADOPT_SECONDS, work=_round, on_lane_1=True)
