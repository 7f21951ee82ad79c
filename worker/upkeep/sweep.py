"""Sweep: finds queued messages with a lost nudge by their lane's order, and nudges them again.

It is the last resort: workers look at the queued index each second, so each find raises an alarm.

Lanes are first in, first out.  So a message has lost its nudge when, between two sweeps, its lane served messages
that were queued later, or when the lane was empty at both sweeps and served nothing in between.  A backlog alone,
however old, is neither.  While a lane is on hold or the breaker is open, nothing may be claimed there: it is not swept,
and looks claim what waits afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys, missing, rows
from threelane.store.keys import RecordKey, Space
from threelane.store.scripts import script
from threelane.store.tally import Count
from threelane.worker.account import hold
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.settings import WorkerSettings

BATCH = 100
MINUTES_KEPT = 24 * 60  # of charges
MOST = 10_000  # messages of one lane in one sweep
LOGGED = 20  # ids of messages that were swept again


@script(__file__, list[int])
def _sweep(*, records: Sequence[RecordKey], now: int, lane: int, queued_by: int, ids: Sequence[str]) -> None:
    """Move messages with a lost nudge to the end of their lane; returns how often each was moved by now, or 0."""


async def sweep(
    client: redis.asyncio.Redis, depths: dict[int, int], settings: WorkerSettings, now: int, *, may_claim: bool = True
) -> dict[int, list[str]]:
    """Sweep all lanes; ``depths`` are the nudges waiting on each lane; returns by lane the ids to be nudged.

    ``may_claim`` is False while the breaker is open.
    """
    lost: dict[int, list[str]] = {}
    space = settings.space
    entries = await hold.read(client, space)
    held = hold.decode(entries, now, space)
    for lane in keys.LANES:
        cutoff = await _cutoff(client, lane, depths[lane], settings, now)
        if not may_claim or "account" in held or f"lane:{lane}" in held:
            await client.hset(
                keys.names(space).SWEEP, f"{lane}:empty", 0
            )  # looks have an interval to claim what waited
            continue
        times = await _lost(client, lane, cutoff, now, space) if cutoff else {}
        if times:
            await _raise_alarm(client, lane, times, now, space)
            lost[lane] = list(times)
    return lost


async def _raise_alarm(client: redis.asyncio.Redis, lane: int, times: dict[str, int], now: int, space: Space) -> None:
    again = [one for one, swept in times.items() if swept > 1]
    logs.event("swept", level=30, lane=lane, messages=len(times))
    if again:
        logs.event("swept_again", level=40, lane=lane, messages=len(again), ids=again[:LOGGED])
    async with client.pipeline(transaction=False) as pipe:
        missing.queue(pipe, Count.SWEPT, {lane: len(times)}, now, space, tally=False)
        if again:
            missing.queue(pipe, Count.SWEPT_AGAIN, {lane: len(again)}, now, space, tally=False)
        await pipe.execute()


async def forget(client: redis.asyncio.Redis, settings: WorkerSettings, now: int) -> None:
    """Delete expired dead letters, charges older than a day, old counts of missing nudges, and surplus events."""
    names = keys.names(settings.space)
    await client.zremrangebyscore(keys.DEAD, "-inf", now - settings.retention_ms)
    first = now // 60_000 - MINUTES_KEPT
    old = [minute for minute in await rows.table_async(client, names.BURN) if rows.number(minute) < first]
    if old:
        await client.hdel(names.BURN, *old)
    await missing.forget(client, now, settings.space)
    await rows.unless_damaged_async(keys.EVENTS, client.xtrim(keys.EVENTS, maxlen=settings.events_kept))


async def take_turn(client: redis.asyncio.Redis, settings: WorkerSettings) -> bool:
    """Return whether it is this worker's turn: one worker sweeps in each interval."""
    milliseconds = int(settings.sweep_seconds * 900)  # a little less, so that no interval is missed
    return bool(await client.set(keys.names(settings.space).SWEEPING, 1, nx=True, px=milliseconds))


async def _cutoff(client: redis.asyncio.Redis, lane: int, depth: int, settings: WorkerSettings, now: int) -> int:
    """Return the time by which a message must have been queued to count as having lost its nudge; 0: none has."""
    margin = int(settings.lost_nudge_seconds * 1000)
    names = keys.names(settings.space)
    claimed: Any = await client.hget(names.CLAIMED, str(lane))
    seen: Any = await client.hmget(names.SWEEP, [f"{lane}:mark", f"{lane}:empty"])
    mark, mark_before, was_empty = int(claimed or 0), int(seen[0] or 0), seen[1] == b"1"
    await client.hset(names.SWEEP, mapping={f"{lane}:mark": mark, f"{lane}:empty": int(depth == 0)})
    if mark > mark_before > 0:
        return mark_before - margin
    if depth == 0 and was_empty:
        return now - margin
    return 0


async def _lost(client: redis.asyncio.Redis, lane: int, cutoff: int, now: int, space: Space) -> dict[str, int]:
    """Move messages with a lost nudge; returns how often each was swept by now."""
    queued = keys.names(space).QUEUED[lane]
    found: Any = await client.zrange(queued, "-inf", cutoff, byscore=True, offset=0, num=MOST)
    ids = await rows.take_ids(client, queued, found)
    lost: dict[str, int] = {}
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        records = keys.records(batch)
        swept = await _sweep.within(space).run(client, records=records, now=now, lane=lane, queued_by=cutoff, ids=batch)
        lost |= {one: times for one, times in zip(batch, swept, strict=True) if times}
    return lost


async def _turn(context: WorkerContext) -> bool:
    return await take_turn(context.client, context.settings)


async def _round(context: WorkerContext) -> bool:
    await forget(context.client, context.settings, context.clock.now())
    depths = await asyncio.to_thread(context.nudger.depths)
    may_claim, now = context.may_call, context.clock.now()
    lost = await sweep(context.client, depths, context.settings, now, may_claim=may_claim)
    for lane, ids in lost.items():
        metrics.SWEPT.labels(lane).inc(len(ids))
    await context.nudge(lost)
    return False


def _seconds(context: WorkerContext) -> float:
    return context.settings.sweep_seconds


DUTY = Duty(name="sweep", interval_seconds=_seconds, work=_round, turn=_turn, while_draining=False)
