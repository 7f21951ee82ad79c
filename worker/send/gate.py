"""Gate: limits the concurrent gateway calls of one process, and serves the highest lane first."""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock

from threelane.store.keys import LANES

FLOOR = 10


class _Place:
    """One place, held as a context manager."""

    __slots__ = ("_gate", "_has_place", "_lane")

    def __init__(self, gate: Gate, lane: int) -> None:
        self._gate, self._lane, self._has_place = gate, lane, False

    async def __aenter__(self) -> bool:
        self._has_place = await self._gate.take(self._lane)
        return self._has_place

    async def __aexit__(self, *_: object) -> None:
        if self._has_place:
            self._gate.give_back(self._lane)


class _Waiting:
    """A task that waits for a place; it may run on another event loop than the task that frees the place."""

    __slots__ = ("has_place", "loop", "woken")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.woken: asyncio.Future[None] = self.loop.create_future()
        self.has_place = False

    def wake(self) -> None:
        """Wake the task; call it from any event loop."""
        if self.loop is asyncio.get_running_loop():
            self._set_woken()
        else:
            self.loop.call_soon_threadsafe(self._set_woken)

    def _set_woken(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class Gate:
    """A semaphore with lanes for several event loops: waiters of lane 1 go before those of lanes 2 and 3.

    Some places are reserved for lane 1, so that it need not wait for the calls of other lanes.  One place in ten goes
    to the lowest lane first, so that messages claimed there are sent within their lease.
    """

    def __init__(self, places: int, kept: int = 0) -> None:
        """Allow ``places`` concurrent calls, ``kept`` of them for lane 1 only."""
        self._free = places
        self._open = places - kept  # places that the lower lanes may still take together
        self._given = 0
        self._waiting: dict[int, deque[_Waiting]] = {lane: deque() for lane in LANES}
        self._lock = Lock()

    def pass_through(self, lane: int) -> _Place:
        """Return a context manager that waits for a place and gives it back; it yields False if it was dismissed."""
        return _Place(self, lane)

    async def take(self, lane: int) -> bool:
        """Wait for a place; False: the wait was dismissed."""
        with self._lock:
            if self._has_room(lane):
                self._count(lane, -1)
                return True
            one = _Waiting()
            self._waiting[lane].append(one)
        try:
            await one.woken
        except asyncio.CancelledError:
            with self._lock:
                if one in self._waiting[lane]:
                    self._waiting[lane].remove(one)
            if one.has_place:
                self.give_back(lane)
            raise
        return one.has_place

    def dismiss(self) -> None:
        """End all waits without a place: nothing may be sent any more."""
        with self._lock:
            dismissed = [one for waiting in self._waiting.values() for one in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
        for one in dismissed:
            one.wake()

    def give_back(self, lane: int) -> None:
        """Free a lane's place, and wake the next waiter."""
        with self._lock:
            self._count(lane, 1)
            self._given += 1
            one = self._next()
        if one:
            one.wake()

    def _next(self) -> _Waiting | None:
        for lane in LANES if self._given % FLOOR else reversed(LANES):
            if self._waiting[lane] and self._has_room(lane):
                self._count(lane, -1)
                one = self._waiting[lane].popleft()
                one.has_place = True
                return one
        return None

    def _has_room(self, lane: int) -> bool:
        return self._free > 0 and (lane == LANES[0] or self._open > 0)

    def _count(self, lane: int, change: int) -> None:
        self._free += change
        if lane != LANES[0]:
            self._open += change
