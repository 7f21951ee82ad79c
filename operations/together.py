"""Together: several readings at the same time, with one end for all of them, whatever they wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def read_together(readings: Mapping[K, Callable[[], T]], most_seconds: float) -> dict[K, T | Exception]:
    """Return the result of each reading, or its exception; TimeoutError for those that have not ended in time.

    Each runs on a thread that does not keep the process from ending: a resolver or a server may never answer.
    """
    ends_at = time.monotonic() + most_seconds
    futures: dict[K, Future[T]] = {name: begin(work) for name, work in readings.items()}
    results: dict[K, T | Exception] = {}
    for name, one in futures.items():
        try:
            results[name] = one.result(max(0.0, ends_at - time.monotonic()))
        except Exception as failed:  # the caller reports it
            results[name] = failed
    return results


def begin(work: Callable[[], T]) -> Future[T]:
    """Start a reading on a thread that does not keep the process from ending; returns its result to be."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as failed:  # its reader gets it
            future.set_exception(failed)

    threading.Thread(target=run, name="threelane-read", daemon=True).start()
    return future
