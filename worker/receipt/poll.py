"""Poll: looks up the status of sent messages that have no final receipt, until it is known.

By default it polls after 10 minutes, then after an hour, twelve hours and every day, until the gateway forgets the
message six days after it was sent; then its state is unknown.  The statuses that no callback mask reports (006, 008,
011, 013, 014) arrive only this way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import redis.asyncio

from threelane.contract.refusal import Owner
from threelane.runtime import logs, tracing
from threelane.store import keys
from threelane.store.due import due
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
    """The next step for a polled message; "" if its final state is known by now."""

    AGAIN = "again"
    UNKNOWN = "unknown"


class PollUpdate(Item, frozen=True):
    """A polled message and its next poll; ``again_at`` is 0 for never."""

    id: str
    again_at: int
    counts: bool


@script(__file__, texts, [Polled, Owner])
def _poll(*, records: Sequence[RecordKey], now: int, keep_ms: int, updates: Sequence[PollUpdate]) -> None:
    """Set the next poll of messages; returns the next step for each."""


async def poll(client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, now: int) -> int:
    """Poll up to 20 messages; returns how many were polled."""
    ids = await due(client, keys.AWAITING, now, BATCH)
    if not ids:
        return 0
    awaited = await probe(client, ids, Status.SENT, settings, now)
    answers = await asyncio.gather(*(_look_up(gateway, one) for one in awaited))
    metrics.POLLED.inc(len(awaited))
    reports = [
        from_look_up(one.id, answer)
        for one, answer in zip(awaited, answers, strict=True)
        if answer.known in (Known.FOUND, Known.NO_STATUS) and answer.status
    ]
    if reports:
        await receive(client, reports, settings.keeping, now, tracing.tracer(enabled=settings.otel))
    await _write(client, awaited, answers, settings, now)
    return len(awaited)


async def _look_up(gateway: Gateway, one: Probed) -> LookUp:
    """Look up by the gateway's id, which every API supports; by ours if the gateway's is unknown."""
    return await (gateway.status(one.gateway_id) if one.gateway_id else gateway.look_up(one.id))


def next_poll_at(one: Probed, failed: bool, delays: Sequence[float], now: int) -> int:
    """Return when to poll again, or 0 if the gateway will have forgotten the message by then."""
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
    """Set the next polls, or end messages as unknown."""
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
