"""Memory budget: bounds the octets that the requests of a process hold together; what does not fit waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

from threelane.runtime.connections import in_queue


class NoRoom(Exception):
    """The memory was in use by other requests until the deadline."""


class MemoryBudget:
    """A number of octets, of which one holder (a producer) may have half."""

    def __init__(self, octets: int) -> None:
        """Share out so many."""
        self.octets = octets
        self.share = octets // 2
        self.free = octets
        self.held: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []

    def lease(self, holder: str) -> Lease:
        """Return an empty lease."""
        return Lease(self, holder)

    def take(self, holder: str, octets: int) -> bool:
        """Take octets if they are free, within the holder's share, and nobody else waits for them."""
        return not any(self._fits_share(one.holder, one.octets) for one in self._waiting) and self._take(holder, octets)

    def _fits_share(self, holder: str, octets: int) -> bool:
        return self.held[holder] + octets <= self.share

    def _take(self, holder: str, octets: int) -> bool:
        if octets > self.free or not self._fits_share(holder, octets):
            return False
        self.free -= octets
        self.held[holder] += octets
        return True

    def give(self, holder: str, octets: int) -> None:
        """Give octets back, and serve those that wait: holders with the least first, of equals the first one."""
        self.free += octets
        self.held[holder] -= octets
        if not self.held[holder]:
            del self.held[holder]
        self._serve()

    def _serve(self) -> None:
        for one in sorted(self._waiting, key=lambda one: self.held[one.holder]):
            if one.served.done() or not self._fits_share(one.holder, one.octets):
                continue
            if not self._take(one.holder, one.octets):
                return  # what is next is not overtaken by what is smaller
            one.served.set_result(None)

    async def wait(self, holder: str, octets: int, seconds: float) -> None:
        """Return when the octets are taken; raises NoRoom after the deadline, or at once if they can never fit."""
        if octets > self.share:
            raise NoRoom
        one = _Waiting(holder, octets, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        try:
            with in_queue():
                await asyncio.wait_for(asyncio.shield(one.served), seconds)
        except TimeoutError:
            if not one.served.done():
                raise NoRoom from None
        except asyncio.CancelledError:
            if one.served.done():
                self.give(holder, octets)
            raise
        finally:
            self._waiting.remove(one)
            one.served.cancel()
            self._serve()


class Lease:
    """What one request holds."""

    __slots__ = ("_budget", "_holder", "octets")

    def __init__(self, budget: MemoryBudget, holder: str) -> None:
        """Hold nothing yet."""
        self._budget = budget
        self._holder = holder
        self.octets = 0

    async def resize(self, octets: int, seconds: float) -> None:
        """Hold so many octets; raises NoRoom if more are needed and do not become free in time."""
        more = octets - self.octets
        if more < 0:
            self._budget.give(self._holder, -more)
        elif not self._budget.take(self._holder, more):
            await self._budget.wait(self._holder, more, seconds)
        self.octets = octets

    def release(self) -> None:
        """Give everything back."""
        octets, self.octets = self.octets, 0
        if octets:
            self._budget.give(self._holder, octets)


class _Waiting(NamedTuple):
    holder: str
    octets: int
    served: asyncio.Future[None]
