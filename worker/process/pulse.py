"""Pulse: whether the event loops and the consumer of this process turn, without a look at Redis or the broker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

BEAT_SECONDS = 1.0
SILENT_SECONDS = 20.0  # a loop that misses this many beats is blocked
CONSUMER = "consumer"


class Pulse:
    """When each part of this process beat last; a part that stopped or waits for its server is not judged."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start without parts."""
        self._monotonic = monotonic
        self._changing = threading.Lock()
        self._beats: dict[str, float] = {}
        self._reported_at = float("-inf")
        self._reporting_since = float("-inf")

    def beat(self, part: str) -> None:
        """Note that a part turns."""
        with self._changing:
            self._beats[part] = self._monotonic()

    def leave(self, part: str) -> None:
        """Judge a part no longer: it ends, or it connects again and waits for its server."""
        with self._changing:
            self._beats.pop(part, None)

    def follow(self, part: str, loop: asyncio.AbstractEventLoop) -> None:
        """Beat on an event loop until it stops; call it from another thread."""

        def turn() -> None:
            self.beat(part)
            loop.call_later(BEAT_SECONDS, turn)

        loop.call_soon_threadsafe(turn)

    def has(self, part: str) -> bool:
        """Return whether a part runs."""
        return part in self._beats

    def silent(self) -> dict[str, float]:
        """Return the parts that are blocked, with the seconds since their last beat."""
        now = self._monotonic()
        with self._changing:
            ages = {part: now - at for part, at in self._beats.items()}
        return {part: age for part, age in ages.items() if age > SILENT_SECONDS}

    def reported(self) -> None:
        """Note that Redis took a heartbeat of this worker."""
        now = self._monotonic()
        if now - self._reported_at > SILENT_SECONDS:
            self._reporting_since = now
        self._reported_at = now

    def reporting_seconds(self) -> float:
        """Return for how long Redis has taken the heartbeats without a gap; 0 after a gap."""
        now = self._monotonic()
        return now - self._reporting_since if now - self._reported_at <= SILENT_SECONDS else 0.0


PULSE = Pulse()
"""The pulse of this process."""
