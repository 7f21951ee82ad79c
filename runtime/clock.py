"""Clock: what several processes must agree on is told by Redis, not by their machines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import redis

RESYNC_SECONDS = 10.0
PROMPT_SECONDS, RESYNC_SOON_SECONDS = 0.1, 1.0  # an answer that took longer is soon asked for again


class Clock(Protocol):
    """Tells the time in milliseconds of Unix time."""

    def now(self) -> int:
        """Return the time."""
        ...


class RedisClock:
    """The time of Redis, followed by this machine's monotonic clock between two looks."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start with this machine's time, until Redis has been asked."""
        self.monotonic = monotonic
        self._offset = time.time() - monotonic()
        self._stale_at = float("-inf")

    def now(self) -> int:
        """Return the time of Redis in milliseconds."""
        return int((self.monotonic() + self._offset) * 1000)

    def is_stale(self) -> bool:
        """Tell whether Redis should be asked again."""
        return self.monotonic() > self._stale_at

    def follow(self, told: tuple[int, int], asked_at: float) -> None:
        """Take over what TIME answered, as if it was said just now.

        This clock is behind by what the answer took to come back, and never ahead: nothing goes before its time.
        """
        answered_at = self.monotonic()
        seconds, microseconds = told
        self._offset = seconds + microseconds / 1e6 - answered_at
        prompt = answered_at - asked_at < PROMPT_SECONDS
        self._stale_at = answered_at + (RESYNC_SECONDS if prompt else RESYNC_SOON_SECONDS)

    def sync(self, client: redis.Redis) -> None:
        """Ask Redis, if the last answer is old."""
        if self.is_stale():
            asked_at = self.monotonic()
            self.follow(client.time(), asked_at)
