"""Clock: what several processes must agree on is told by Redis, not by their machines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import redis

RESYNC_SECONDS = 10.0


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
        self._asked_at = float("-inf")

    def now(self) -> int:
        """Return the time of Redis in milliseconds."""
        return int((self.monotonic() + self._offset) * 1000)

    def is_stale(self) -> bool:
        """Tell whether Redis should be asked again."""
        return self.monotonic() - self._asked_at > RESYNC_SECONDS

    def follow(self, told: tuple[int, int], asked_at: float) -> None:
        """Take over what TIME answered; half of the way there and back is taken as the answer's age."""
        answered_at = self.monotonic()
        seconds, microseconds = told
        self._offset = seconds + microseconds / 1e6 - (asked_at + answered_at) / 2
        self._asked_at = answered_at

    def ask(self, client: redis.Redis) -> None:
        """Ask Redis, if the last answer is old."""
        if self.is_stale():
            asked_at = self.monotonic()
            self.follow(client.time(), asked_at)
