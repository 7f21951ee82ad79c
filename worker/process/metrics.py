"""Metrics: what one process measures about itself; label values come from closed tables only."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from threelane.contract.refusal import Owner
from threelane.runtime.connections import Closed
from threelane.store import replies, scripts
from threelane.worker.policy.ours import OURS
from threelane.worker.policy.rule import Table

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
SCRIPT = "script"  # the alarm of a script that failed by our own bug: report it, and roll back

OUTCOMES = Counter(
    "threelane_attempts",
    "Attempts of this process by lane, outcome and policy reason",
    ["lane", "outcome", "reason"],
)
ALARMS = Counter("threelane_alarms", "Responses that need attention, by rule and owner", ["code", "owner"])
STALE = Counter("threelane_settled_elsewhere", "Attempts whose message was already settled by the time they finished")
TO_GATEWAY = Histogram(
    "threelane_accept_to_gateway_seconds",
    "From accept, or from the due time, to the first gateway call",
    ["lane"],
    buckets=_SECONDS,
)
CALL = Histogram("threelane_gateway_call_seconds", "Duration of one gateway call", ["gateway"], buckets=_SECONDS)
CLAIMED = Counter("threelane_claimed", "Messages claimed by this process", ["lane"])
RELEASED = Counter("threelane_released", "Due messages that this process put on their lane", ["lane"])
DEFERRED = Counter("threelane_deferred", "Messages that this process deferred until their window opens", ["lane"])
LAPSED = Counter("threelane_lapsed", "Leases of dead workers that this process found")
RESOLVED = Counter("threelane_resolved", "Messages in doubt that this process looked up, by result", ["result"])
POLLED = Counter("threelane_polled", "Messages that this process looked up because no receipt came")
SWEPT = Counter("threelane_swept", "Messages whose lost nudge this process found", ["lane"])
UNDER_WAY = Gauge("threelane_calls_under_way", "Gateway calls in progress in this process")
CLOSED = Counter(
    "threelane_connections_closed", "Connections that the endpoint closed to keep its limits, by limit", ["limit"]
)
for _limit in Closed:
    CLOSED.labels(_limit)
RECEIPTS = Counter("threelane_receipts", "Status callbacks by result", ["account", "result"])
FOREIGN = Counter(
    "threelane_foreign_statuses",
    "Status callbacks of messages that are not Threelane's, or of another account than their address",
    ["path", "whose"],
)
CALLBACK_CREDENTIALS = Counter(
    "threelane_callback_credentials",
    "Genuine callbacks by account, and by the secret and password they used",
    ["account", "credential", "used"],
)
CALLBACK_PASSWORDS_REFUSED = Counter(
    "threelane_callback_passwords_refused",
    "Callbacks at the right address that were refused for their user and password, by account",
    ["account", "presented"],
)
REPLIES = Counter("threelane_replies", "Replies from recipients by result", ["result"])
REPLY_MEDIA = Counter("threelane_reply_media", "Files that came with replies, which are not kept, by kind", ["kind"])
REFUSED = Counter("threelane_redis_refused", "Commands that failed with an error reply of Redis, by reply", ["reply"])
for _reply in replies.TABLE:
    REFUSED.labels(_reply.prefix)  # 0 from the start: a counter that first appears as 1 shows no increase
HOUSEKEEPING_FAILED = Counter(
    "threelane_housekeeping_failed", "Housekeeping rounds that failed because of Redis", ["round"]
)


def _script_failed(_: scripts.ScriptError) -> None:
    ALARMS.labels(SCRIPT, Owner.OPERATOR).inc()


scripts.on_fault.append(_script_failed)


def announce_alarms(*tables: Table) -> None:
    """Expose the alarms of policy tables as 0 from the start: a counter that first appears as 1 shows no increase."""
    ALARMS.labels(SCRIPT, Owner.OPERATOR)
    for table in (*tables, OURS):
        for rule in (*table.rules.values(), *table.by_hundred.values(), table.otherwise):
            if rule.alarm:
                ALARMS.labels(rule.code, rule.owner)
