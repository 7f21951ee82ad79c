"""Receipt: what the network reports moves the record forward, once, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from producer import keys, logs
from producer.scripts import Script
from producer.states import Status
from worker import metrics
from worker.gateway.outcome import Known, LookUp
from worker.inbound.report import Report
from worker.policy.statuses import meaning
from worker.settings import Keeping

MOST_SAID = 300  # characters
SCHEDULED = ("011", "SCHEDULED")
AT_NETWORK = ("003", "SENT_TO_SUPPLIER")
_receipt = Script(__file__, "receipt")


async def receive(client: redis.asyncio.Redis, reports: Sequence[Report], keeping: Keeping, now: int) -> list[str]:
    """Apply reports; returns for each what it did: moved, noted, repeated, late, never_sent or unknown."""
    arguments: list[Any] = [now, *keeping]
    for one in reports:
        charge = "" if one.charge_millionths is None else one.charge_millionths
        said = one.said or one.network_status
        arguments += [one.id, one.gateway_id, one.network_status, one.to or "", charge, rank(one), said[:MOST_SAID]]
    replies = await _receipt.run(client, [keys.LATE, *(keys.record(one.id) for one in reports)], arguments)
    results = [reply.decode() for reply in replies]
    for one, result in zip(reports, results, strict=True):
        metrics.RECEIPTS.labels(result).inc()
        logs.event("receipt", id=one.id, network_status=one.network_status, result=result)
    return results


def told_by(message_id: str, answer: LookUp) -> Report:
    """Return what a look-up says of a message; the gateway has what it found, be the status one that we do not know."""
    to = meaning(answer.status) or (Status.SENT if answer.known is Known.FOUND else None)
    said = f"look-up {answer.status}"
    return Report(message_id, answer.gateway_id, answer.status, to, answer.charge_millionths, said)


def rank(report: Report) -> int:
    """Return how far on its way a message is: nothing known, scheduled, at the gateway, at the network, at its end."""
    if report.to is Status.SENT:
        return 1 if report.network_status in SCHEDULED else 3 if report.network_status in AT_NETWORK else 2
    return 4 if report.to else 0
