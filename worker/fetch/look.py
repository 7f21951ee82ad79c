"""Look: claims messages without a nudge straight from the queued index of their lane.

A nudge is a hint, and a broker may lose it, refuse it or be away.  So each worker looks at the index of its open lanes
once a second, lane 1 on its own event loop.  It claims in this process what has waited for about a second, under the
same shares, rate and holds as a nudge:

- if the broker has no nudge of the lane, or does not respond: every such message;
- if the broker delivers nudges of the lane, a backlog waits there in order: only messages that the lane has overtaken.

While the broker is away, looks carry all lanes at the rate of the account.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from threelane.producer.nudge import NUDGE_SIZE
from threelane.runtime import logs
from threelane.store import keys, missing, rows
from threelane.store.keys import HERE, Space
from threelane.store.tally import Count
from threelane.worker.fetch.lanes import LANES, Lanes
from threelane.worker.gateway.context import Sending, WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.rounds import Failures

LOOK_SECONDS = 0.95
AGAIN_SECONDS = 0.1  # while more waits, or a lane is closed by the rate or by busy threads
WAITED_MS = 900  # what has waited this long is claimed
APART_MS = 700  # what waited at a look this long ago is claimed, too: the clock may be corrected between two looks
PUBLISH_MS = 250  # a message is queued before its nudge is published
ORDER_MS = {1: 0, 2: 1_000, 3: 1_000}  # nudges that the rate put back are served out of order
BATCH = NUDGE_SIZE
MOST = 10 * BATCH  # ids that one look reads: workers that look at once start at different ones


class Look:
    """Looks at some lanes of this process; all its dependencies are arguments."""

    def __init__(self, name: str, own: Sequence[int], lanes: Lanes, rng: Random) -> None:
        """Look at ``own`` of the ``lanes``."""
        self._failures = Failures(name)
        self._own = frozenset(own)
        self._lanes = lanes
        self._rng = rng
        self._looked_at: dict[int, int] = {}
        self._seen_at: dict[int, int] = {}  # a look that is at least APART_MS older
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._found: Counter[int] = Counter()  # messages that are not counted in Redis yet
        self._is_soon = False

    def seconds(self, _: WorkerContext) -> float:
        """Return the time to the next look."""
        return AGAIN_SECONDS if self._is_soon else LOOK_SECONDS

    async def round(self, context: WorkerContext) -> bool:
        """Look at each open lane once; attempts go on while the next round begins."""
        await self._count(context.client, context.clock.now(), context.settings.space)
        opened = [lane for lane in self._lanes.to_look_at() if lane in self._own]
        closed = {lane for lane in self._own & self._lanes.serves if not self._lanes.is_held(lane)} - set(opened)
        self._is_soon = bool(closed)
        for lane in opened:
            sending = context.lane_1 if lane == keys.LANES[0] else context.rest
            self._is_soon |= await self._look(context, sending, lane, context.clock.now())
        return False

    async def end(self, client: redis.asyncio.Redis, now: int, space: Space = HERE) -> None:
        """Wait for the attempts under way, and count what was found."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(RedisError):
            await self._count(client, now, space)

    async def _look(self, context: WorkerContext, sending: Sending, lane: int, now: int) -> bool:
        """Start attempts at what has waited since the last look; returns whether more waits."""
        client, names = context.client, keys.names(context.settings.space)
        cutoff = await self._cutoff(client, lane, now, names.CLAIMED)
        found: Any = await client.zrange(names.QUEUED[lane], "-inf", cutoff, byscore=True, offset=0, num=MOST)
        known = await rows.take_ids(client, names.QUEUED[lane], found)
        ids = [one for one in known if one not in self._under_way]
        logs.event("looked", level=10, lane=lane, now=now, waiting=len(ids))
        batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
        first = self._rng.randrange(len(batches)) if batches else 0
        free = self._lanes.free_threads(lane)
        for batch in (batches[first:] + batches[:first])[:free]:
            self._start(sending, lane, batch)
        return len(batches) > free or len(found) == MOST

    async def _cutoff(self, client: redis.asyncio.Redis, lane: int, now: int, key: str) -> int:
        """Return by when a message must have been queued to be without its nudge now."""
        waited = max(now - WAITED_MS, self._seen(lane, now))
        empty_for = self._lanes.empty_for(lane)
        if empty_for is not None:
            return min(waited, now - int(empty_for * 1000) - PUBLISH_MS)
        claimed: Any = await client.hget(key, str(lane))
        return min(waited, int(claimed or 0) - ORDER_MS[lane] - 1)

    def _seen(self, lane: int, now: int) -> int:
        """Return when the look before this one was."""
        last = self._looked_at.get(lane, 0)
        if now - last >= APART_MS:
            self._seen_at[lane], self._looked_at[lane] = last, now
        return self._seen_at[lane]

    def _start(self, sending: Sending, lane: int, ids: Sequence[str]) -> None:
        self._under_way.update(ids)
        task = asyncio.create_task(self._attempt(sending, lane, ids))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, sending: Sending, lane: int, ids: Sequence[str]) -> None:
        try:
            with self._lanes.serving(lane, look=True):
                await sending.attempt(lane, ids, partial(self._claimed, lane))
        except Exception as failed:  # as in a round: Redis is unavailable, or a bug of ours
            self._failures.note(failed)
        else:
            self._failures.end()
        finally:
            self._under_way.difference_update(ids)

    def _claimed(self, lane: int, messages: int) -> None:
        if messages:
            self._found[lane] += messages
            logs.event("found_without_nudge", lane=lane, messages=messages)

    async def _count(self, client: redis.asyncio.Redis, now: int, space: Space) -> None:
        """Count in Redis what was found since the last time."""
        found = +self._found
        if found:
            async with client.pipeline(transaction=False) as pipe:
                missing.queue(pipe, Count.FOUND, found, now, space)
                await pipe.execute()
            self._found -= found


LANE_1 = Look("look_at_queue_1", keys.LANES[:1], LANES, Random())
REST = Look("look_at_queues", keys.LANES[1:], LANES, Random())

DUTY_1 = Duty(
    name="look_at_queue_1",
    interval_seconds=LANE_1.seconds,
    work=LANE_1.round,
    while_draining=False,
    on_lane_1=True,
)
DUTY = Duty(name="look_at_queues", interval_seconds=REST.seconds, work=REST.round, while_draining=False)
