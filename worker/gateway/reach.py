"""Reach: a harmless call that shows whether the gateway itself answers."""

from __future__ import annotations

import re

from threelane.runtime import logs
from threelane.worker.gateway import foreign
from threelane.worker.gateway.breaker import FAILURES
from threelane.worker.gateway.outcome import NOT_TRIED, AttemptOutcome, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.summary import summary
from threelane.worker.gateway.wire import requested_wait_seconds

CUT_BALANCE = "an amount that may be cut"
"""Of a gateway that answered, although the amount cannot be used."""
_CODE = re.compile(r"(?:err:?\s*)?(\d{1,3})\b", re.IGNORECASE)
_PAGE = re.compile(r"<|HTTP (\d{3})\b")
_FAILED = (*FAILURES, OutcomeKind.WRONG_ADDRESS)


async def reach(gateway: Gateway) -> AttemptOutcome:
    """Read the balance: accepted or refused if the gateway itself answers, not tried if that cannot be decided."""
    try:
        outcome = read(await gateway.balance())
    except Exception as broken:
        logs.event("gateway_raised", level=40, error=type(broken).__name__)
        return NOT_TRIED
    return outcome._replace(retry_after_seconds=requested_wait_seconds()) if outcome.kind in FAILURES else outcome


def read(balance: float | str) -> AttemptOutcome:
    """Return what a balance, or the reason why it is unknown, shows of the gateway; pure."""
    if not isinstance(balance, str):
        return AttemptOutcome(OutcomeKind.ACCEPTED)
    for kind in _FAILED:
        if balance.startswith(kind):
            return AttemptOutcome(kind, text=balance.removeprefix(f"{kind} (").removesuffix(")"))
    if page := _PAGE.match(balance):
        status = int(page[1] or 0)
        kind = OutcomeKind.WRONG_ADDRESS if foreign.is_of_another_server(status) else OutcomeKind.UNREADABLE
        return AttemptOutcome(OutcomeKind.REFUSED if status == foreign.TOO_MANY_REQUESTS else kind, text=balance)
    if code := _CODE.match(balance):
        return AttemptOutcome(OutcomeKind.REFUSED, code=code[1], text=balance)
    return NOT_TRIED._replace(text=balance)


def why_unknown(balance: str) -> str:
    """Return the reason why a balance is unknown, in one sentence; a code with its text as it is."""
    seen = read(balance)
    return summary(seen) if seen.kind in _FAILED else balance
