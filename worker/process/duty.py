"""Duty: a round of housekeeping as a value beside its verb, and the loop that repeats it.

A duty is declared in the module of its verb, and one list has all of a process: ``DUTIES`` in worker/upkeep/duties.py
for workers, in worker/webhooks/dispatcher.py for dispatchers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import redis.asyncio

from threelane.runtime import logs
from threelane.runtime.clock import RedisClock
from threelane.worker.process import metrics

AWAY_SECONDS = 1.0  # after a round that failed
CANCEL_AGAIN_SECONDS = 0.5


class Context(Protocol):
    """What each duty works with; a worker's and a dispatcher's have more."""

    @property
    def client(self) -> redis.asyncio.Redis:
        """Redis."""
        ...

    @property
    def clock(self) -> RedisClock:
        """The time of Redis, which the loop keeps right."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the process takes nothing new."""
        ...


class Scope(StrEnum):
    """Who does a duty."""

    PROCESS = "process"  # each process
    FLEET = "fleet"  # whichever process takes the turn


C = TypeVar("C", bound=Context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty(Generic[C]):
    """A round of work that is repeated: every so many seconds, and at once while more work waits."""

    name: str
    """A value of the label ``round``."""
    work: Callable[[C], Awaitable[bool]]
    """One round; True: more work waits."""
    interval_seconds: float | Callable[[C], float]
    turn: Callable[[C], Awaitable[bool]] | None = None
    """How a process takes the turn when one does it for all; None: each process does it."""
    while_draining: bool = True
    """Whether it goes on while the process drains; what takes on new work does not."""

    @property
    def scope(self) -> Scope:
        """Who does it."""
        return Scope.PROCESS if self.turn is None else Scope.FLEET

    def seconds(self, context: C) -> float:
        """Return how long to wait for the next round when no work waits."""
        every = self.interval_seconds
        return every(context) if callable(every) else every

    async def round(self, context: C) -> bool:
        """Work once, if it may be done now and by this process; True: more work waits."""
        if context.draining and not self.while_draining:
            return False
        if self.turn is not None and not await self.turn(context):
            return False
        return await self.work(context)


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
