"""Threelane: its producer, called as a service calls it; settings come from the environment, THREELANE_..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from bench.peers import calling
from producer import Accepted, Producer


@cache
def producer() -> Producer:
    """Return the one producer of this process."""
    return Producer()


def enqueue(message: Mapping[str, str]) -> None:
    """Enqueue one message."""
    if not isinstance(answer := producer().send(**message), Accepted):
        raise ValueError(answer)


def bulk(messages: Iterable[Mapping[str, str]]) -> None:
    """Enqueue many."""
    for answer in producer().send_stream(messages):
        if not isinstance(answer, Accepted):
            raise ValueError(answer)


def singles(messages: Iterable[Mapping[str, str]], callers: int) -> None:
    """Enqueue from as many threads at once, which share the producer."""
    calling.from_threads(enqueue, messages, callers)
