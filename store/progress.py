"""Progress: how far a batch is, from its rows and the records that still exist.

Only the rows of the batch are read, 500 at a time, each record by a command of its own: no other message costs a read,
and Redis is never busy for longer than a slice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import redis

from threelane.store import batches, keys, outcome, pauses, rows
from threelane.store.batches import SLICE, Batch
from threelane.store.keys import Space, space_of
from threelane.store.outcome import READ, BatchMessage
from threelane.store.pauses import Pause
from threelane.store.readable import row
from threelane.store.states import FINAL, Status

WAITING = frozenset({Status.SCHEDULED, Status.QUEUED})
_FAILED = frozenset({Status.DEAD, Status.UNDELIVERED, Status.EXPIRED, Status.UNKNOWN})
_SILENT_MS = 60_000  # a worker that did not report for this long is gone
HOUR_MS = 3600_000


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is; times in milliseconds of Unix time, amounts in millionths of a credit.

    Each accepted message is in one of ``waiting``, ``paused``, ``sending``, ``in_doubt``, ``sent`` (without a receipt
    so far), ``delivered``, ``cancelled``, ``emulated``, ``failed`` (by cause) and ``forgotten`` (the batch no longer
    has its row, or its record expired before a worker copied its outcome).  ``cost_so_far`` has the estimate of a sent
    message while no receipt has its charge; ``cost_to_come`` has the estimates of what is still to be sent.
    ``hours_left`` is how long the rest takes at the rate of the workers, with what is sent before it, and without a
    pause; None if no worker reports its rate.
    """

    batch: Batch
    pause: Pause | None = None
    accepted: int = 0
    waiting: int = 0
    paused: int = 0
    sending: int = 0
    in_doubt: int = 0
    sent: int = 0
    delivered: int = 0
    cancelled: int = 0
    emulated: int = 0
    failed: Mapping[str, int] = {}
    forgotten: int = 0
    parts: int = 0
    cost_so_far: int = 0
    cost_to_come: int = 0
    hours_left: float | None = None
    states: Mapping[str, int] = {}


class Pending(msgspec.Struct):
    """What of a batch is still to be sent in one lane."""

    messages: int = 0
    parts: int = 0
    queued: int = 0
    latest: int = 0  # when the last of its queued messages was queued, at most
    due: int = 0  # when the last of its scheduled messages is due


def messages(client: redis.Redis, producer: str, name: str) -> Iterator[BatchMessage]:
    """Yield each message of a batch; empty if its rows are forgotten."""
    found = batches.rows_of(client, batches.digest(producer, name))
    while page := list(islice(found, SLICE)):
        yield from _resolved(page, _records(client, [one for one, value in page if not outcome.is_closed(value)]))


def page(client: redis.Redis, batch: str, cursor: int, most: int) -> tuple[int, list[BatchMessage]]:
    """Return the next cursor, 0 after the last page, and some messages of the batch with this digest.

    They are about ``most``.  A message may come twice, also on different pages.
    """
    found: list[BatchMessage] = []
    while True:
        cursor, rows_ = batches.rows_from(client, batch, cursor)
        found += _resolved(rows_, _records(client, [one for one, value in rows_ if not outcome.is_closed(value)]))
        if not cursor or len(found) >= most:
            return cursor, found


def read(client: redis.Redis, producer: str, name: str, now: int) -> Progress | None:
    """Return the progress of a batch, None if it is unknown; its cost depends on its own rows only."""
    batch = batches.find(client, producer, name)
    if batch is None:
        return None
    return of(client, batch, messages(client, producer, name), now)


def of(client: redis.Redis, batch: Batch, found: Iterable[BatchMessage], now: int) -> Progress:
    """Return the progress of a batch with these messages."""
    pending: dict[Space, dict[int, Pending]] = {}
    counted = _counted(found, pending)
    states = counted.states
    accepted = max(batch.accepted, counted.listed)
    return Progress(
        batch=batch,
        pause=pauses.find(client, batch.producer, batch.name),
        accepted=accepted,
        waiting=sum(states[one] for one in WAITING),
        paused=states[Status.PAUSED],
        sending=states[Status.SENDING],
        in_doubt=states[Status.IN_DOUBT],
        sent=states[Status.SENT],
        delivered=states[Status.DELIVERED],
        cancelled=states[Status.CANCELLED],
        emulated=states[Status.EMULATED],
        failed=dict(counted.failed.most_common()),
        forgotten=accepted - sum(states.values()),
        parts=counted.parts,
        cost_so_far=counted.so_far,
        cost_to_come=counted.to_come,
        hours_left=hours_left(client, pending, now),
        states={str(one): number for one, number in sorted(states.items())},
    )


