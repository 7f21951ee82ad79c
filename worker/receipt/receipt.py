"""Receipt: applies status reports of the network to the record, once, in any order."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import redis.asyncio

from threelane.contract.accounts.account import DEFAULT, shown
from threelane.contract.refusal import Owner
from threelane.runtime import logs
from threelane.runtime.tracing import Tracer
from threelane.store import keys
from threelane.store.keys import HERE, RecordKey, Space
from threelane.store.scripts import Item, script, texts
from threelane.store.states import Status
from threelane.worker.account.hold import Hold
from threelane.worker.gateway.outcome import Known, LookUp
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.rule import Scope
from threelane.worker.policy.statuses import HOUR_MS, OF_ACCOUNT, OfAccount, meaning
from threelane.worker.process import metrics
from threelane.worker.process.settings import Keeping
from threelane.worker.send.settle import Holding, holding, log_held

MAX_TEXT = 300  # characters
SCHEDULED = ("011", "SCHEDULED")
AT_NETWORK = ("003", "SENT_TO_SUPPLIER")
STALE_MS = HOUR_MS  # after this a report of no credit proves nothing: the balance is read each minute
GIVEN_BACK = frozenset({"010", "006", "EXPIRED", "STOPPED_BY_USER"})  # these are not charged


class ReceiptResult(StrEnum):
    """The effect of a report."""

    MOVED = "moved"
    NOTED = "noted"  # no move
    REPEATED = "repeated"
    RETURNED = "returned"  # the gateway refused it for the account: back to its lane, once
    EARLIER = "earlier"  # of the attempt before it was returned
    LATE = "late"  # the message ended before
    NEVER_SENT = "never_sent"
    LEFT = "left"  # its stand-by took it over, although this gateway had it
    OTHER_ACCOUNT = "other_account"  # of a message that another account has: nothing changes
    UNKNOWN = "unknown"


class Assumed(StrEnum):
    """Which charge to assume, since the One API and Platform REST report none."""

    REPORTED = ""  # none: the API reports charges
    ESTIMATE = "estimate"
    NOTHING = "none"


class Reported(Item, frozen=True):
    """A report as the script takes it; ``to`` is "" if it does not change the state."""

    id: str
    gateway_id: str
    network: str
    to: str
    charge: int | None
    rank: int  # 0 to 4
    text: str
    assumed: Assumed
    code: str  # that a cause of the account has; "" if it ended for no such cause
    reason: str


def _applied(reply: Any) -> tuple[list[str], list[str]]:
    answers, held = reply
    return texts(answers), texts(held)


@script(__file__, _applied, [ReceiptResult, Assumed, Owner])
def _receipt(
    *,
    records: Sequence[RecordKey],
    now: int,
    default: str,
    keep_ms: int,
    poll_ms: int,
    holds: Sequence[Holding],
    reports: Sequence[Reported],
) -> None:
    """Apply reports; returns the effect of each, with the message's trace if it has one, and what is on hold now."""


async def receive(
    client: redis.asyncio.Redis,
    reports: Sequence[StatusReport],
    keeping: Keeping,
    now: int,
    tracer: Tracer | None = None,
    space: Space = HERE,
) -> list[str]:
    """Apply reports of an account; returns the effect of each, a `ReceiptResult`.

    A report of a message that another account has changes nothing; that its stand-by took one over which this
    gateway had is an error.

    A status of the account holds it in the same step, so that a message which returns to its lane waits there.
    """
    began_ns = time.time_ns()
    causes = [OF_ACCOUNT.get(one.network_status) for one in reports]
    holds = [_hold(one, cause) if cause else None for one, cause in zip(reports, causes, strict=True)]
    replies, held = await _receipt.within(space).run(
        client,
        records=keys.records(one.id for one in reports),
        now=now,
        default=DEFAULT,
        keep_ms=keeping.keep,
        poll_ms=keeping.first_poll,
        holds=[holding(hold, place, now) for place, hold in enumerate(holds, 1) if hold],
        reports=[_reported(one, cause) for one, cause in zip(reports, causes, strict=True)],
    )
    log_held(held, [hold for hold in holds if hold])
    answers = [reply.partition(" ") for reply in replies]
    results = [result for result, _, _ in answers]
    for result, times in Counter(results).items():
        metrics.RECEIPTS.labels(shown(space.account), result).inc(times)
    pairs = [pair for pair in zip(reports, results, strict=True) if pair[1] != ReceiptResult.OTHER_ACCOUNT]
    logs.events(
        "receipt", ({"id": one.id, "network_status": one.network_status, "result": into} for one, into in pairs)
    )
    back = [one for one, into in pairs if into == ReceiptResult.RETURNED]
    each = ({"id": one.id, "network_status": one.network_status, "gateway_id": one.gateway_id} for one in back)
    logs.events("returned", each, level=logging.WARNING)
    both = [one for one, into in pairs if into == ReceiptResult.LEFT]
    about = {"account": shown(space.account), "owner": Owner.GATEWAY}
    logs.events("reported_by_both", ({"id": one.id, "gateway_id": one.gateway_id} | about for one in both), level=40)
    for one, (result, _, trace) in zip(reports, answers, strict=True):
        if tracer and trace:
            tracer.record("receipt", trace, began_ns, id=one.id, network_status=one.network_status, result=result)
    return results


def _hold(one: StatusReport, cause: OfAccount) -> Hold:
    """Return the hold of the account from the time at which a report's cause happened."""
    stale_ms = 0 if cause.lasts_ms else STALE_MS
    return Hold(Scope.ACCOUNT, cause.code, cause.reason, lasts_ms=cause.lasts_ms, at=one.at, stale_ms=stale_ms)


def _reported(one: StatusReport, cause: OfAccount | None) -> Reported:
    return Reported(
        one.id,
        one.gateway_id,
        one.network_status,
        one.to or "",
        one.charge_millionths,
        rank(one),
        (one.text or one.network_status)[:MAX_TEXT],
        _assumed(one),
        cause.code if cause and one.to else "",
        cause.reason if cause and one.to else "",
    )


def _assumed(report: StatusReport) -> Assumed:
    """Return which charge to assume; statuses of the One API are names, also in a look-up."""
    status = report.network_status
    if not report.estimated and (not status or status.isdigit()):
        return Assumed.REPORTED
    return Assumed.NOTHING if status in GIVEN_BACK else Assumed.ESTIMATE


def from_look_up(message_id: str, answer: LookUp) -> StatusReport:
    """Return a look-up's result as a report; a message that was found counts as sent even with an unknown status.

    It has no time: all that is known is that its status came after the message was sent.
    """
    to = meaning(answer.status) or (Status.SENT if answer.known is Known.FOUND else None)
    text = f"look-up {answer.status}"
    return StatusReport(message_id, answer.gateway_id, answer.status, to, answer.charge_millionths, text)


def rank(report: StatusReport) -> int:
    """Return how far a message is: 0 unknown, 1 scheduled, 2 at the gateway, 3 at the network, 4 final."""
    if report.to is Status.SENT:
        return 1 if report.network_status in SCHEDULED else 3 if report.network_status in AT_NETWORK else 2
    return 4 if report.to else 0
