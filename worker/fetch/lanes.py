"""Lanes: which lanes this process fetches from now, and in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from threelane.store import keys

MOST_OWED = 10.0  # messages; an idle lane accumulates no more credit
MOST_OWING = 100.0  # one nudge; a lane that was alone for hours does not pay for it later


class Lanes:
    """The lanes of this process: 1, 2, 3 with a floor; a closed lane is not fetched at all.

    The floor: each message of a higher lane credits a lower lane with a share of one message, and a lane with a whole
    message of credit goes first once.  What it then takes is charged to it, so the share is independent of nudge size.

    Lanes 2 and 3 together never use all threads: a code does not wait for the end of a newsletter's hundred.  While a
    worker reserved for lane 1 keeps up, a process busy with lanes 2 and 3 leaves lane 1 to it: the idle one is faster.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start with all lanes open."""
        self._monotonic = monotonic
        self._closed_until: dict[int, float] = {}
        self._held: frozenset[int] = frozenset()
        self._stopped_until = 0.0
        self._owed = dict.fromkeys(keys.LANES[1:], 0.0)
        self.share = 0.1
        self.threads = 1
        self.is_crowded = self._is_busy = False
        self.spared = False  # a reserved worker keeps up with lane 1
        self.consumed: frozenset[int] = frozenset()  # the lanes that this process consumes

    def order(self) -> list[int]:
        """Return the lanes to fetch from, first choice first."""
        now = self._monotonic()
        wanted = set(keys.LANES[:1] if self.is_crowded else keys.LANES)
        if self.spared and self._is_busy:
            wanted.discard(keys.LANES[0])
        opened = [one for one in sorted(wanted) if not self.is_held(one) and self._closed_until.get(one, 0.0) <= now]
        owed = [lane for lane in opened[1:] if self._owed.get(lane, 0.0) >= 1.0]
        return owed + [lane for lane in opened if lane not in owed]

    def holding(self, queues: Iterable[str]) -> None:
        """Record the queues of the nudges that this process holds: one thread is always left for lane 1."""
        lower = sum(queue != keys.queue(keys.LANES[0]) for queue in queues)
        self._is_busy, self.is_crowded = lower > 0, lower >= self.threads - 1 > 0

    def served(self, lane: int, messages: int) -> None:
        """Charge a lane for the messages it got, and credit the lanes below with their share."""
        for lower in self._owed:
            if lower > lane:
                self._owed[lower] = min(MOST_OWED, self._owed[lower] + messages * self.share)
        if lane in self._owed:
            self._owed[lane] = max(-MOST_OWING, self._owed[lane] - messages)

    def close_for(self, lane: int, seconds: float) -> None:
        """Stop fetching from the lane for a while: the rate is used up."""
        self._closed_until[lane] = self._monotonic() + seconds

    def hold(self, lanes: Iterable[int]) -> None:
        """Stop fetching from these lanes, and only these, until the next call."""
        self._held = frozenset(lanes)

    def is_held(self, lane: int) -> bool:
        """Return whether the lane is on hold."""
        return lane in self._held or self._stopped_until > self._monotonic()

    def stop_all_for(self, seconds: float) -> None:
        """Stop all lanes at once: this process has just learned of a hold, before it is visible in Redis."""
        self._stopped_until = self._monotonic() + seconds


LANES = Lanes()
"""The lanes of this process; kombu creates its strategy by name, so both share this object."""


class LaneOrder:
    """kombu's ``queue_order_strategy``: the queues of each BRPOP, in order."""

    EMPTY = keys.queue(0)  # always empty

    def __init__(self, it: Iterable[str] | None = None) -> None:
        """Start with the queues that kombu consumes."""
        self._queues = set(it or ())

    def update(self, it: Iterable[str]) -> None:
        """Replace the queues by those that kombu consumes now."""
        self._queues = set(it)
        LANES.consumed = frozenset(lane for lane in keys.LANES if keys.queue(lane) in self._queues)

    def queues(self) -> list[str]:
        """Return the open lanes' queues."""
        return [name for name in map(keys.queue, LANES.order()) if name in self._queues]

    def consume(self, n: int) -> list[str]:
        """Return the open lanes' queues; if there are none, kombu tries again at its next turn, up to a second later.

        That is too late for a thread that becomes free meanwhile, so a crowded process waits on an empty queue.
        """
        return self.queues()[:n] or [self.EMPTY] * LANES.is_crowded

    def rotate(self, last_used: str) -> str:
        """Do nothing: the order depends on what was served, not on what was fetched last."""
        return last_used
