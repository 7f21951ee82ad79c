"""Resolve: looks up messages in doubt by our id; a message that was proven not to be sent is sent again, once."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress

import redis.asyncio

from threelane.runtime import logs, tracing
from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.readable import UnreadableBody, body_of
from threelane.store.scripts import Item, script, texts
from threelane.store.states import Status
from threelane.worker.doubt.next_step import Doubt, NextStep, Unresolved, next_step
from threelane.worker.doubt.proof import Evidence
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import NO_LOOK_UP, Known, LookUp
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process import by_lane, metrics
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.look_up import look_up_many, reports_of
from threelane.worker.receipt.probe import Probed, take_due
from threelane.worker.receipt.receipt import receive

LANE_1_SECONDS, RESOLVE_SECONDS = 0.25, 0.5
OF_FORMER = LookUp(Known.FAILED, text="the attempt before")


class LookedUp(Item, frozen=True):
    """The next step after a look-up: a state, or ``ask``; empty ``code``, ``reason`` and ``owner`` stay unchanged."""

    id: str
    to: str
    at: int
    counts: bool
    code: str
    reason: str
    owner: str
    probes: int  # made before
    since: int  # in doubt since


@script(__file__, texts, [Unresolved])
def _resolve(*, records: Sequence[RecordKey], now: int, keep_ms: int, looked_up: Sequence[LookedUp]) -> None:
    """Record look-ups; returns the lane of each message, or "" if it was settled elsewhere."""


async def resolve(
    client: redis.asyncio.Redis,
    gateway: Gateway,
    settings: WorkerSettings,
    lane: int,
    now: int,
    opened_at: int = 0,
    closed_at: int = 0,
) -> tuple[int, dict[int, list[str]]]:
    """Look up messages of a lane that are due; returns how many were taken, and by lane the ids to be nudged.

    ``opened_at`` and ``closed_at``: when the breaker opened and closed last.
    """
    per_request = gateway.look_ups_per_request
    taken = await take_due(client, Status.IN_DOUBT, lane, settings, now, per_request)
    if not taken.messages:
        return 0, {}
    doubts = [_doubt(one) for one in taken.messages]
    found = await _look_up(gateway, [one.id for one in doubts], per_request)
    found = [OF_FORMER if one.is_former(answer) else answer for one, answer in zip(taken.messages, found, strict=True)]
    adopted = reports_of(
        (one.id, known) for one, known in zip(doubts, found, strict=True) if known.known is Known.FOUND
    )
    if adopted:
        results = await receive(
            client, adopted, settings.keeping, now, tracing.tracer(enabled=settings.otel), settings.space
        )
        metrics.RESOLVED.labels("adopted").inc(results.count("moved"))
    evidence = Evidence.of(taken.visibility, settings.doubt_delays_seconds, opened_at, closed_at)
    rest = [
        (one, next_step(one, answer, evidence, settings.second_doubt, now))
        for one, answer in zip(doubts, found, strict=True)
        if answer.known is not Known.FOUND
    ]
    return len(doubts), await _write(client, rest, settings, now)


async def _look_up(gateway: Gateway, ids: Sequence[str], per_request: int) -> list[LookUp]:
    """Look up messages in concurrent requests, each of as many as the API allows."""
    if not gateway.can_look_up:
        return [NO_LOOK_UP] * len(ids)
    parts = [ids[start : start + per_request] for start in range(0, len(ids), per_request)]
    return [one for found in await asyncio.gather(*(look_up_many(gateway, part) for part in parts)) for one in found]


def _doubt(one: Probed) -> Doubt:
    on_doubt = ""
    with suppress(UnreadableBody):  # if it is to be sent again, its claim makes it a dead letter
        on_doubt = body_of(one.body, one.id).on_doubt if one.body else ""
    return Doubt(
        one.id,
        one.doubted,
        one.probes,
        one.lapses,
        one.resent_at > 0,
        one.retry_at,
        on_doubt,
        one.expires_at,
        one.former_id != "",
        one.is_cancelled,
    )


async def _write(
    client: redis.asyncio.Redis, rest: Sequence[tuple[Doubt, NextStep]], settings: WorkerSettings, now: int
) -> dict[int, list[str]]:
    if not rest:
        return {}
    looked_up = [LookedUp(doubt.id, *then, doubt.probes, doubt.since) for doubt, then in rest]
    records = keys.records(one.id for one in looked_up)
    lanes = await _resolve.within(settings.space).run(
        client, records=records, now=now, keep_ms=settings.retention_ms, looked_up=looked_up
    )
    again: dict[int, list[str]] = defaultdict(list)
    steps: Counter[str] = Counter()
    for (doubt, then), lane in zip(rest, lanes, strict=True):
        if not lane:
            continue
        steps[then.to] += 1
        if then.to == Status.QUEUED:
            again[int(lane)].append(doubt.id)
        probes = doubt.probes + then.counts
        logs.event("resolved", id=doubt.id, lane=int(lane), to=then.to, probes=probes, code=then.code)
    for to, times in steps.items():
        metrics.RESOLVED.labels(to).inc(times)
    return again


async def _lane(context: WorkerContext, lane: int) -> bool:
    breaker = context.breaker
    if not context.may_call:
        return False
    taken, again = await resolve(
        context.client,
        context.gateway,
        context.settings,
        lane,
        context.clock.now(),
        breaker.opened_at,
        breaker.closed_at,
    )
    await context.nudge(again)
    return taken > 0


DUTY_1, DUTY = by_lane.duties(
    "resolve", lambda names: names.DOUBT, _lane, lane_1_seconds=LANE_1_SECONDS, seconds=RESOLVE_SECONDS
)
