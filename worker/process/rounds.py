"""Rounds: the loop that repeats a duty until its process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from threelane.runtime import logs
from threelane.worker.process import metrics
from threelane.worker.process.duty import C, Context, Duty

AWAY_SECONDS = 1.0  # after a round that failed
CANCEL_AGAIN_SECONDS = 0.5


async def repeat(duty: Duty[C], context: C, **about: str) -> None:
    """Do a duty until cancelled; a round that fails is counted and logged with ``about``, and the rounds go on."""
    while True:
        more = False
        try:
            await _follow_the_clock(context)
            more = await duty.round(context)
        except Exception as failed:  # Redis away, or a fault of ours: neither may end the rounds
            metrics.HOUSEKEEPING_FAILED.labels(duty.name).inc()
            logs.event("housekeeping_failed", level=30, round=duty.name, error=type(failed).__name__, **about)
            await asyncio.sleep(AWAY_SECONDS)
        if not more:
            await asyncio.sleep(duty.seconds(context))


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11, by which redis-py writes, swallows a cancellation that
    comes as the write is done; and a round that goes on for ever would keep its process from stopping.
    """
    left = set(tasks)
    while left:
        for one in left:
            one.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


async def _follow_the_clock(context: Context) -> None:
    if context.clock.is_stale():
        asked_at = context.clock.monotonic()
        context.clock.follow(await context.client.time(), asked_at)
