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


class DutyScope(StrEnum):
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
    def scope(self) -> DutyScope:
        """Who does it."""
        return DutyScope.PROCESS if self.turn is None else DutyScope.FLEET

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
