"""Call: sends messages through the gateway; an exception of its code concerns one message, or leaves all in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from threelane.contract.message import Message
from threelane.runtime import logs
from threelane.worker.gateway.api import Api
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import watch_departure
from threelane.worker.process.internal_error import OUTAGES, FaultStep, report


def allows(listed: Sequence[str], to: str) -> bool:
    """Return whether an allow-list permits a number; an empty list permits all, ``2799*`` a prefix."""
    return not listed or any(to == one or (one.endswith("*") and to.startswith(one[:-1])) for one in listed)


async def call(gateway: Gateway, messages: Sequence[Message], now: int) -> Sequence[AttemptOutcome]:
    """Send messages; returns one outcome for each, in order.

    If the gateway raises before the request left, it is called for each half of the messages, so that one message does
    not stop the others.  If the request may have left, all messages count as possibly sent.
    """
    departure = watch_departure()
    try:
        return checked(await gateway.send(messages, now), len(messages))
    except Exception as failed:
        has_left = departure.has_left or not isinstance(gateway, Api)  # another client may have sent what ours did not
        if not has_left and len(messages) > 1 and not isinstance(failed, OUTAGES):
            middle = len(messages) // 2
            parts = [await call(gateway, part, now) for part in (messages[:middle], messages[middle:])]
            return [outcome for part in parts for outcome in part]
        return [_outcome_of(failed, messages, has_left=has_left)] * len(messages)


def checked(outcomes: Sequence[AttemptOutcome], count: int) -> Sequence[AttemptOutcome]:
    """Return the outcomes of a gateway; raises TypeError if there is not one for each message."""
    if len(outcomes) != count or not all(isinstance(one, AttemptOutcome) for one in outcomes):
        raise TypeError
    return outcomes


def _outcome_of(failed: Exception, messages: Sequence[Message], *, has_left: bool) -> AttemptOutcome:
    """Return the outcome of an exception of the gateway: a network failure, or an error of our own code."""
    name = type(failed).__name__
    logs.event("gateway_raised", level=40, error=name, messages=len(messages), left=has_left)
    if isinstance(failed, (*OUTAGES, aiohttp.ClientError)):
        return AttemptOutcome(OutcomeKind.LOST if has_left else OutcomeKind.NOT_REACHED, text=name)
    place = report(FaultStep.SEND, messages[0].id, failed, lane=messages[0].lane, messages=len(messages))
    return AttemptOutcome(OutcomeKind.UNPROCESSED if has_left else OutcomeKind.INTERNAL_ERROR, text=place)
