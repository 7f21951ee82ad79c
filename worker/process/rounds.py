"""Rounds: the loop that repeats a duty until its process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from threelane.runtime import logs
from threelane.worker.process import metrics, refusals
from threelane.worker.process.duty import C, Context, Duty

AWAY_SECONDS = 1.0  # after a round that failed
CANCEL_AGAIN_SECONDS = 0.5


async def repeat(duty: Duty[C], context: C, **about: str) -> None:
    """Repeat a duty until cancelled; a failed round is counted and logged with ``about``, and the loop goes on."""
    while True:
        more = False
        try:
            await _follow_the_clock(context)
            more = await duty.round(context)
        except Exception as failed:  # Redis is unavailable, or a bug of ours: neither may end the loop
            metrics.HOUSEKEEPING_FAILED.labels(duty.name).inc()
            if not refusals.REDIS.note(failed):
                logs.event("housekeeping_failed", level=30, round=duty.name, error=type(failed).__name__, **about)
            await asyncio.sleep(AWAY_SECONDS)
        if not more:
            await asyncio.sleep(duty.seconds(context))


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11, which redis-py uses to write, swallows a cancellation
    that arrives as the write completes; an endless round would then keep its process from stopping.
    """
    left = set(tasks)
    while left:
        for one in left:
            one.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


async def _follow_the_clock(context: Context) -> None:
    if context.clock.is_stale():
        requested_at = context.clock.monotonic()
        context.clock.follow(await context.client.time(), requested_at)
