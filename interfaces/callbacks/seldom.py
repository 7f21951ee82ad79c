"""Seldom: logs what may happen with every request at most once a minute, with the number of times since."""

from __future__ import annotations

from threelane.runtime import logs

SECONDS = 60.0  # between two lines


class SeldomEvent:
    """A log event of which there is at most one line a minute; the first occurrence is logged at once."""

    def __init__(self, name: str, *, level: int) -> None:
        """Log this event."""
        self._name, self._level = name, level
        self._logged_at = float("-inf")
        self._times = 0

    def count(self, now: float, times: int, **fields: str) -> None:
        """Count occurrences; ``now`` is a monotonic time in seconds, and ``fields`` describe the latest one."""
        self._times += times
        if now < self._logged_at + SECONDS:
            return
        logs.event(self._name, level=self._level, times=self._times, **fields)
        self._logged_at, self._times = now, 0
