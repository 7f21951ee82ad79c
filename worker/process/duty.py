"""Duty: a round of housekeeping as a value beside its verb.

A duty is declared in the module of its verb, and one list has all of a process: ``DUTIES`` in worker/upkeep/duties.py
for workers, in worker/webhooks/dispatcher.py for dispatchers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import redis.asyncio

from threelane.runtime.clock import RedisClock


class Context(Protocol):
    """What every duty needs; the contexts of workers and dispatchers have more."""

    @property
    def client(self) -> redis.asyncio.Redis:
        """Redis."""
        ...

    @property
    def clock(self) -> RedisClock:
        """The time of Redis, which the loop keeps in step."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the process has stopped taking new work."""
        ...


class DutyScope(StrEnum):
    """Which process performs a duty."""

    PROCESS = "process"  # each process
    FLEET = "fleet"  # whichever process takes the turn


C = TypeVar("C", bound=Context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty(Generic[C]):
    """A round of work, repeated at an interval, and at once while more work waits."""

    name: str
    """A value of the label ``round``."""
    work: Callable[[C], Awaitable[bool]]
    """One round; True: more work waits."""
    interval_seconds: float | Callable[[C], float]
    turn: Callable[[C], Awaitable[bool]] | None = None
    """Takes the turn if one process works for the fleet; None: each process works."""
    while_draining: bool = True
    """Whether it continues while the process drains; a duty that starts new work does not."""
    on_lane_1: bool = False
    """Whether a worker runs it on the event loop of lane 1, which no newsletter keeps busy."""
    needs_time: bool = True
    """Whether it needs the time of Redis; a probe does not, and must not wait for it."""

    @property
    def scope(self) -> DutyScope:
        """Which process performs it."""
        return DutyScope.PROCESS if self.turn is None else DutyScope.FLEET

    def seconds(self, context: C) -> float:
        """Return how long to wait before the next round if no work waits."""
        every = self.interval_seconds
        return every(context) if callable(every) else every

    async def round(self, context: C) -> bool:
        """Run one round if this process may do so now; True: more work waits."""
        if context.draining and not self.while_draining:
            return False
        if self.turn is not None and not await self.turn(context):
            return False
        return await self.work(context)
