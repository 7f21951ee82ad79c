"""Proof: when "not found" shows that the gateway never accepted a message; pure arithmetic.

Before the configured maximum (the sum of ``THREELANE_DOUBT_DELAYS_SECONDS``) a result of 104 counts only if all of
this was known before it was requested: how soon look-ups find accepted messages; that several times as long has passed
since the message's request ended; and that a look-up has found a message whose request began after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from threelane.store.visibility import Visibility

SAFE_MULTIPLE = 3  # of the largest recent delay
SHORTEST_MS = 5_000
MARGIN_MS = 1_000  # a request may arrive this long after its connection was lost
LEARNING_MS = 120_000  # after an outage
OLD_MS = 15 * 60_000  # without a sample that was found, what was learned is no longer believed
SOONEST_MS = 1_000  # between two look-ups of a message that wait for a later one to be found


class Evidence(NamedTuple):
    """What a worker knew before it requested a look-up; times in milliseconds."""

    visibility: Visibility
    delays_ms: tuple[int, ...]  # waits before each look-up; their sum is the maximum
    opened_at: int  # when the breaker opened last; what was learned before has expired
    closed_at: int = 0  # when it closed last; what it takes to resolve the doubts of the outage is learned soon after

    @classmethod
    def of(
        cls, visibility: Visibility, delays_seconds: Sequence[float], opened_at: int, closed_at: int = 0
    ) -> Evidence:
        """Return the evidence with the configured delays in milliseconds."""
        return cls(visibility, tuple(int(one * 1000) for one in delays_seconds), opened_at, closed_at)

    @property
    def longest_ms(self) -> int:
        """The configured maximum."""
        return sum(self.delays_ms)

    def is_learned(self, now: int) -> bool:
        """Return whether the learned delay is in force: measured, recent, and not older than an outage."""
        learned_at = self.visibility.learned_at
        return self.visibility.delay_ms > 0 and learned_at > self.opened_at and now - learned_at <= OLD_MS

    def grace_ms(self, now: int) -> int:
        """Return how long after its request "not found" proves nothing of a message."""
        if not self.is_learned(now):
            return self.longest_ms
        return min(self.longest_ms, max(SHORTEST_MS, SAFE_MULTIPLE * self.visibility.delay_ms))

    def proves(self, since: int, now: int) -> bool:
        """Return whether a 104 requested ``now`` shows that the message in doubt ``since`` was not accepted."""
        waited = now - since
        if waited >= self.longest_ms:
            return True
        is_seen_past = self.visibility.witness_began > since + MARGIN_MS
        return self.is_learned(now) and waited >= self.grace_ms(now) and is_seen_past

    def next_look_up(self, since: int, now: int) -> int:
        """Return when to look up a message again that was not found ``now``.

        By the configured delays, counted from ``since``; sooner if what was learned, or is being learned after an
        outage, may make the result a proof.
        """
        planned = next((since + at for at in accumulate(self.delays_ms) if since + at > now), now + self.delays_ms[0])
        pause = max(SOONEST_MS, (now - since) // 4)
        if self.is_learned(now):
            return min(planned, max(since + self.grace_ms(now), now + pause))
        return min(planned, now + min(pause, LEARNING_MS // 8)) if self.is_learning(now) else planned

    def is_learning(self, now: int) -> bool:
        """Return whether the breaker closed just now, so that samples will soon be found."""
        return 0 < self.closed_at <= now <= self.closed_at + LEARNING_MS

    def lags(self, since: int, now: int) -> bool:
        """Return whether look-ups are known to be late ``now``, so that they may not find a message ``since`` then.

        A sample of its time is not found yet, or a later one is not found after longer than usual.
        """
        seen = self.visibility
        if not seen.sample_answered or not seen.sample_unseen:
            return False
        usual = seen.delay_ms if self.is_learned(now) else SHORTEST_MS
        return seen.sample_answered <= since or seen.sample_unseen - seen.sample_answered > usual
