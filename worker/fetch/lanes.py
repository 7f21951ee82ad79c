"""Lanes: which lanes this process fetches from now, and in which order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from threelane.store import keys

MOST_OWED = 10.0  # messages; an idle lane accumulates no more credit
MOST_OWING = 100.0  # one nudge; a lane that was alone for hours does not pay for it later
AWAY_SECONDS = 1.5  # without a response the broker counts as away; kombu takes up to a second for a turn
CONNECT_SECONDS = 5.0  # the same for the first response after the start
TURN_SECONDS = 0.3  # the same for the response after a process was fully busy, when it requested nothing
_FIRST = keys.LANES[0]


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
        self.serves: frozenset[int] = frozenset(keys.LANES)  # the same, also while the broker is away
        self._nudges: Counter[int] = Counter()  # under way, by lane
        self._looks: Counter[int] = Counter()  # batches of looks under way, by lane
        self._counting = Lock()
        self._responded_at = monotonic()
        self._empty_at: dict[int, float | None] = dict.fromkeys(keys.LANES)  # None: it had a nudge last
        self._pending: frozenset[int] = frozenset()  # lanes with a request that waits for a nudge

    def order(self) -> list[int]:
        """Return the lanes to fetch from, first choice first."""
        now = self._monotonic()
        wanted = set(keys.LANES[:1] if self.is_crowded else keys.LANES)
        if self.spared and self._is_busy:
            wanted.discard(keys.LANES[0])
        return self._in_order(wanted, now)

    def to_look_at(self) -> list[int]:
        """Return the lanes whose index this process may look at now, first choice first.

        The rules are those of fetching; threads are counted here, since no fetch counts them while the broker is away.
        """
        wanted = set(self.serves)
        if self.spared and self._lower():
            wanted.discard(_FIRST)
        return [lane for lane in self._in_order(wanted, self._monotonic()) if self.free_threads(lane)]

    def free_threads(self, lane: int) -> int:
        """Return how many threads a lane may use now beside the nudges and looks under way: lane 1 keeps one."""
        free = self.threads - sum(self._nudges.values()) - sum(self._looks.values())
        if lane != _FIRST:
            free = min(free, max(1, self.threads - 1) - self._lower())
        return max(0, free)

    @contextmanager
    def serving(self, lane: int, *, look: bool = False) -> Iterator[None]:
        """Count a nudge, or a batch of a look, as under way."""
        counts = self._looks if look else self._nudges
        with self._counting:
            counts[lane] += 1
        try:
            yield
        finally:
            with self._counting:
                if not look and not self.free_threads(_FIRST):
                    since = self._monotonic() - AWAY_SECONDS
                    self._responded_at = max(self._responded_at, since + TURN_SECONDS)
                counts[lane] -= 1

    def is_serving(self) -> bool:
        """Return whether a nudge or a batch of a look is under way; safe for threads."""
        with self._counting:
            return any((*self._nudges.values(), *self._looks.values()))

    def missing(self) -> frozenset[int]:
        """Return the lanes that this process serves, and whose queues it does not consume."""
        return self.serves - self.consumed

    def connecting(self) -> None:
        """Give the broker time for its first response."""
        self._responded_at = self._monotonic() + CONNECT_SECONDS - AWAY_SECONDS

    def requested(self, lanes: Iterable[int]) -> None:
        """Record that the broker is to deliver a nudge of these lanes as soon as there is one."""
        self._pending = frozenset(lanes)

    def responded(self) -> None:
        """Record that the broker responds, or that nothing was requested since no lane is open."""
        self._responded_at = self._monotonic()
        self._pending = frozenset()

    def found(self, lane: int, *, nudge: bool) -> None:
        """Record a response of the broker: the queue of the lane had a nudge, or it was empty."""
        self._responded_at = now = self._monotonic()
        self._empty_at[lane] = None if nudge else now

    def empty_for(self, lane: int) -> float | None:
        """Return how many seconds ago the lane's queue was seen to be empty; None if it had a nudge last.

        It counts as empty now while a request for it waits, and while the broker is away.
        """
        now, empty_at = self._monotonic(), self._empty_at[lane]
        if now - self._responded_at > AWAY_SECONDS:
            return 0.0
        if empty_at is None:
            return None
        return 0.0 if lane in self._pending else now - empty_at

    def _lower(self) -> int:
        """Return the number of nudges and looks of lanes 2 and 3 under way."""
        return sum(counts[lane] for counts in (self._nudges, self._looks) for lane in keys.LANES if lane != _FIRST)

    def _in_order(self, wanted: Collection[int], now: float) -> list[int]:
        """Return the open lanes of those wanted, first choice first."""
        opened = [one for one in sorted(wanted) if not self.is_held(one) and self._closed_until.get(one, 0.0) <= now]
        owed = [lane for lane in opened[1:] if self._owed.get(lane, 0.0) >= 1.0]
        return owed + [lane for lane in opened if lane not in owed]

    def holding(self, queues: Iterable[str]) -> None:
        """Record the queues of the nudges that this process holds: one thread is always left for lane 1."""
        lower = sum(keys.lane_of(queue) != _FIRST for queue in queues)
        lower += sum(self._looks[lane] for lane in keys.LANES if lane != _FIRST)
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

    def waited_for_rate(self, lane: int, since: float) -> bool:
        """Return whether the lane was closed at some time after ``since`` (monotonic), and is not on hold."""
        return not self.is_held(lane) and self._closed_until.get(lane, 0.0) > since

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
        self._set_queues(it or ())
        self._requested: list[str] = []

    def update(self, it: Iterable[str]) -> None:
        """Replace the queues by those that kombu consumes now."""
        self._set_queues(it)
        LANES.consumed = frozenset(self._by_lane)

    def _set_queues(self, it: Iterable[str]) -> None:
        """Tell the lanes' queues, which are of one account, from all others."""
        found = {name: keys.lane_of(name) for name in it}
        self._by_lane = {lane: name for name, lane in found.items() if lane}
        self._others = [name for name, lane in found.items() if not lane]

    def queues(self) -> list[str]:
        """Return the open lanes' queues, after all other queues: a client of Celery consumes its replies."""
        return self._others + [self._by_lane[lane] for lane in LANES.order() if lane in self._by_lane]

    def consume(self, n: int) -> list[str]:
        """Return the open lanes' queues; if there are none, kombu tries again at its next turn, up to a second later.

        That is too late for a thread that becomes free meanwhile, so a crowded process waits on an empty queue.
        """
        self._requested = self.queues()[:n] or [self.EMPTY] * LANES.is_crowded
        if not self._requested:
            LANES.responded()
        LANES.requested(lane for queue in self._requested if (lane := keys.lane_of(queue)))
        return list(self._requested)

    def rotate(self, last_used: str) -> str:
        """Record that a queue had a nudge and those before it had none; the order depends on what was served."""
        self.was_empty(before=last_used)
        if lane := keys.lane_of(last_used):
            LANES.found(lane, nudge=True)
        return last_used

    def was_empty(self, before: str = "") -> None:
        """Record that the requested queues were empty, or those ``before`` one that had a nudge."""
        LANES.responded()
        for queue in self._requested:
            if queue == before:
                break
            if lane := keys.lane_of(queue):
                LANES.found(lane, nudge=False)
