"""Resolve: looks up messages in doubt by our id; only "not found" every time lets one be sent again."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import redis.asyncio

from threelane.contract import message
from threelane.contract.message import Message
from threelane.contract.refusal import Owner
from threelane.runtime import logs, tracing
from threelane.store import keys
from threelane.store.due import due
from threelane.store.keys import RecordKey
from threelane.store.scripts import Item, script, texts
from threelane.store.states import Status
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import GATEWAY_REMEMBERS, NO_LOOK_UP, Known, LookUp
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.probe import Probed, probe
from threelane.worker.receipt.receipt import from_look_up, receive

BATCH = 20
RESOLVE_SECONDS = 0.5
MOST_LAPSES = 3
DAY = 24 * 3600 * 1000


class Unresolved(StrEnum):
    """The next step, other than a state, for a message that a look-up did not find."""

    LOOK_UP_AGAIN = "ask"


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


class Doubt(NamedTuple):
    """A message in doubt that this worker looks up now; times in milliseconds."""

    message: Message
    probes: int  # look-ups with the result "not found"
    since: int
    lapses: int  # attempts lost with their worker


class NextStep(NamedTuple):
    """The message's next step: a state, or ``ask`` for another look-up; ``at`` in milliseconds."""

    to: str
    at: int
    counts: bool = False
    code: str = ""
    reason: str = ""
    owner: str = ""


async def resolve(
    client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, now: int
) -> tuple[int, dict[int, list[str]]]:
    """Look up at most 20 messages; returns how many were due, and by lane the ids to be nudged."""
    ids = await due(client, keys.DOUBT, now, BATCH)
    if not ids:
        return 0, {}
    taken = await probe(client, ids, Status.IN_DOUBT, settings, now)
    doubts = [_doubt(entry) for entry in taken]
    looked_up = doubts if gateway.can_look_up else []
    answers = await asyncio.gather(*(gateway.look_up(one.message.id) for one in looked_up))
    found = answers if gateway.can_look_up else [NO_LOOK_UP] * len(doubts)
    adopted = [
        from_look_up(one.message.id, answer)
        for one, answer in zip(doubts, found, strict=True)
        if answer.known is Known.FOUND
    ]
    if adopted:
        results = await receive(client, adopted, settings.keeping, now, tracing.tracer(enabled=settings.otel))
        metrics.RESOLVED.labels("adopted").inc(results.count("moved"))
    rest = [
        (one, next_step(one, answer, settings.doubt_delays_seconds, now))
        for one, answer in zip(doubts, found, strict=True)
        if answer.known is not Known.FOUND
    ]
    return len(doubts), await _write(client, rest, settings.retention_ms, now)


def next_step(doubt: Doubt, answer: LookUp, delays: Sequence[float], now: int) -> NextStep:
    """Return the next step after a look-up that did not find the message; pure.

    A look-up that failed, or returned no status, changes nothing: it is repeated after the same delay.
    """
    if (
        answer.known is Known.CANNOT
    ):  # no look-up on this API: wait for a receipt until the end of validity and the grace
        ends = doubt.message.expires_at + int(sum(delays) * 1000)
        if now < ends:
            return NextStep(Unresolved.LOOK_UP_AGAIN, ends)
        return NextStep(Status.UNKNOWN, now, code="no_look_up", reason="no_look_up", owner=Owner.GATEWAY)
    if now - doubt.since > GATEWAY_REMEMBERS:
        return NextStep(Status.UNKNOWN, now, code="forgotten", reason="never_resolved", owner=Owner.GATEWAY)
    if answer.known is not Known.NOT_FOUND:
        return NextStep(Unresolved.LOOK_UP_AGAIN, now + int(delays[min(doubt.probes, len(delays) - 1)] * 1000))
    probes = doubt.probes + 1
    if probes < len(delays):
        return NextStep(Unresolved.LOOK_UP_AGAIN, now + int(delays[probes] * 1000), counts=True)
    if doubt.lapses >= MOST_LAPSES:
        return NextStep(Status.DEAD, now, True, "worker_lost", "worker_lost", Owner.OPERATOR)
    match doubt.message.on_doubt:
        case "hold":
            return NextStep(Unresolved.LOOK_UP_AGAIN, now + DAY, counts=True)
        case "drop":
            return NextStep(Status.DEAD, now, True, "in_doubt", "dropped_in_doubt", Owner.PRODUCER)
    return NextStep(Status.QUEUED, now, counts=True)


def _doubt(one: Probed) -> Doubt:
    return Doubt(message.decode(one.body), one.probes, one.doubted, one.lapses)


async def _write(
    client: redis.asyncio.Redis, rest: Sequence[tuple[Doubt, NextStep]], retention_ms: int, now: int
) -> dict[int, list[str]]:
    if not rest:
        return {}
    looked_up = [LookedUp(doubt.message.id, *then, doubt.probes, doubt.since) for doubt, then in rest]
    records = keys.records(one.id for one in looked_up)
    lanes = await _resolve.run(client, records=records, now=now, keep_ms=retention_ms, looked_up=looked_up)
    again: dict[int, list[str]] = defaultdict(list)
    steps: Counter[str] = Counter()
    for (doubt, then), lane in zip(rest, lanes, strict=True):
        if not lane:
            continue
        steps[then.to] += 1
        if then.to == Status.QUEUED:
            again[int(lane)].append(doubt.message.id)
        logs.event("resolved", id=doubt.message.id, lane=int(lane), to=then.to, probes=doubt.probes + then.counts)
    for to, times in steps.items():
        metrics.RESOLVED.labels(to).inc(times)
    return again


async def _round(context: WorkerContext) -> bool:
    due, again = await resolve(context.client, context.gateway, context.settings, context.clock.now())
    await context.nudge(again)
    return due > 0


DUTY = Duty(name="resolve", interval_seconds=RESOLVE_SECONDS, work=_round, while_draining=False)
