"""Expire: what waits behind a hold past its validity ends all the same, so that its producer hears, and its text goes.

A claim ends what is past its validity before it is sent; a lane that stands still is not claimed from.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys
from threelane.store.scripts import Script

BATCH = 500
PAUSE_SECONDS = 0.02  # between two batches, so that sending goes before
_expire = Script(__file__, "expire")


async def expire(client: redis.asyncio.Redis, retention_ms: int, now: int) -> int:
    """End all queued messages that are past their validity; returns how many."""
    ended = 0
    for lane in keys.LANES:
        cursor = 0
        while True:
            page: Any = await client.zscan(keys.QUEUED[lane], cursor, count=BATCH)
            cursor, found = page
            ids = [one.decode() for one, _ in found]
            records = [keys.record(one) for one in ids]
            answers = await _expire.run(client, records, [now, retention_ms, *ids]) if ids else []
            over = [one for one, answer in zip(ids, answers, strict=True) if answer == 1]
            logs.events("expired", [{"id": one, "lane": lane, "owner": "operator"} for one in over])
            ended += len(over)
            if not cursor:
                break
            await asyncio.sleep(PAUSE_SECONDS)
    return ended