def hours_left(client: redis.Redis, pending: Mapping[Space, Mapping[int, Pending]], now: int) -> float | None:
    """Return how long what is pending takes at the rate of the workers, with all that is queued before it.

    The last of its accounts decides; None if one of them has no worker that reports its rate.
    """
    hours = 0.0
    for space, lanes in pending.items():
        rate = _rate(client, now, space)
        if not rate:
            return None
        parts = sum(one.parts for one in lanes.values()) + _ahead(client, lanes, space)
        latest = max(one.due for one in lanes.values())
        hours = max(hours, parts / rate / 3600, (latest - now) / HOUR_MS)
    return hours


class _Counted:
    """Sums over the messages of a batch."""

    def __init__(self) -> None:
        self.states: Counter[Status] = Counter()
        self.failed: Counter[str] = Counter()
        self.listed = self.parts = self.so_far = self.to_come = 0


def _counted(found: Iterable[BatchMessage], pending: dict[Space, dict[int, Pending]]) -> _Counted:
    sums = _Counted()
    for one in found:
        sums.listed += 1
        if one.status is None:
            continue
        sums.parts += one.parts
        sums.states[one.status] += 1
        if one.status in _FAILED:
            sums.failed[cause(one)] += 1
        sums.so_far += one.spent_millionths
        sums.to_come += one.to_come_millionths
        if one.is_ahead:
            lanes = pending.setdefault(space_of(one.account or ""), {})
            _note_pending(lanes.setdefault(one.lane, Pending()), one)
    return sums


def cause(one: BatchMessage) -> str:
    """Return why a message failed: the reason of its code, or its state, with the network's status if it has one."""
    return one.reason or f"{one.status} {one.code}".strip()


def _note_pending(lane: Pending, one: BatchMessage) -> None:
    lane.messages += 1
    lane.parts += one.parts
    if one.status is Status.QUEUED:
        lane.queued += 1
        lane.latest = max(lane.latest, one.accepted_at, one.due_at)
    elif one.status in (Status.SCHEDULED, Status.PAUSED):
        lane.due = max(lane.due, one.due_at)


def _ahead(client: redis.Redis, pending: Mapping[int, Pending], space: Space) -> int:
    """Return how many other messages of an account are sent before the last of these.

    Those are of higher lanes, and earlier ones of its lane.
    """
    last, indexes = max(pending), keys.names(space).QUEUED
    with client.pipeline(transaction=False) as pipe:
        for lane in keys.LANES:
            latest = pending[last].latest if lane == last else "+inf"
            if lane <= last:
                pipe.zcount(indexes[lane], "-inf", latest)
        found = pipe.execute(raise_on_error=False)
    queued: int = sum(rows.known(indexes[lane], one, 0) for lane, one in zip(keys.LANES, found, strict=False))
    return max(0, queued - sum(one.queued for one in pending.values()))


def _rate(client: redis.Redis, now: int, space: Space) -> float:
    """Return the parts per second of all workers of an account together, as they report it; 0 without one."""
    found = rows.reports_of(client, now - _SILENT_MS, ["rate"], space)
    return max((rows.real(one[0]) for one in found.values()), default=0.0)


def _records(client: redis.Redis, ids: Sequence[str]) -> dict[str, BatchMessage]:
    """Return the messages that have a record."""
    with client.pipeline(transaction=False) as pipe:
        for name in keys.records(ids):
            pipe.hmget(name, READ)
        replies: Sequence[Any] = pipe.execute(raise_on_error=False)
    read_ = ((one, row(READ, reply)) for one, reply in zip(ids, replies, strict=True))
    return {one: outcome.of_record(one, record) for one, record in read_ if record}


def _resolved(page: Sequence[tuple[str, bytes]], records: Mapping[str, BatchMessage]) -> Iterator[BatchMessage]:
    for one, value in page:
        yield records.get(one) or outcome.kept(one, value) or BatchMessage(id=one)


def cancellable(client: redis.Redis, producer: str, name: str) -> Iterator[Sequence[str]]:
    """Yield the ids of a batch's messages that have not ended, 500 at a time."""
    found = (one.id for one in messages(client, producer, name) if one.status and one.status not in FINAL)
    while page := list(islice(found, SLICE)):
        yield page
