"""Fair share: units of something that the requests of a process hold together; what does not fit waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

from threelane.runtime.connections import in_queue


class NoRoom(Exception):
    """The units were in use by other requests until the deadline."""


class FairShare:
    """A number of units, of which one holder (a producer) may have some."""

    def __init__(self, units: int, share: int) -> None:
        """Share out so many, at most ``share`` to one holder."""
        self.share = share
        self.free = units
        self.held: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []

    def lease(self, holder: str) -> Lease:
        """Return an empty lease."""
        return Lease(self, holder)

    def take(self, holder: str, units: int) -> bool:
        """Take units if they are free, within the holder's share, and nobody else waits for them."""
        return not any(self._fits_share(one.holder, one.units) for one in self._waiting) and self._take(holder, units)

    def _fits_share(self, holder: str, units: int) -> bool:
        return self.held[holder] + units <= self.share

    def _take(self, holder: str, units: int) -> bool:
        if units > self.free or not self._fits_share(holder, units):
            return False
        self.free -= units
        self.held[holder] += units
        return True

    def give(self, holder: str, units: int) -> None:
        """Give units back, and serve those that wait: holders with the least first, of equals the first one."""
        self.free += units
        self.held[holder] -= units
        if not self.held[holder]:
            del self.held[holder]
        self._serve()

    def _serve(self) -> None:
        for one in sorted(self._waiting, key=lambda one: self.held[one.holder]):
            if one.served.done() or not self._fits_share(one.holder, one.units):
                continue
            if not self._take(one.holder, one.units):
                return  # what is next is not overtaken by what is smaller
            one.served.set_result(None)

    async def wait(self, holder: str, units: int, seconds: float) -> None:
        """Return when the units are taken; raises NoRoom after the deadline, or at once if they can never fit."""
        if units > self.share:
            raise NoRoom
        one = _Waiting(holder, units, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        try:
            with in_queue():
                await asyncio.wait_for(asyncio.shield(one.served), seconds)
        except TimeoutError:
            if not one.served.done():
                raise NoRoom from None
        except asyncio.CancelledError:
            if one.served.done():
                self.give(holder, units)
            raise
        finally:
            self._waiting.remove(one)
            one.served.cancel()
            self._serve()


class Lease:
    """What one request holds."""

    __slots__ = ("_holder", "_shared", "units")

    def __init__(self, shared: FairShare, holder: str) -> None:
        """Hold nothing yet."""
        self._shared = shared
        self._holder = holder
        self.units = 0

    async def resize(self, units: int, seconds: float) -> None:
        """Hold so many units; raises NoRoom if more are needed and do not become free in time."""
        more = units - self.units
        if more < 0:
            self._shared.give(self._holder, -more)
        elif not self._shared.take(self._holder, more):
            await self._shared.wait(self._holder, more, seconds)
        self.units = units

    def release(self) -> None:
        """Give everything back."""
        units, self.units = self.units, 0
        if units:
            self._shared.give(self._holder, units)


class _Waiting(NamedTuple):
    holder: str
    units: int
    served: asyncio.Future[None]
