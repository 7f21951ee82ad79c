"""Capacity: workers, memory use of Redis, and how long the backlog will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from threelane.store import ceiling, keys, rows
from threelane.store.keys import Space
from threelane.store.spaces import spaces
from threelane.worker.process.identity import SILENT_MS

DRAIN_WANTED_MINUTES = 10  # a backlog that takes longer justifies another worker, up to the allowed rate

_FIELDS = [rows.ACCOUNT, "lanes", "rate", "served", "fault", "not_ready"]


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


_SUMMED = ("workers", "workers_lane_1", "worth_having", "at_fault", "not_ready")


def read(client: redis.Redis, now: int) -> Capacity:
    """Return the capacity of all accounts together; the backlog is gone when that of each is."""
    return total([*read_each(client, now).values()])


def read_each(client: redis.Redis, now: int) -> dict[Space, Capacity]:
    """Return the capacity of each account; the number of reads grows only with workers and accounts."""
    places, names = spaces(client), rows.workers(client, now - SILENT_MS)
    indexes = [keys.names(space).QUEUED[lane] for space in places for lane in keys.LANES]
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(keys.worker(name), _FIELDS)
        for index in indexes:
            pipe.zcard(index)
        pipe.hlen(keys.SUPPRESSED)
        found: Any = pipe.execute(raise_on_error=False)
    reports: dict[str, list[list[bytes | None]]] = {space.account: [] for space in places}
    for one in found[: len(names)]:
        account, *values = rows.known(keys.WORKERS, one, [None] * len(_FIELDS))
        reports.setdefault(rows.text(account), []).append(values)
    counts = iter(rows.known(index, one, 0) for index, one in zip(indexes, found[len(names) : -1], strict=True))
    waiting = [sum(next(counts) for _ in keys.LANES) for _ in places]
    suppressed = rows.known(keys.SUPPRESSED, found[-1], 0)
    share = ceiling.read(client).share
    return {
        space: _capacity(reports[space.account], number, share, suppressed)
        for space, number in zip(places, waiting, strict=True)
    }


def total(each: Sequence[Capacity]) -> Capacity:
    """Return the capacity of several accounts together; the memory and the suppressed numbers are of all."""
    first = each[0]
    if len(each) == 1:
        return first
    return first._replace(
        drain_minutes=max(one.drain_minutes for one in each),
        **{name: sum(getattr(one, name) for one in each) for name in _SUMMED},
    )


def _capacity(reports: Sequence[Sequence[bytes | None]], waiting: int, share: float, suppressed: int) -> Capacity:
    lanes, rates, served, faults, not_ready = zip(*reports, strict=True) if reports else ((), (), (), (), ())
    rate = max(map(rows.real, rates), default=0.0)
    return Capacity(
        workers=len(reports),
        workers_lane_1=sum(b"1" in (one or b"").split(b",") for one in lanes),
        drain_minutes=waiting / rate / 60 if rate else 0.0,
        worth_having=worth_having(waiting, len(reports), rate, max(map(rows.real, served), default=0.0)),
        memory_share=share,
        suppressed=suppressed,
        at_fault=sum(map(bool, faults)),
        not_ready=sum(map(bool, not_ready)),
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
