"""Receipt: what the network reports moves the record forward, once, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import redis.asyncio

from producer import keys, logs
from producer.scripts import Script
from producer.states import Status
from worker import metrics
from worker.policy.statuses import STATUSES

_receipt = Script(__file__, "receipt")


class Receipt(msgspec.Struct, frozen=True):
    """One report: our id, the gateway's, the network's status, and the charge in millionths of a credit."""

    id: str
    gateway_id: str
    network_status: str
    charge_millionths: int | None = None


async def receive(
    client: redis.asyncio.Redis,
    receipts: Sequence[Receipt],
    retention_ms: int,
    now: int,
    states: Sequence[Status | None] | None = None,
) -> list[str]:
    """Apply receipts; ``states`` are what they make of their messages, by the legacy statuses unless given.

    Returns for each what it did: moved, noted, repeated, late, never_sent or unknown.
    """
    arguments: list[Any] = [now, retention_ms]
    for one, to in zip(receipts, states or [STATUSES.get(one.network_status) for one in receipts], strict=True):
        charge = "" if one.charge_millionths is None else one.charge_millionths
        arguments += [one.id, one.gateway_id, one.network_status, to or "", charge]
    replies = await _receipt.run(client, [keys.record(one.id) for one in receipts], arguments)
    results = [reply.decode() for reply in replies]
    for one, result in zip(receipts, results, strict=True):
        metrics.RECEIPTS.labels(result).inc()
        logs.event("receipt", id=one.id, network_status=one.network_status, result=result)
    return results
