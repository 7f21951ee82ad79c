"""Screen: the fleet at one moment: lanes, holds, money, workers, trouble; for the terminal and the operator's page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import redis

from threelane.contract.prices import CREDIT
from threelane.operations import capacity, forecast
from threelane.operations.capacity import Capacity
from threelane.operations.forecast import Money
from threelane.operations.health import GONE_MS
from threelane.store import keys
from threelane.store.states import Status
from threelane.store.tally import Count
from threelane.worker.account import hold
from threelane.worker.account.hold import Held

GOOD, WARN, BAD = "good", "warn", "bad"
_RISING = ("dead", "in_doubt", "retried", "unknown", "lapsed", "swept", "late", "refused")


class Lane(msgspec.Struct, frozen=True):
    """One lane: what waits, how long the oldest has, and what has come in and gone out since the beginning."""

    waiting: int
    oldest_seconds: float
    accepted: int
    sent: int
    delivered: int


class Worker(msgspec.Struct, frozen=True):
    """One worker as it reported last."""

    name: str
    silent_seconds: float
    lanes: str
    served: float


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """All that top tells, at one moment (ms); ``trouble`` counts since the beginning, by kind and code."""

    at: int
    lanes: Mapping[int, Lane]
    shelves: Mapping[str, int]
    holds: Mapping[str, Held]
    money: Money
    capacity: Capacity
    workers: tuple[Worker, ...]
    trouble: Mapping[str, int]


def read(client: redis.Redis, now: int) -> Screen:
    """Return it, as it stands at ``now`` (ms); no read grows with the number of messages."""
    tally = {name.decode(): int(n) for name, n in client.hgetall(keys.TALLY).items()}  # type: ignore[union-attr]
    shelves = {"scheduled": keys.DUE, "sending": keys.LEASES, "in_doubt": keys.DOUBT, "dead": keys.DEAD}
    return Screen(
        at=now,
        lanes={lane: _lane(client, lane, tally, now) for lane in keys.LANES},
        shelves={name: int(client.zcard(key)) for name, key in (shelves | {"sent": keys.AWAITING}).items()},
        holds=hold.holds(client, now),
        money=forecast.read(client, now),
        capacity=capacity.read(client, now),
        workers=tuple(_workers(client, now)),
        trouble={name: n for name, n in tally.items() if name.partition(":")[0] in _RISING},
    )


def _lane(client: redis.Redis, lane: int, tally: Mapping[str, int], now: int) -> Lane:
    first: Any = client.zrange(keys.QUEUED[lane], 0, 0, withscores=True)
    return Lane(
        waiting=int(client.zcard(keys.QUEUED[lane])),
        oldest_seconds=max(0.0, (now - first[0][1]) / 1000) if first else 0.0,
        accepted=tally.get(Count.ACCEPTED.of(lane), 0),
        sent=tally.get(Count.TO.of(lane, Status.SENT), 0),
        delivered=tally.get(Count.TO.of(lane, Status.DELIVERED), 0),
    )


def _workers(client: redis.Redis, now: int) -> list[Worker]:
    names: Any = client.zrange(keys.WORKERS, now - GONE_MS, "+inf", byscore=True, withscores=True)
    with client.pipeline(transaction=False) as pipe:
        for name, _ in names:
            pipe.hmget(keys.worker(name.decode()), ["lanes", "served"])
        reports = pipe.execute()
    return [
        Worker(name.decode(), (now - at) / 1000, (lanes or b"").decode(), float(served or 0))
        for (name, at), (lanes, served) in zip(names, reports, strict=True)
    ]


def money_words(money: Money) -> Iterator[tuple[str, str]]:
    """Return money in a line: words, and whether they are good, a warning, bad or (empty) neither."""
    if money.balance is None:
        yield money.error or "the balance was not read yet: is a worker running?", WARN
        return
    yield f"{money.left / CREDIT:,.2f} left, {money.burn / CREDIT:,.2f} an hour", ""
    yield f"{sum(money.committed.values()) / CREDIT:,.2f} committed", ""
    hours = money.hours_left
    if hours is not None:
        yield f"dry in {hours:,.1f} hours", BAD if hours < 2 else WARN if hours < 24 else GOOD
    if money.short:
        yield f"short of {money.short / CREDIT:,.2f}", BAD
    if money.waiting_lanes:
        yield f"lanes {', '.join(map(str, money.waiting_lanes))} wait for the reserve", BAD
    if money.error:
        yield f"last reading failed: {money.error}", WARN


def per_second(count: int, then: int, span_ms: int) -> float:
    """Return a rate between two looks."""
    return (count - then) * 1000 / max(1, span_ms)
