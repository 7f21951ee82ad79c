"""Statuses: the network's statuses of a message, and the state that each one means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from threelane.contract import gateways
from threelane.contract.prices import CREDIT
from threelane.store.states import Status

# The state that each status of the legacy APIs means; None: no information.  Source: the HTTP API guide; 013 from a
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
HOUR_MS = 3600_000


class OfAccount(NamedTuple):
    """What a status of the account holds: by the code of the same cause, its reason, and for how long."""

    code: str
    reason: str
    lasts_ms: int = 0  # 0: until there is credit


_NO_CREDIT = OfAccount("301", "no_credit")
_MT_LIMIT = OfAccount("130", "mt_limit", HOUR_MS)  # a later refusal with code 130 has the time at which the limit ends
OF_ACCOUNT: Mapping[str, OfAccount] = MappingProxyType(
    {
        "012": _NO_CREDIT,
        "014": _MT_LIMIT,
        "INSUFFICIENT_ACCOUNT_BALANCE": OfAccount("20", "insufficient_balance"),
        "VOLUME_LIMIT": _MT_LIMIT,
        "VOLUME_LIMIT_DAILY": _MT_LIMIT,
        "VOLUME_LIMIT_MONTHLY": _MT_LIMIT,
    }
)
"""The statuses that end a message for a cause of the account, and not of the message: it is sent again, once."""
STOPPED = "006"  # the status of a successful cancel
_HEXADECIMAL = {"00a": "010", "00b": "011", "00c": "012"}  # as old integrations write them


def meaning(status: str) -> Status | None:
    """Return the state that a status of any API means: three digits, or a name that a gateway declares."""
    if status.isdigit():
        return STATUSES.get(status)
    return next((state for read in declared() if (state := read(status)) is not None), None)


@cache
def declared() -> tuple[Callable[[str], Status | None], ...]:
    """Return the status readers of the gateways that declare their own statuses; raises InvalidGateway."""
    found = gateways.declared().values()
    return tuple(gateways.resolve(one, "statuses", one.statuses) for one in found if one.statuses)


def status_code(raw: str) -> str:
    """Return a status as three digits: accepts ``3``, ``003`` and ``00A``."""
    code = raw.strip().lower()
    return _HEXADECIMAL.get(code.zfill(3), code.zfill(3))


def millionths(raw: str) -> int | None:
    """Return a charge such as ``0.300000`` in millionths of a credit, or None if it is not an amount."""
    try:
        amount = Decimal(raw.strip()) * CREDIT
    except DecimalException:  # not a number, or out of range
        return None
    return int(amount) if amount.is_finite() and 0 <= amount < 10**12 else None
