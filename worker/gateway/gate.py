"""Gate: the calls that one process may have under way, given to the highest lane first."""

from __future__ import annotations

import asyncio
from collections import deque

from producer.keys import LANES

FLOOR = 10


class _Place:
    """A place while it is held, as a context."""

    __slots__ = ("_gate", "_lane")

    def __init__(self, gate: Gate, lane: int) -> None:
        self._gate, self._lane = gate, lane

    async def __aenter__(self) -> None:
        await self._gate.take(self._lane)

    async def __aexit__(self, *_: object) -> None:
        self._gate.give_back()


class Gate:
    """A semaphore with lanes: whoever waits in lane 1 goes before all who wait in lanes 2 and 3.

    One place in ten is given from below, so that what was claimed in a lower lane is sent within its lease.
    """

    def __init__(self, places: int) -> None:
        """Let ``places`` pass at once."""
        self._free = places
        self._given = 0
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {lane: deque() for lane in LANES}

    def pass_through(self, lane: int) -> _Place:
        """Wait for a place, and give it back."""
        return _Place(self, lane)

    async def take(self, lane: int) -> None:
        """Wait for a place."""
        if self._free > 0:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a place to whoever is next."""
        self._given += 1
        for lane in LANES if self._given % FLOOR else reversed(LANES):
            while self._waiting[lane]:
                place = self._waiting[lane].popleft()
                if not place.done():
                    place.set_result(None)
                    return
        self._free += 1
