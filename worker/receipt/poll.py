"""Poll: looks up the status of sent messages that have no final receipt, until it is known.

By default it polls after 10 minutes, then after an hour, twelve hours and every day, until the gateway forgets the
message six days after it was sent; then its state is unknown.  The statuses that no callback mask reports (006, 008,
011, 013, 014) arrive only this way.

A message is looked up by our id where the API can, since the gateway's may have come with another message's response.
What is found under another id of the gateway's keeps that one.  If the gateway does not know our id, its own counts,
unless a report named that for another message.  What it knows by neither is in doubt again, and is not sent again: its
content is deleted.  Of a message that was returned, our id may mean the attempt before, and of one that was sent again
from doubt its other copy: then the gateway's id counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

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
from threelane.worker.process import by_lane, metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.look_up import or_failed, reports_of
from threelane.worker.receipt.probe import Probed, take_due
from threelane.worker.receipt.receipt import receive

POLL_SECONDS = 0.5
DAY_MS = 24 * 3600 * 1000
NOT_OURS = LookUp(Known.NOT_FOUND, text="the gateway's id of another message")


class Polled(StrEnum):
    """The next step for a polled message; "" if its final state is known by now."""

    AGAIN = "again"
    UNKNOWN = "unknown"
    REOPENED = "reopened"  # the gateway no longer knows it, by either id: it is in doubt


class Disowned(StrEnum):
    """Why a message that was sent is in doubt."""

    CODE = "103"
    REASON = "unknown_gateway_id"


class PollUpdate(Item, frozen=True):
    """A polled message and its next poll; ``again_at`` is 0 for never."""

    id: str
    again_at: int
    counts: bool
    gateway_id: str  # another one that the gateway knows it by; "" if not
    is_gone: bool  # the gateway knows neither its own id nor ours


class Answered(NamedTuple):
    """The result of a poll; ``is_renamed``: the gateway knows it by another id of its own."""

    look_up: LookUp
    is_renamed: bool = False
    is_gone: bool = False
    other_copy: LookUp | None = None  # of a message that was sent again from doubt


@script(__file__, texts, [Polled, Owner, Disowned])
def _poll(
    *, records: Sequence[RecordKey], now: int, keep_ms: int, look_up_at: int, updates: Sequence[PollUpdate]
) -> None:
    """Set the next poll of messages; returns the next step for each."""


async def poll(client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, lane: int, now: int) -> int:
    """Poll messages of a lane that are due; returns how many were polled."""
    awaited = (await take_due(client, Status.SENT, lane, settings, now)).messages
    owners = await _owners(client, awaited, settings)
    pairs = zip(awaited, owners, strict=True)
    calls = ((one, _look_up(gateway, one, is_ours=owner in ("", one.id))) for one, owner in pairs)
    answers = await asyncio.gather(*(or_failed(one.id, call, Answered) for one, call in calls))
    metrics.POLLED.inc(len(awaited))
    reports = reports_of(
        (one.id, found)
        for one, answer in zip(awaited, answers, strict=True)
        for found in (answer.other_copy, answer.look_up)
        if found and found.known in (Known.FOUND, Known.NO_STATUS) and found.status
    )
    if reports:
        tracer = tracing.tracer(enabled=settings.otel)
        await receive(client, reports, settings.keeping, now, tracer, settings.space)
    await _write(client, awaited, answers, settings, now)
    return len(awaited)


async def _owners(client: redis.asyncio.Redis, awaited: Sequence[Probed], settings: WorkerSettings) -> list[str]:
    """Return for each message which one its gateway id belongs to, if a report named one; "" if not."""
    if not awaited:
        return []
    found: Any = await client.hmget(keys.names(settings.space).OWNERS, [one.gateway_id for one in awaited])
    return [(one or b"").decode() for one in found]


async def _look_up(gateway: Gateway, one: Probed, *, is_ours: bool) -> Answered:
    """Look up by our id, which no other message has; by the gateway's where the API cannot, or does not know ours."""
    if gateway.can_look_up or not one.gateway_id:
        by_ours = await gateway.look_up(one.id)
        is_other = by_ours.known is Known.FOUND and one.gateway_id not in ("", by_ours.gateway_id)
        if is_other and one.resent_at and is_ours:
            return Answered(await gateway.status(one.gateway_id), other_copy=by_ours)
        if one.is_former(by_ours):
            by_ours = LookUp(Known.NOT_FOUND if one.gateway_id else Known.FAILED, text="the attempt before")
        if by_ours.known is not Known.NOT_FOUND or not one.gateway_id:
            return Answered(by_ours, is_renamed=is_other)
    answer = await gateway.status(one.gateway_id) if is_ours else NOT_OURS
    return Answered(answer, is_gone=answer.known is Known.NOT_FOUND and gateway.can_look_up)


def next_poll_at(one: Probed, failed: bool, delays: Sequence[float], now: int) -> int:
    """Return when to poll again, or 0 if the gateway will have forgotten the message by then."""
    wait = delays[0] if failed else delays[min(one.polls + 1, len(delays) - 1)]
    at = now + int(wait * 1000)
    last = one.sent_at + GATEWAY_REMEMBERS
    return at if at <= last else last if now < last else 0


async def _write(
    client: redis.asyncio.Redis,
    awaited: Sequence[Probed],
    answers: Sequence[Answered],
    settings: WorkerSettings,
    now: int,
) -> None:
    """Set the next polls, or end messages as unknown, or reopen their doubt."""
    if not awaited:
        return
    updates = [_update(one, answer, settings, now) for one, answer in zip(awaited, answers, strict=True)]
    look_up_at = now + int(settings.doubt_delays_seconds[0] * 1000)
    replies = await _poll.within(settings.space).run(
        client,
        records=keys.records(one.id for one in awaited),
        now=now,
        keep_ms=settings.retention_ms,
        look_up_at=look_up_at,
        updates=updates,
    )
    for one, answer, reply in zip(awaited, answers, replies, strict=True):
        if answer.is_renamed:
            was, by = one.gateway_id, answer.look_up.gateway_id
            logs.event("renamed", level=40, id=one.id, gateway_id=by, was=was, owner=Owner.GATEWAY)
            metrics.ALARMS.labels(Disowned.CODE, Owner.GATEWAY).inc()
        if reply == Polled.UNKNOWN:
            logs.event("unknown", level=30, id=one.id, reason="no_receipt", owner="gateway")
        elif reply == Polled.REOPENED:
            logs.event("reopened", level=40, id=one.id, gateway_id=one.gateway_id, code=Disowned.CODE, owner="gateway")
            metrics.ALARMS.labels(Disowned.CODE, Owner.GATEWAY).inc()


def _update(one: Probed, answer: Answered, settings: WorkerSettings, now: int) -> PollUpdate:
    failed = answer.look_up.known is Known.FAILED
    again_at = next_poll_at(one, failed, settings.receipt_delays_seconds, now)
    is_gone = answer.is_gone and now - one.sent_at < GATEWAY_REMEMBERS - DAY_MS  # later it may have forgotten it
    gateway_id = answer.look_up.gateway_id if answer.is_renamed else ""
    return PollUpdate(one.id, again_at, not failed, gateway_id, is_gone)


async def _lane(context: WorkerContext, lane: int) -> bool:
    if not context.may_call:
        return False
    return await poll(context.client, context.gateway, context.settings, lane, context.clock.now()) > 0


DUTY = Duty(
    name="poll",
    interval_seconds=POLL_SECONDS,
    work=by_lane.round_of(keys.LANES, lambda names: names.AWAITING, _lane),
    while_draining=False,
)
