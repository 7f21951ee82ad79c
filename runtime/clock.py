"""Clock: the time of Redis, so that processes on several machines agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import redis

RESYNC_SECONDS = 10.0
PROMPT_SECONDS, RESYNC_SOON_SECONDS = 0.1, 1.0  # after a slower reply the clock is synchronised again soon


class Clock(Protocol):
    """Returns the time in milliseconds of Unix time."""

    def now(self) -> int:
        """Return the time."""
        ...


class RedisClock:
    """The time of Redis, continued by the local monotonic clock between two reads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start with the local time, until the first read from Redis."""
        self.monotonic = monotonic
        self._offset = time.time() - monotonic()
        self._stale_at = float("-inf")

    def now(self) -> int:
        """Return the time of Redis in milliseconds."""
        return int((self.monotonic() + self._offset) * 1000)

    def is_stale(self) -> bool:
        """Return whether it is time to read from Redis again."""
        return self.monotonic() > self._stale_at

    def follow(self, redis_time: tuple[int, int], requested_at: float) -> None:
        """Adopt a reply of TIME as the current time.

        The clock is behind by the time that the reply took, and never ahead, so nothing is sent early.
        """
        received_at = self.monotonic()
        seconds, microseconds = redis_time
        self._offset = seconds + microseconds / 1e6 - received_at
        prompt = received_at - requested_at < PROMPT_SECONDS
        self._stale_at = received_at + (RESYNC_SECONDS if prompt else RESYNC_SOON_SECONDS)

    def sync(self, client: redis.Redis) -> None:
        """Read the time of Redis, if the last read is old."""
        if self.is_stale():
            requested_at = self.monotonic()
            self.follow(client.time(), requested_at)
