"""Expire: ends messages that wait behind a hold, or are paused, past their validity, so that producers know.

A claim ends expired messages before they are sent, but a lane on hold is not claimed from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, RecordKey, Space
from threelane.store.scripts import flags, script
from threelane.store.states import Status

BATCH = 500
PAUSE_SECONDS = 0.02  # between two batches, so that sending has priority


@script(__file__, flags)
def _expire(*, records: Sequence[RecordKey], now: int, keep_ms: int, ids: Sequence[str]) -> None:
    """End messages whose validity is over; returns which ended."""


async def expire(client: redis.asyncio.Redis, retention_ms: int, now: int, space: Space = HERE) -> int:
    """End all queued and paused messages of an account that are past their validity; returns how many."""
    ended, queued = await expire_paused(client, retention_ms, now, space), keys.names(space).QUEUED
    ending = _expire.within(space)
    for lane in keys.LANES:
        cursor = 0
        while True:
            page: Any = await client.zscan(queued[lane], cursor, count=BATCH)
            cursor, found = page
            ids = await rows.take_ids(client, queued[lane], [one for one, _ in found])
            records = keys.records(ids)
            ends = await ending.run(client, records=records, now=now, keep_ms=retention_ms, ids=ids) if ids else []
            over = [one for one, has_ended in zip(ids, ends, strict=True) if has_ended]
            logs.events("expired", [{"id": one, "lane": lane, "owner": "operator"} for one in over])
            ended += len(over)
            if not cursor:
                break
            await asyncio.sleep(PAUSE_SECONDS)
    return ended


async def expire_paused(client: redis.asyncio.Redis, retention_ms: int, now: int, space: Space = HERE) -> int:
    """End all paused messages of an account that are past their validity; their index is in its order, so few are read.

    A page that is read a second time ends the round: nothing of it could be ended.
    """
    ended, has_more, before = 0, True, None
    ending, paused = _expire.within(space), keys.names(space).PAUSED
    while has_more:
        found: Any = await client.zrange(paused, "-inf", now, byscore=True, offset=0, num=BATCH)
        ids = await rows.take_ids(client, paused, found)
        records = keys.records(ids)
        ends = await ending.run(client, records=records, now=now, keep_ms=retention_ms, ids=ids) if ids else []
        over = [one for one, has_ended in zip(ids, ends, strict=True) if has_ended]
        logs.events("expired", [{"id": one, "was": Status.PAUSED, "owner": "operator"} for one in over])
        ended, has_more = ended + len(over), len(found) == BATCH and found != before
        before = found
        await asyncio.sleep(PAUSE_SECONDS if has_more else 0)
    return ended
