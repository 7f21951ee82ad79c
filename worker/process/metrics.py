"""Metrics: what one process measures of itself; labels come from closed tables only."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from threelane.contract.refusal import Owner
from threelane.store import scripts
from threelane.worker.policy.rule import Table

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
SCRIPT = "script"  # the alarm of a script that failed by a fault of ours: report it, and go back to the version before

OUTCOMES = Counter(
    "threelane_attempts",
    "Attempts of this process by lane, outcome and policy reason",
    ["lane", "outcome", "reason"],
)
ALARMS = Counter("threelane_alarms", "Answers that somebody should look at, by rule and owner", ["code", "owner"])
STALE = Counter("threelane_settled_elsewhere", "Attempts that something else had settled when they ended")
TO_GATEWAY = Histogram(
    "threelane_accept_to_gateway_seconds",
    "From accept, or from when it was due, to the first call of the gateway",
    ["lane"],
    buckets=_SECONDS,
)
CALL = Histogram("threelane_gateway_call_seconds", "One call of the gateway", ["gateway"], buckets=_SECONDS)
CLAIMED = Counter("threelane_claimed", "Messages claimed by this process", ["lane"])
RELEASED = Counter("threelane_released", "Messages this process put on their lane when they were due", ["lane"])
DEFERRED = Counter("threelane_deferred", "Messages that this process put off until their window opens", ["lane"])
LAPSED = Counter("threelane_lapsed", "Leases of dead workers that this process found")
RESOLVED = Counter("threelane_resolved", "Messages in doubt by what a look-up of this process made of them", ["result"])
POLLED = Counter("threelane_polled", "Messages that this process asked the gateway for, since no receipt had come")
SWEPT = Counter("threelane_swept", "Messages whose lost nudge this process found", ["lane"])
UNDER_WAY = Gauge("threelane_calls_under_way", "Calls of the gateway under way in this process")
RECEIPTS = Counter("threelane_receipts", "Status callbacks by what they changed", ["result"])
REPLIES = Counter("threelane_replies", "Replies of recipients by what was made of them", ["result"])
HOUSEKEEPING_FAILED = Counter("threelane_housekeeping_failed", "Rounds of housekeeping that Redis failed", ["round"])


def _script_failed(_: scripts.ScriptError) -> None:
    ALARMS.labels(SCRIPT, Owner.OPERATOR).inc()


scripts.on_fault.append(_script_failed)


def announce_alarms(*tables: Table) -> None:
    """Export the alarms of policy tables as 0 from the beginning: a count that begins at 1 has no increase."""
    ALARMS.labels(SCRIPT, Owner.OPERATOR)
    for table in tables:
        for rule in (*table.rules.values(), *table.by_hundred.values(), table.otherwise):
            if rule.alarm:
                ALARMS.labels(rule.code, rule.owner)
