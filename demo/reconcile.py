"""Reconcile: compares three ledgers that must agree: accepted messages, their records, the sandbox's ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from threelane.contract.prices import CREDIT
from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus


class Summary(msgspec.Struct, kw_only=True):
    """The three ledgers side by side; ``breaches`` describes each difference in a sentence."""

    accepted: int
    refused: dict[str, int]
    repeated: int
    by_status: dict[str, int]
    dead_by_code: dict[str, int]
    sandbox_messages: int
    sandbox_twice: int
    parts_counted: int
    parts_charged: int
    credits_in_records: str
    credits_at_sandbox: str
    balance_moved: str
    seconds: float = 0.0
    breaches: list[str] = []

    @property
    def equal(self) -> bool:
        """Return whether nothing was lost, nothing sent twice, and every credit accounted for."""
        return not self.breaches


def reconcile(
    accepted: Mapping[str, int],
    refused: Mapping[str, int],
    repeated: int,
    records: Iterable[MessageStatus | None],
    ledger: Mapping[str, Any],
) -> Summary:
    """Compare the three; ``accepted`` maps ids to parts, ``ledger`` is the response of ``/sandbox/ledger``.

    The One API and Platform REST report no charges: the records then hold estimates at the sandbox's prices.
    """
    found = {one.id: one for one in records if one is not None}
    received = Counter(entry["client_id"] for entry in ledger["messages"])
    sent = {one.id for one in found.values() if one.sent_at}
    account = ledger["summary"]
    charged = sum(one.charge_millionths for one in found.values())
    moved = Decimal(account["started_with"]) + Decimal(account["topped_up"]) - Decimal(account["balance"])
    summary = Summary(
        accepted=len(accepted),
        refused=dict(sorted(refused.items())),
        repeated=repeated,
        by_status=_counted(one.status for one in found.values()),
        dead_by_code=_counted(one.code for one in found.values() if one.status is Status.DEAD),
        sandbox_messages=len(received),
        sandbox_twice=sum(1 for times in received.values() if times > 1),
        parts_counted=sum(accepted[one] for one in sent if one in accepted),
        parts_charged=account["parts"],
        credits_in_records=str(Decimal(charged) / CREDIT),
        credits_at_sandbox=account["charged"],
        balance_moved=str(moved),
    )
    checks = {
        "accepted, without a record": set(accepted) - set(found),
        "accepted, and not finished": {one.id for one in found.values() if one.status not in AT_REST},
        "recorded as sent, unknown to the sandbox": sent - set(received),
        "received by the sandbox, not recorded as sent": set(received) - sent,
        "received by the sandbox, never accepted": set(received) - set(accepted),
        "received by the sandbox twice": {one for one, times in received.items() if times > 1},
    }
    summary.breaches = [f"{len(ids)} {what}: {', '.join(sorted(ids)[:3])}" for what, ids in checks.items() if ids]
    if summary.parts_counted != summary.parts_charged:
        summary.breaches.append(f"{summary.parts_counted} parts counted, {summary.parts_charged} charged")
    if not Decimal(charged) / CREDIT == Decimal(account["charged"]) == moved:
        summary.breaches.append(
            f"{summary.credits_in_records} credits in the records, {account['charged']} at the sandbox, {moved} moved"
        )
    return summary


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(map(str, values)).items()))
