"""Receipt: what the network reports moves the record forward, once, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import redis.asyncio

from producer import keys, logs
from producer.scripts import Script
from producer.states import Status
from producer.status import CREDIT
from worker import metrics

_receipt = Script(__file__, "receipt")

# What the legacy APIs' statuses make of a message; None: it says nothing.  Source: the HTTP API guide; 013 from a
# client.  008 is "received by the gateway" and not, as some have it, delivered.
STATUSES: dict[str, Status | None] = {
    "001": None,
    "002": Status.SENT,
    "003": Status.SENT,
    "004": Status.DELIVERED,
    "005": Status.UNDELIVERED,
    "006": Status.CANCELLED,
    "007": Status.UNDELIVERED,
    "008": Status.SENT,
    "009": Status.UNDELIVERED,
    "010": Status.EXPIRED,
    "011": Status.SENT,
    "012": Status.UNDELIVERED,
    "013": Status.CANCELLED,
    "014": Status.UNDELIVERED,
}
_HEXADECIMAL = {"00a": "010", "00b": "011", "00c": "012"}  # old integrations write them so


class Receipt(msgspec.Struct, frozen=True):
    """One report: our id, the gateway's, the network's status, and the charge in millionths of a credit."""

    id: str
    gateway_id: str
    network_status: str
    charge_millionths: int | None = None


def status_code(raw: str) -> str:
    """Return a status as three digits: ``3``, ``003`` and ``00A`` are all seen."""
    code = raw.strip().lower()
    return _HEXADECIMAL.get(code.zfill(3), code.zfill(3))


def millionths(raw: str) -> int | None:
    """Return a charge such as ``0.300000`` in millionths of a credit, or None when it is no amount."""
    try:
        amount = Decimal(raw.strip()) * CREDIT
    except InvalidOperation:
        return None
    return int(amount) if amount.is_finite() and 0 <= amount < 10**12 else None


async def receive(client: redis.asyncio.Redis, receipts: Sequence[Receipt], retention_ms: int, now: int) -> list[str]:
    """Apply receipts; returns for each what it did: moved, noted, repeated, late, never_sent or unknown."""
    arguments: list[Any] = [now, retention_ms]
    for one in receipts:
        to = STATUSES.get(one.network_status)
        charge = "" if one.charge_millionths is None else one.charge_millionths
        arguments += [one.id, one.gateway_id, one.network_status, to or "", charge]
    replies = await _receipt.run(client, [keys.record(one.id) for one in receipts], arguments)
    results = [reply.decode() for reply in replies]
    for one, result in zip(receipts, results, strict=True):
        metrics.RECEIPTS.labels(result).inc()
        logs.event("receipt", id=one.id, network_status=one.network_status, result=result)
    return results
