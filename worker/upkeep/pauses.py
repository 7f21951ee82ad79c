"""Pauses: ends what expires while it is paused, and completes the pauses and resumes that were cut off.

A resume ends the pause first, so what still waits for the end of a pause that is over goes back here.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio

from threelane.contract.message_id import from_octets
from threelane.producer import pause as pausing
from threelane.producer.pause import SLICE
from threelane.runtime import logs
from threelane.store import batches, keys, pauses, rows
from threelane.store.keys import HERE, Space
from threelane.store.pauses import Pause
from threelane.store.spaces import spaces_async
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.upkeep.expire import expire_paused

LOOK_SECONDS = 5.0
GRACE_MS = 10_000  # within this time the command that began a pause completes it
PAUSE_SECONDS = 0.02  # between two slices, so that sending has priority


async def complete(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> None:
    """Put aside what the command that began a pause left, and forget old pauses without messages.

    A batch may have messages of several accounts; the worker that is first does this for all of them.
    """
    for field, raw in (await rows.table_async(client, keys.PAUSES)).items():
        one = rows.decode(keys.PAUSES, field, raw, pauses.decode)
        if one is None:
            continue
        if one.state == "moving" and one.since <= now - GRACE_MS:
            moved = await _put_aside(client, one, now)
            await pauses.complete.run(client, **pauses.completing(one))
            logs.event("batch_paused", batch=one.name, producer=one.producer, messages=moved)
        elif one.since <= now - pauses.FORGOTTEN_MS and not await _waits(client, field, space):
            await client.hdel(keys.PAUSES, field.decode())


async def put_back(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> tuple[bool, dict[int, list[str]]]:
    """Put back a slice of each batch that is no longer paused, as far as it is of one account.

    Returns whether more wait, and by lane what is due.
    """
    due: dict[int, list[str]] = defaultdict(list)
    has_more = False
    async for digest in _digests(client, space):
        found = await rows.unless_damaged_async(keys.PAUSES, client.hmget(keys.PAUSES, digest))
        if found != [None]:
            continue
        members, lanes = await pausing.put_slice_back(client, digest, now, space)
        has_more = has_more or members == SLICE
        for lane, ids in lanes.items():
            due[lane] += ids
    return has_more, due


async def _digests(client: redis.asyncio.Redis, space: Space) -> AsyncIterator[str]:
    """Yield the batches that have paused messages; one command each."""
    start, order = "-", keys.names(space).PAUSED_ORDER
    while found := await client.zrange(order, start, "+", bylex=True, offset=0, num=1):
        for member in await rows.take_ids(client, order, found):
            digest = member.partition(":")[0]
            yield digest
            start = f"[{digest};"


async def _waits(client: redis.asyncio.Redis, field: bytes, own: Space) -> bool:
    """Return whether a batch has paused messages, of any account."""
    first, after = pauses.bounds(field.decode())
    for space in {own, *await spaces_async(client)}:
        if await client.zlexcount(keys.names(space).PAUSED_ORDER, first, after):
            return True
    return False


async def _put_aside(client: redis.asyncio.Redis, one: Pause, now: int) -> int:
    key, cursor, moved = keys.batch_rows(batches.digest(one.producer, one.name)), 0, 0
    while True:
        page: Any = await client.hscan(key, cursor, count=SLICE)
        cursor, found = page
        moved += await pausing.put_aside(client, [from_octets(field) for field in found if batches.is_row(field)], now)
        if not cursor:
            return moved
        await asyncio.sleep(PAUSE_SECONDS)


async def _round(context: WorkerContext) -> bool:
    client, now, space = context.client, context.clock.now(), context.settings.space
    await expire_paused(client, context.settings.retention_ms, now, space)
    await complete(client, now, space)
    has_more, due = await put_back(client, now, space)
    await context.nudge(due)
    return has_more


DUTY = Duty(name="pauses", interval_seconds=LOOK_SECONDS, work=_round, while_draining=False)
