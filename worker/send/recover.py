"""Recover: probes a gateway that does not answer, first with a harmless call, then with one message.

One worker at a time probes, at growing intervals, if the gateway has accepted its credentials.  The message is the
oldest of the highest lane that may be sent.  A worker that stopped alone makes the harmless call on its own, and
continues when it is answered.
"""

from __future__ import annotations

import secrets
from random import Random
from typing import Any

from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.worker.account import credentials
from threelane.worker.fetch import held
from threelane.worker.gateway.breaker import ANSWERS, FAILURES, wait_ms
from threelane.worker.gateway.breaking import close_breaker, fail_probe, let_through, take_probe
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import NOT_TRIED, AttemptOutcome, OutcomeKind
from threelane.worker.gateway.reach import reach
from threelane.worker.gateway.summary import evidence, summary
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 0.25
MARGIN_MS = 5_000  # what a probe may take besides its call
CANDIDATES = 20  # messages of a lane that are considered at once: the first may have expired meanwhile
MOST_TRIES = 5
_RNG = Random()


async def probe(context: WorkerContext) -> bool:
    """Probe the gateway if it is this worker's turn; returns whether it was."""
    breaker, token = context.breaker, secrets.token_hex(8)
    now = context.clock.now()
    if not await take_probe.within(context.settings.space).run(
        context.client, breaker=breaker.key, now=now, scope=breaker.scope, token=token, ends=_ends(context)
    ):
        return False
    outcome = await reach(context.gateway)
    answered = outcome.kind in ANSWERS
    if outcome.kind is OutcomeKind.WRONG_ADDRESS:
        breaker.blame(outcome.text)
    elif outcome.kind not in FAILURES and await let_through.within(context.settings.space).run(
        context.client, breaker=breaker.key, scope=breaker.scope, token=token, ends=_ends(context)
    ):
        sent = await _one_message(context, token)
        outcome = sent if sent.kind in ANSWERS | FAILURES else outcome
        answered = outcome.kind not in FAILURES
    await (_close(context, token) if answered else _fail(context, token, outcome))
    await held.look(context)
    return True


async def recheck(context: WorkerContext) -> bool:
    """Call the gateway for a worker that stopped alone; returns whether the gateway answers again."""
    outcome = await reach(context.gateway)
    if outcome.kind in FAILURES or outcome.kind is OutcomeKind.WRONG_ADDRESS:
        return False
    context.breaker.clear_fault()
    await held.look(context)
    return True


async def _one_message(context: WorkerContext, token: str) -> AttemptOutcome:
    """Attempt the oldest message that may be sent, lane 1 first; NOT_TRIED if there is none."""
    queued = keys.names(context.settings.space).QUEUED
    for lane in keys.LANES:
        for _ in range(MOST_TRIES):
            ids: Any = await context.client.zrange(queued[lane], 0, CANDIDATES - 1)
            if not ids:
                break
            outcome = await context.rest.try_one(lane, rows.ids(ids), token)
            if outcome is not None:
                return outcome
    return NOT_TRIED


async def _close(context: WorkerContext, token: str) -> None:
    breaker = context.breaker
    if await close_breaker.within(context.settings.space).run(
        context.client,
        breaker=breaker.key,
        now=context.clock.now(),
        scope=breaker.scope,
        token=token,
        process=breaker.process,
    ):
        logs.event("breaker_closed", level=30)


async def _fail(context: WorkerContext, token: str, outcome: AttemptOutcome) -> None:
    breaker = context.breaker
    await fail_probe.within(context.settings.space).run(
        context.client,
        breaker=breaker.key,
        now=context.clock.now(),
        scope=breaker.scope,
        token=token,
        code=str(outcome.kind),
        detail=evidence(outcome.text) or str(outcome.kind),
        wait_ms=wait_ms(outcome),
        most_ms=context.settings.most_probe_ms,
        jitter=_RNG.random(),
    )
    problem = summary(outcome._replace(text=evidence(outcome.text)))
    logs.event("probe_failed", level=30, kind=str(outcome.kind), problem=problem)


def _ends(context: WorkerContext) -> int:
    """Return when another worker may probe instead of this one."""
    return context.clock.now() + int(context.settings.gateway_timeout_seconds * 1000) + MARGIN_MS


async def _round(context: WorkerContext) -> bool:
    if context.breaker.fault:
        if context.breaker.recheck_is_due(context.clock.monotonic()):
            await recheck(context)
    elif context.breaker.is_shared and credentials.is_accepted():
        await probe(context)
    return False


DUTY = Duty(name="probe_gateway", interval_seconds=LOOK_SECONDS, work=_round, while_draining=False)
