"""Measure: the metrics and the trace of an attempt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from threelane.runtime import tracing
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.process import metrics
from threelane.worker.send.settle import Settlement

_outcomes = cache(metrics.OUTCOMES.labels)  # a look-up by labels takes longer than the increment
_to_gateway = cache(metrics.TO_GATEWAY.labels)


def measure(lane: int, one: Settlement, called_at: int) -> None:
    """Count the outcome of an attempt, its alarm, and for a first attempt how long the message waited."""
    decision = one.decision
    reason = decision.rule.reason if decision.rule else ""
    _outcomes(lane, one.outcome.kind, reason).inc()
    if decision.rule and decision.rule.alarm:
        metrics.ALARMS.labels(decision.rule.code, decision.rule.owner).inc()
    if one.claimed.attempt == 1 and one.outcome.kind is not OutcomeKind.NOT_TRIED:
        since = one.claimed.message.due_at or one.claimed.accepted_at
        _to_gateway(lane).observe(max(0, called_at - since) / 1000)


def trace(tracer: tracing.Tracer, gateway: str, settlements: Sequence[Settlement], began_ns: int) -> None:
    """Add the attempts of a call to their messages' traces."""
    for one in settlements:
        claimed, kind = one.claimed, one.outcome.kind
        if claimed.trace and kind is not OutcomeKind.NOT_TRIED:
            tracer.record(
                "attempt",
                claimed.trace,
                began_ns,
                failed=kind not in (OutcomeKind.ACCEPTED, OutcomeKind.EMULATED),
                id=claimed.id,
                lane=claimed.message.lane,
                attempt=claimed.attempt,
                gateway=gateway,
                outcome=str(kind),
                code=one.decision.code,
            )
