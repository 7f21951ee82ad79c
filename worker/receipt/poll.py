"""Poll: the receipt sweeper; messages that were sent and whose end no receipt told are asked for, until it is known.

First after 10 minutes, then after an hour, twelve hours and every day, until the gateway forgets a message, six days
after it was sent; then its end is unknown.  The statuses that no callback mask reports (006, 008, 011, 013, 014) come
this way alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import redis.asyncio

from threelane.contract.refusal import Owner
from threelane.runtime import logs, tracing
from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.scripts import Item, script, texts
from threelane.store.states import Status
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import GATEWAY_REMEMBERS, Known, LookUp
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.probe import Probed, probe
from threelane.worker.receipt.receipt import from_look_up, receive

BATCH = 20
POLL_SECONDS = 0.5


class Polled(StrEnum):
    """What is to become of a message that was asked for; "" when its end is known by now."""

    AGAIN = "again"
    UNKNOWN = "unknown"


class PollUpdate(Item, frozen=True):
    """A message that was asked for; ``again_at`` is 0 for never."""

    id: str
    again_at: int
    counts: bool


@script(__file__, texts, [Polled, Owner])
def _poll(*, records: Sequence[RecordKey], now: int, keep_ms: int, updates: Sequence[PollUpdate]) -> None:
    """Write down when to ask again; returns what is to become of each."""


async def poll(client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, now: int) -> int:
    """Ask for up to 20 messages; returns how many were asked for."""
    due: Any = await client.zrange(keys.AWAITING, "-inf", now, byscore=True, offset=0, num=BATCH)
    if not due:
        return 0
    ids = [one.decode() for one in due]
    awaited = await probe.run(
        client,
        records=keys.records(ids),
        now=now,
        status=Status.SENT,
        again_at=now + settings.lease_ms,
        a_second=settings.look_ups_per_second,
        ids=ids,
    )
    answers = await asyncio.gather(*(_look_up(gateway, one) for one in awaited))
    metrics.POLLED.inc(len(awaited))
    told = [
        from_look_up(one.id, answer)
        for one, answer in zip(awaited, answers, strict=True)
        if answer.known in (Known.FOUND, Known.NO_STATUS) and answer.status
    ]
    if told:
        await receive(client, told, settings.keeping, now, tracing.of(settings))
    await _write(client, awaited, answers, settings, now)
    return len(awaited)


async def _look_up(gateway: Gateway, one: Probed) -> LookUp:
    """Ask by the gateway's id, which every API knows; by ours where it has not told its own."""
    return await (gateway.status(one.gateway_id) if one.gateway_id else gateway.look_up(one.id))


def next_poll_at(one: Probed, failed: bool, delays: Sequence[float], now: int) -> int:
    """Return when to ask again, or 0 when the gateway has forgotten by then."""
    wait = delays[0] if failed else delays[min(one.polls + 1, len(delays) - 1)]
    at = now + int(wait * 1000)
    last = one.sent_at + GATEWAY_REMEMBERS
    return at if at <= last else last if now < last else 0


async def _write(
    client: redis.asyncio.Redis,
    awaited: Sequence[Probed],
    answers: Sequence[LookUp],
    settings: WorkerSettings,
    now: int,
) -> None:
    """Write down when to ask again, or that nobody will ever know."""
    if not awaited:
        return
    updates = []
    for one, answer in zip(awaited, answers, strict=True):
        failed = answer.known is Known.FAILED
        updates.append(PollUpdate(one.id, next_poll_at(one, failed, settings.receipt_delays_seconds, now), not failed))
    records = keys.records(one.id for one in awaited)
    replies = await _poll.run(client, records=records, now=now, keep_ms=settings.retention_ms, updates=updates)
    for one, reply in zip(awaited, replies, strict=True):
        if reply == Polled.UNKNOWN:
            logs.event("unknown", level=30, id=one.id, reason="no_receipt", owner="gateway")


async def _round(context: WorkerContext) -> bool:
    return await poll(context.client, context.gateway, context.settings, context.clock.now()) > 0


DUTY = Duty(name="poll", interval_seconds=POLL_SECONDS, work=_round, while_draining=False)
