"""Rounds: the loop that repeats a duty until its process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from threelane.runtime import logs
from threelane.worker.process import metrics, refusals
from threelane.worker.process.duty import C, Context, Duty

AWAY_SECONDS = 1.0  # after a round that failed
CANCEL_AGAIN_SECONDS = 0.5


class Failures:
    """The failed rounds of a duty: each is counted, and each kind of error is logged once until a round succeeds."""

    def __init__(self, duty: str, **about: str) -> None:
        """Take the name of the duty, and what else an event shows."""
        self._duty = duty
        self._about = about
        self._logged: set[str] = set()  # since the last round that succeeded

    def note(self, failed: Exception) -> None:
        """Count a failed round, and log why unless the log shows it already."""
        metrics.HOUSEKEEPING_FAILED.labels(self._duty).inc()
        error = type(failed).__name__
        if not refusals.REDIS.note(failed) and error not in self._logged:
            self._logged.add(error)
            logs.event("housekeeping_failed", level=30, round=self._duty, error=error, **self._about)

    def end(self) -> None:
        """Note a round that succeeded."""
        self._logged.clear()


async def repeat(duty: Duty[C], context: C, **about: str) -> None:
    """Repeat a duty until cancelled; a failed round is counted and logged with ``about``, and the loop goes on."""
    failures = Failures(duty.name, **about)
    while True:
        more = False
        try:
            if duty.needs_time:
                await _follow_the_clock(context)
            more = await duty.round(context)
            failures.end()
        except Exception as failed:  # Redis is unavailable, or a bug of ours: neither may end the loop
            failures.note(failed)
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
