"""The timetable: every scheduled action, in one heap with one timer."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Final

Action = Callable[[], None]
_LONGEST_NAP_SECONDS: Final = 3600.0
_SHORTEST_NAP_SECONDS: Final = 0.005  # actions due together run together


class Timetable:
    """Runs actions when they are due, in order of time."""

    __slots__ = ("_clock", "_heap", "_loop", "_order", "_timer", "_wakes_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Action]] = []
        self._order = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def start(self) -> None:
        """Starts to run due actions, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._set_timer()

    def stop(self) -> None:
        """Stops running actions."""
        self._loop = None
        self._drop_timer()

    def clear(self) -> None:
        """Removes every waiting action."""
        self._heap.clear()
        self._drop_timer()

    def at(self, moment: float, action: Action) -> None:
        """Schedules an action for a time of the clock."""
        heapq.heappush(self._heap, (moment, next(self._order), action))
        if self._timer is None or moment < self._wakes_at:
            self._set_timer()

    def run_due(self) -> None:
        """Runs every action due by now, including those that these actions schedule for now."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()

    def _set_timer(self) -> None:
        self._drop_timer()
        if self._loop is None or not self._heap:
            return
        nap = self._heap[0][0] - self._clock()
        nap = min(max(nap, _SHORTEST_NAP_SECONDS), _LONGEST_NAP_SECONDS)  # the clock may be changed meanwhile
        self._wakes_at = self._heap[0][0]
        self._timer = self._loop.call_later(nap, self._wake)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        self._timer = None
        try:
            self.run_due()
        finally:
            self._set_timer()
