"""Tree: the producer of any source tree, BENCH_TREE, from its package BENCH_LIBRARY, called from outside."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from bench.peers import calling
from tests.in_tree import enter

enter(os.environ["BENCH_TREE"], os.environ["BENCH_LIBRARY"])
library = importlib.import_module(os.environ["BENCH_LIBRARY"])
producer = library.Producer()
MOVING = ("scheduled", "queued", "sending", "in_doubt")
_last: list[str] = []  # ids of the last bulk


def enqueue(message: Mapping[str, Any]) -> None:
    """Enqueue one message."""
    _id_of(producer.send(**message))


def bulk(messages: Iterable[Mapping[str, Any]]) -> None:
    """Enqueue many."""
    _last[:] = map(_id_of, producer.send_many(messages))


def singles(messages: Iterable[Mapping[str, Any]], callers: int) -> None:
    """Enqueue from ``callers`` concurrent threads, which share the producer."""
    calling.from_threads(enqueue, messages, callers)


def unsettled(_messages: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return under "unsettled" the number of messages of the last bulk that are not settled."""
    return {"unsettled": sum(one is None or str(one.status) in MOVING for one in producer.statuses(_last))}


def _id_of(verdict: Any) -> str:
    if not isinstance(verdict, library.Accepted):
        raise ValueError(verdict)
    return str(verdict.id)
