"""Copy outcomes: copies how the messages of batches ended, before their records expire; one worker, once an hour.

A record is kept for 8 days or more after its message ended, so a batch is visited once a day.  A row whose record is
gone does not change any more: it is not read again, nor is a batch of which all rows are so.  What ended longer ago
than THREELANE_BATCH_DAYS leaves a batch that goes on; the list of batches loses those that are no longer kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio

from threelane.contract import message_id
from threelane.contract.schedule import DAY
from threelane.runtime import logs
from threelane.store import keys, outcome, rows
from threelane.store.batches import KEPT_MS, SLICE, TAG_OCTETS, BatchField, is_row, octets
from threelane.store.keys import BATCHES
from threelane.store.outcome import READ, BatchMessage
from threelane.store.readable import row
from threelane.store.rewrite_rows import KEEPS, RowChange, rewrite_rows
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 60.0  # how often a worker checks whether it is its turn
TURN_MS = 3600 * 1000
VISIT_MS = DAY  # how often a batch is visited while records of it exist
PAUSE_SECONDS = 0.02  # between two slices, so that sending has priority


async def copy_all(client: redis.asyncio.Redis, rows_kept_ms: int, now: int) -> int:
    """Copy the outcomes of all batches that are due for a visit; returns how many rows were rewritten."""
    await rows.unless_damaged_async(BATCHES, client.zremrangebyscore(BATCHES, "-inf", now - max(KEPT_MS, rows_kept_ms)))
    found = await rows.unless_damaged_async(BATCHES, client.zrange(BATCHES, now - rows_kept_ms, "+inf", byscore=True))
    copied = 0
    for one in rows.ids(found or []):
        if await _is_due(client, one, now):
            copied += await copy(client, one, rows_kept_ms, now)
    if copied:
        logs.event("outcomes_copied", rows=copied)
    return copied


async def copy(client: redis.asyncio.Redis, batch: str, rows_kept_ms: int, now: int) -> int:
    """Copy the outcomes of one batch; returns how many rows were rewritten."""
    key, cursor, closed, copied = keys.batch_rows(batch), 0, 0, 0
    while True:
        page: Any = await rows.unless_damaged_async(key, client.hscan(key, cursor, count=SLICE)) or (0, {})
        cursor, found = page
        entries, found = len(found), {field: value for field, value in found.items() if is_row(field)}
        open_ids = [message_id.from_octets(field) for field, value in found.items() if not outcome.is_closed(value)]
        closed += entries - len(open_ids)
        changes = await _changes(client, open_ids, found)
        for start in range(0, len(changes), SLICE):
            copied += await rewrite_rows.run(client, rows=key, changes=changes[start : start + SLICE])
        if old := [field for field, value in found.items() if _is_old(field, value, now - rows_kept_ms)]:
            await client.hdel(key, *old)
        if not cursor:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    note: Mapping[Any, Any] = {BatchField.COPIED: now, BatchField.CLOSED: closed}
    await rows.unless_damaged_async(keys.batch(batch), client.hset(keys.batch(batch), mapping=dict(note)))
    return copied


async def _is_due(client: redis.asyncio.Redis, batch: str, now: int) -> bool:
    """Return whether a batch was not visited for a day, and has rows that may change."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hmget(keys.batch(batch), [BatchField.NAME, BatchField.COPIED, BatchField.CLOSED])
        pipe.hlen(keys.batch_rows(batch))
        own, size = await pipe.execute(raise_on_error=False)
    name, copied, closed = rows.known(keys.batch(batch), own, [None] * 3)
    size = rows.known(keys.batch_rows(batch), size, 0)
    return bool(name and size) and rows.number(copied) <= now - VISIT_MS and rows.number(closed, -1) != size


async def _changes(client: redis.asyncio.Redis, ids: Sequence[str], found: Mapping[bytes, bytes]) -> list[RowChange]:
    """Return the outcomes of messages at rest, and of those whose record has expired meanwhile."""
    async with client.pipeline(transaction=False) as pipe:
        for name in keys.records(ids):
            pipe.hmget(name, READ)
        replies = await pipe.execute(raise_on_error=False) if ids else []
    changes = []
    for one, reply in zip(ids, replies, strict=True):
        field = message_id.octets(one)
        record = row(READ, reply)
        message = outcome.of_record(one, record) if record else outcome.kept(one, found[field]) or BatchMessage(id=one)
        if not record or message.status in outcome.COPIED:
            copied = outcome.encode(message, closed=not record)
            if copied != found[field][TAG_OCTETS:]:
                changes.append(RowChange(octets(field), KEEPS, octets(copied)))
    return changes


def _is_old(field: bytes, value: bytes, before: int) -> bool:
    """Return whether a message was accepted longer ago than batches keep rows."""
    if not outcome.is_closed(value):
        return False
    kept = outcome.kept(message_id.from_octets(field), value)
    return kept is not None and 0 < kept.accepted_at < before


async def _turn(context: WorkerContext) -> bool:
    return bool(await context.client.set(keys.COPYING, 1, nx=True, px=TURN_MS))


async def _round(context: WorkerContext) -> bool:
    await copy_all(context.client, context.settings.batch_ms, context.clock.now())
    return False


DUTY = Duty(name="copy_outcomes", interval_seconds=LOOK_SECONDS, work=_round, turn=_turn, while_draining=False)
