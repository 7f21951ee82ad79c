"""Places: how many long requests are at work at once, shared between producers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from threelane.runtime.connections import in_queue


class NoPlace(Exception):
    """All places were taken until the deadline."""


class FairPlaces:
    """A number of places, of which one holder (a producer) may have some; the holder with the fewest is next."""

    def __init__(self, number: int, share: int) -> None:
        """Share out so many, at most ``share`` to one holder."""
        self._free = number
        self._share = share
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []

    @asynccontextmanager
    async def place(self, holder: str, seconds: float) -> AsyncIterator[None]:
        """Hold a place; raises NoPlace if none becomes free in time."""
        if not self._take(holder):
            await self._wait(holder, seconds)
        try:
            yield
        finally:
            self._give(holder)

    def _take(self, holder: str) -> bool:
        if not self._free or self._held[holder] >= self._share:
            return False
        self._free -= 1
        self._held[holder] += 1
        return True

    def _give(self, holder: str) -> None:
        self._free += 1
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
        waiting = [one for one in self._waiting if not one.served.done()]
        for one in sorted(waiting, key=lambda one: self._held[one.holder]):  # stable: the first of equals is next
            if self._take(one.holder):
                one.served.set_result(None)
                return

    async def _wait(self, holder: str, seconds: float) -> None:
        one = _Waiting(holder, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        try:
            with in_queue():
                await asyncio.wait_for(asyncio.shield(one.served), seconds)
        except TimeoutError:
            if not one.served.done():
                raise NoPlace from None
        except asyncio.CancelledError:
            if one.served.done():
                self._give(holder)
            raise
        finally:
            self._waiting.remove(one)
            one.served.cancel()


class _Waiting(NamedTuple):
    holder: str
    served: asyncio.Future[None]
