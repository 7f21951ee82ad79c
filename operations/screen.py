"""Screen: the fleet at one moment: lanes, holds, credits, workers, problems; for the terminal and the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import redis
from msgspec import UNSET, UnsetType

from threelane.contract.accounts.account import shown
from threelane.contract.prices import CREDIT
from threelane.operations import age, capacity, each_account, forecast
from threelane.operations.age import LaneAge
from threelane.operations.capacity import Capacity
from threelane.operations.forecast import Forecast
from threelane.operations.health import GONE_MS
from threelane.operations.outage import outage
from threelane.store import keys, pauses, rows
from threelane.store.keys import Space
from threelane.store.pauses import PausedBatch
from threelane.store.sizes import COUNTED, sizes
from threelane.store.states import Status
from threelane.store.tally import Count
from threelane.worker.account import hold
from threelane.worker.account.hold import Held

GOOD, WARN, BAD = "good", "warn", "bad"
_RISING = (
    *("dead", "in_doubt", "retried", "unknown", "lapsed", "swept", "swept_again"),
    *("expired_paused", "unpublished", "found", "late", "refused", "breaker_opened"),
)


_OF_WORKER = ("lanes", "served", "fault", "not_ready")


class Lane(msgspec.Struct, frozen=True):
    """One lane: messages that are due and not being sent, age and cause of the oldest, and counts since the start.

    ``causes`` has the number of messages that wait for each cause: see age.py.
    """

    waiting: int
    oldest_seconds: float
    oldest_cause: str
    causes: Mapping[str, int]
    accepted: int
    sent: int
    delivered: int


class Worker(msgspec.Struct, frozen=True):
    """The last report of one worker; ``fault`` is why it sends nothing, or empty."""

    name: str
    silent_seconds: float
    lanes: str
    served: float
    fault: str = ""


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet at one moment (ms); ``trouble`` counts problems since the first start, by kind and code.

    ``outage`` is the open breaker that stops all workers.  ``accounts`` has each of several accounts by name.
    """

    at: int
    lanes: Mapping[int, Lane]
    indexes: Mapping[str, int] = msgspec.field(name="shelves")
    holds: Mapping[str, Held]
    money: Forecast
    capacity: Capacity
    workers: tuple[Worker, ...]
    trouble: Mapping[str, int]
    outage: Held | None = None
    paused: tuple[PausedBatch, ...] = ()
    accounts: Mapping[str, Screen] | UnsetType = UNSET

    @property
    def each(self) -> Mapping[str, Screen]:
        """The accounts by name, if there are several and this is all of them together."""
        return self.accounts or {}


def read(client: redis.Redis, now: int, space: Space | None = None) -> Screen:
    """Return the state at ``now`` (ms); its cost does not depend on the number of messages.

    Of one account, or without it of all together, in which the scopes of holds begin with the account, except those of
    the default one; the credits are then those of each account, and the top level has those of the first.
    """
    if space is not None:
        return _of_account(client, now, space)
    places = each_account.read(client).places
    if len(places) == 1:
        return _of_account(client, now, places[0])
    return _together({one: _of_account(client, now, one) for one in places})


def _of_account(client: redis.Redis, now: int, space: Space) -> Screen:
    table = rows.table(client, keys.names(space).TALLY)
    tally = {rows.text(name): rows.number(n) for name, n in table.items()}
    held = hold.holds(client, now, space)
    return Screen(
        at=now,
        lanes={lane: _lane(one, lane, tally) for lane, one in age.read(client, now, held, space).items()},
        indexes={str(status): number for status, number in sizes(client, *COUNTED, space=space).items()},
        holds=held,
        money=forecast.read(client, now, space),
        capacity=capacity.read_each(client, now).get(space) or capacity.read(client, now),
        workers=tuple(_workers(client, now, space)),
        outage=outage(client, held, now, space),
        paused=tuple(pauses.listed(client)),
        trouble={name: n for name, n in tally.items() if name.partition(":")[0] in _RISING},
    )


