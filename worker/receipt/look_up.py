"""Look-up: queries the gateway about messages, so that one at which our own code fails stops no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from threelane.worker.gateway.outcome import Known, LookUp
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.inbound.report import StatusReport
from threelane.worker.process.internal_error import OUTAGES, FaultStep, report
from threelane.worker.receipt.receipt import from_look_up

T = TypeVar("T")


async def look_up_many(gateway: Gateway, ids: Sequence[str]) -> list[LookUp]:
    """Look up messages by our ids; one at which our own code fails has no usable response, which proves nothing."""
    try:
        found = await gateway.look_up_many(ids)
        if len(found) != len(ids) or not all(isinstance(one, LookUp) for one in found):
            raise TypeError
    except OUTAGES:
        raise
    except Exception as failed:
        if len(ids) == 1:
            return [LookUp(Known.FAILED, text=report(FaultStep.LOOK_UP, ids[0], failed))]
        return [one for message_id in ids for one in await look_up_many(gateway, [message_id])]
    return found


def reports_of(found: Iterable[tuple[str, LookUp]]) -> list[StatusReport]:
    """Return the reports of look-ups that found their message, without those at which our own code fails."""
    reports: list[StatusReport] = []
    for message_id, answer in found:
        try:
            reports.append(from_look_up(message_id, answer))
        except Exception as failed:  # such as a status of another type; the message is looked up again
            report(FaultStep.LOOK_UP, message_id, failed)
    return reports


async def or_failed(message_id: str, call: Awaitable[T], failure: Callable[[LookUp], T]) -> T:
    """Return the result of a call about one message; after an exception of our own code, that of a failed look-up."""
    try:
        return await call
    except OUTAGES:
        raise
    except Exception as failed:
        return failure(LookUp(Known.FAILED, text=report(FaultStep.LOOK_UP, message_id, failed)))
