"""Threelane: its producer, called as a service calls it; settings come from the environment, THREELANE_*."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from bench.peers import calling
from threelane import Accepted, Producer


@cache
def producer() -> Producer:
    """Return the one producer of this process."""
    return Producer()


def enqueue(message: Mapping[str, Any]) -> None:
    """Enqueue one message."""
    if not isinstance(answer := producer().send(**message), Accepted):
        raise ValueError(answer)


def bulk(messages: Iterable[Mapping[str, Any]]) -> None:
    """Enqueue many."""
    for answer in producer().send_stream(messages):
        if not isinstance(answer, Accepted):
            raise ValueError(answer)


def singles(messages: Iterable[Mapping[str, Any]], callers: int) -> None:
    """Enqueue from ``callers`` concurrent threads, which share the producer."""
    calling.from_threads(enqueue, messages, callers)


def paced(messages: Iterable[Mapping[str, Any]], per_second: float) -> dict[str, Any]:
    """Enqueue on lane 1 at an even pace; returns the time of each call under "called": id -> Unix time in ms."""
    called, next_at = {}, time.monotonic()
    for message in messages:
        time.sleep(max(0.0, next_at - time.monotonic()))
        next_at += 1 / per_second
        at = time.time() * 1000
        if not isinstance(answer := producer().send(**message, lane=1), Accepted):
            raise ValueError(answer)
        called[answer.id] = at
    return {"called": called}