def _together(found: Mapping[Space, Screen]) -> Screen:
    each = [*found.values()]
    first = each[0]
    trouble: Counter[str] = Counter()
    indexes: Counter[str] = Counter()
    for one in each:
        trouble.update(one.trouble)
        indexes.update(one.indexes)
    indexes[Status.DEAD] = first.indexes[Status.DEAD]  # one list for all accounts
    outages = [one.outage for one in each]
    return Screen(
        at=first.at,
        lanes={lane: _sum([one.lanes[lane] for one in each]) for lane in keys.LANES},
        indexes={str(status): indexes[status] for status in first.indexes},
        holds={hold.prefixed(space, scope): held for space, one in found.items() for scope, held in one.holds.items()},
        money=first.money,
        capacity=capacity.total([one.capacity for one in each]),
        workers=tuple(worker for one in each for worker in one.workers),
        outage=outages[0] if all(outages) else None,
        paused=first.paused,
        trouble=dict(trouble),
        accounts={shown(space.account): one for space, one in found.items()},
    )


def _sum(lanes: Sequence[Lane]) -> Lane:
    """Return a lane of several accounts."""
    oldest = max(lanes, key=lambda one: one.oldest_seconds)
    causes: Counter[str] = Counter()
    for one in lanes:
        causes.update(one.causes)
    return Lane(
        waiting=sum(one.waiting for one in lanes),
        oldest_seconds=oldest.oldest_seconds,
        oldest_cause=oldest.oldest_cause,
        causes=dict(causes),
        accepted=sum(one.accepted for one in lanes),
        sent=sum(one.sent for one in lanes),
        delivered=sum(one.delivered for one in lanes),
    )


def _lane(one: LaneAge, lane: int, tally: Mapping[str, int]) -> Lane:
    return Lane(
        waiting=one.waiting,
        oldest_seconds=one.oldest_seconds,
        oldest_cause=one.cause,
        causes={cause: number for cause, number in one.causes.items() if number},
        accepted=tally.get(Count.ACCEPTED.field(lane), 0),
        sent=tally.get(Count.TO.field(lane, Status.SENT), 0),
        delivered=tally.get(Count.TO.field(lane, Status.DELIVERED), 0),
    )


def _workers(client: redis.Redis, now: int, space: Space) -> list[Worker]:
    def scored() -> Any:
        return client.zrange(keys.WORKERS, now - GONE_MS, "+inf", byscore=True, withscores=True)

    names = [(rows.text(name), at) for name, at in rows.unless_damaged(keys.WORKERS, scored, [])]
    reports = rows.reports(client, [name for name, _ in names], [*_OF_WORKER, rows.ACCOUNT])
    return [
        Worker(
            name=name,
            silent_seconds=(now - at) / 1000,
            lanes=rows.text(lanes),
            served=rows.real(served),
            fault=rows.text(fault or not_ready),
        )
        for (name, at), (lanes, served, fault, not_ready, account) in zip(names, reports, strict=True)
        if rows.text(account) == space.account
    ]


def credit_words(money: Forecast) -> Iterator[tuple[str, str]]:
    """Yield phrases about credits, each with its state: good, warn, bad or (empty) neutral."""
    if money.balance is None:
        yield money.error or "balance not read yet: is a worker running?", WARN
        return
    yield f"{money.left / CREDIT:,.2f} left, {money.burn / CREDIT:,.2f} per hour", ""
    yield f"{sum(money.committed.values()) / CREDIT:,.2f} committed", ""
    hours = money.hours_left
    if hours is not None:
        yield f"runs out in {hours:,.1f} hours", BAD if hours < 2 else WARN if hours < 24 else GOOD
    if money.short:
        yield f"{money.short / CREDIT:,.2f} short", BAD
    if money.waiting_lanes:
        yield f"lanes {', '.join(map(str, money.waiting_lanes))} wait because of the reserve", BAD
    if money.error:
        yield f"last reading failed: {money.error}", WARN


def per_second(count: int, then: int, span_ms: int) -> float:
    """Return the rate between two readings."""
    return (count - then) * 1000 / max(1, span_ms)
