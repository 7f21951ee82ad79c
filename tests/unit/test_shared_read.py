"""Shared read: scrapes that coincide cost one reading, and none waits for a reading that hangs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.servers import wait_until
from threelane.operations.shared_read import SharedRead


class Reading:
    """A reading that waits until the test ends it, and counts how often it began."""

    def __init__(self) -> None:
        self.began = 0
        self.ends = threading.Event()

    def __call__(self) -> int:
        self.began += 1
        assert self.ends.wait(60)
        return self.began


def waiting(shared: SharedRead[int]) -> int:
    """Return how many callers wait for the reading; a Future does not show that."""
    current: Any = shared._current
    return len(current._condition._waiters) if current else 0


def test_callers_that_coincide_share_one_reading() -> None:
    """Two Prometheus servers scrape at the same second; behind a slow Redis their readings would add up."""
    reading = Reading()
    shared = SharedRead(reading, 60)
    with ThreadPoolExecutor(5) as callers:
        results = [callers.submit(shared.get) for _ in range(5)]
        wait_until(lambda: reading.began, what="the reading")
        wait_until(lambda: waiting(shared) == 5, what="all callers to wait for it")
        reading.ends.set()
        assert [1] * 5 == [one.result() for one in results]
    assert 2 == shared.get()  # a later caller gets a new reading


def test_a_reading_that_hangs_ends_nobodys_wait_late_and_is_not_repeated() -> None:
    """Each scrape would leave a thread behind."""
    reading = Reading()
    shared = SharedRead(reading, 0.01)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            shared.get()
    assert 1 == reading.began
    reading.ends.set()
    wait_until(lambda: shared._current is None, what="the reading to end")
    reading.ends.clear()
    with pytest.raises(TimeoutError):
        shared.get()
    assert 2 == reading.began
    reading.ends.set()


def test_an_error_of_the_reading_reaches_every_caller() -> None:
    """And the next caller tries again."""

    def fail() -> None:
        raise OSError("away")

    shared = SharedRead(fail, 60)
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            shared.get()
