"""Forget waits: removes notes of waits that a worker of an earlier version ended, so that no age grows for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.store import keys, rows, waiting
from threelane.store.keys import HERE, RecordKey, Space
from threelane.store.scripts import Item, number, script
from threelane.store.waiting import Cause
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

BATCH = 20  # of each lane and cause, the oldest
FORGET_SECONDS = 10.0


class Note(Item, frozen=True):
    """A record's ``waiting`` field as the set has it, and the id."""

    note: str
    id: str


@script(__file__, number)
def _forget_waits(*, records: Sequence[RecordKey], notes: Sequence[Note]) -> None:
    """Remove notes of messages that no longer wait; returns how many were removed."""


async def forget_waits(client: redis.asyncio.Redis, space: Space = HERE) -> int:
    """Check the oldest notes of each lane and cause, and remove the outdated ones; returns how many."""
    async with client.pipeline(transaction=False) as pipe:
        for lane in keys.LANES:
            for cause in Cause:
                first, after = waiting.bounds(lane, cause)
                pipe.zrange(keys.names(space).WAITING, first, after, bylex=True, offset=0, num=BATCH)
        found: Any = await pipe.execute()
    members = await rows.take_ids(client, keys.names(space).WAITING, [member for one in found for member in one])
    notes = [Note(*member.rsplit(":", 1)) for member in members if ":" in member]
    if not notes:
        return 0
    records = keys.records(one.id for one in notes)
    return await _forget_waits.within(space).run(client, records=records, notes=notes)


async def _round(context: WorkerContext) -> bool:
    return await forget_waits(context.client, context.settings.space) > 0


DUTY = Duty(name="forget_waits", interval_seconds=FORGET_SECONDS, work=_round)
