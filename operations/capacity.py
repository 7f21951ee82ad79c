"""Capacity: workers, memory use of Redis, and how long the backlog will take."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import redis

from threelane.store import ceiling, keys, rows
from threelane.worker.process.identity import SILENT_MS

DRAIN_WANTED_MINUTES = 10  # a backlog that takes longer justifies another worker, up to the allowed rate

_FIELDS = ["lanes", "rate", "served", "fault", "not_ready"]


class Capacity(NamedTuple):
    """``drain_minutes`` is at the shared rate; ``worth_having`` counts the workers a backlog justifies, at least 1.

    ``at_fault`` counts the workers that send nothing for a reason of their own, ``not_ready`` those that claim nothing
    yet: their login was not accepted, or they wait for Redis or the broker.
    """

    workers: int
    workers_lane_1: int
    drain_minutes: float
    worth_having: int
    memory_share: float
    suppressed: int
    at_fault: int = 0
    not_ready: int = 0


def read(client: redis.Redis, now: int) -> Capacity:
    """Return the capacity; the number of reads grows only with the number of workers."""
    names = rows.workers(client, now - SILENT_MS)
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(keys.worker(name), _FIELDS)
        for lane in keys.LANES:
            pipe.zcard(keys.QUEUED[lane])
        pipe.hlen(keys.SUPPRESSED)
        found: Any = pipe.execute(raise_on_error=False)
    reports = [rows.known(keys.WORKERS, one, [None] * len(_FIELDS)) for one in found[: len(names)]]
    waiting = sum(rows.known(keys.QUEUED[1], one, 0) for one in found[len(names) : -1])
    suppressed = rows.known(keys.SUPPRESSED, found[-1], 0)
    rate = max((rows.real(one[1]) for one in reports), default=0.0)
    minutes = waiting / rate / 60 if rate else 0.0
    return Capacity(
        workers=len(names),
        workers_lane_1=sum(b"1" in (one[0] or b"").split(b",") for one in reports),
        drain_minutes=minutes,
        worth_having=worth_having(waiting, len(names), rate, max((rows.real(one[2]) for one in reports), default=0.0)),
        memory_share=ceiling.read(client).share,
        suppressed=suppressed,
        at_fault=sum(bool(one[3]) for one in reports),
        not_ready=sum(bool(one[4]) for one in reports),
    )


def worth_having(waiting: int, workers: int, rate: float, served: float) -> int:
    """Return how many workers a backlog justifies; pure.

    ``served`` is what the busiest worker sends per second.  Workers beyond the shared rate add nothing, and a backlog
    that one worker clears within ten minutes needs no second one.
    """
    if not waiting or not served:
        return max(1, min(workers, 1))
    wanted = math.ceil(waiting / served / (DRAIN_WANTED_MINUTES * 60))
    return max(1, min(wanted, math.ceil(rate / served)))
