"""Shared read: one reading for all who need it at the same time, and an end to their wait whatever it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from threelane.operations.together import begin

T = TypeVar("T")


class SharedRead(Generic[T]):
    """Reads on a thread of its own; all callers that come before it has ended get its result.

    A reading that hangs is not repeated beside itself: callers join it, each for at most the limit.
    """

    def __init__(self, read: Callable[[], T], most_seconds: float) -> None:
        """Take the reading, and the longest wait of a caller."""
        self._read = read
        self._most_seconds = most_seconds
        self._changing = threading.Lock()
        self._current: Future[T] | None = None

    def get(self) -> T:
        """Return the result; raises what the reading raised, or TimeoutError if it takes longer than the limit."""
        with self._changing:
            reading = self._current = self._current or begin(self._run)
        return reading.result(self._most_seconds)

    def _run(self) -> T:
        try:
            return self._read()
        finally:
            with self._changing:
                self._current = None
