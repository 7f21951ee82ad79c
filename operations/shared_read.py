"""Shared read: one reading for all who need it at the same time, and an end to their wait whatever it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

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
            reading = self._current
            if reading is None:
                reading = self._current = Future()
                threading.Thread(target=self._run, args=(reading,), name="threelane-read", daemon=True).start()
        return reading.result(self._most_seconds)

    def _run(self, reading: Future[T]) -> None:
        try:
            result = self._read()
        except BaseException as failed:  # the callers get it
            self._end()
            reading.set_exception(failed)
        else:
            self._end()
            reading.set_result(result)

    def _end(self) -> None:
        with self._changing:
            self._current = None
