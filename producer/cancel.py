"""Cancel: a message that was not sent yet is cancelled, or the result says why it is too late."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import redis

from threelane.contract import features
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import RecordKey, Space
from threelane.store.scripts import script, texts
from threelane.store.spaces import in_its_space
from threelane.store.states import Status

SLICE = 100  # messages of one script, a few milliseconds of Redis


class CancelResult(StrEnum):
    """The result of a cancel."""

    CANCELLED = "cancelled"  # it will not be sent
    ASKED = "asked"  # the gateway holds it and is requested to stop it; an outcome event follows
    NOT_RETRIED = "not_retried"  # being sent or in doubt: no further attempt; the gateway stops it if the API can
    TOO_LATE = "too_late"
    UNKNOWN = "unknown"  # no such message, or its retention is over


@script(__file__, texts, [CancelResult])
def _cancel(
    *,
    records: Sequence[RecordKey],
    now: int,
    keep_ms: int,
    gateway_stops: bool,
    by_our_id: bool,
    ids: Sequence[str],
) -> None:
    """Cancel messages; returns a result for each."""


class Cancelled(msgspec.Struct, frozen=True):
    """The result for one message; ``status`` is its status before, ``why`` the reason if it may still be sent."""

    id: str
    answer: CancelResult
    status: str = ""
    why: str = ""


_WHY = {
    Status.SENDING: "it is being sent: if that fails, it is not retried",
    Status.SENT: "the gateway has it",
    Status.IN_DOUBT: "it may have been sent: if it was not, it is not sent again",
    Status.DELIVERED: "it was delivered",
    Status.UNDELIVERED: "it was sent, and not delivered",
    Status.EXPIRED: "it had expired before",
    Status.CANCELLED: "it was cancelled before",
    Status.EMULATED: "it is not on the allow-list, so it was not sent",
    Status.UNKNOWN: "it may have been sent: its fate is unknown",
}


class GatewayStops(NamedTuple):
    """What the API of an account can stop: what the gateway ``held``, and also what has no gateway id yet."""

    held: bool = True
    by_our_id: bool = False
    api: str = ""


def stops_of(api: str) -> GatewayStops:
    """Return what an API can stop."""
    return GatewayStops(features.able("cancel", api), features.able("cancel by our id", api), api)


def cancel(
    client: redis.Redis,
    ids: Sequence[str],
    retention_ms: int,
    now: int,
    gateway_of: Callable[[Space], GatewayStops] = lambda _: GatewayStops(),
) -> list[Cancelled]:
    """Cancel scheduled and queued messages and dead letters, each atomically; results in order.

    What is being sent, or in doubt, is not retried: its outcome event has its end.  ``gateway_of`` returns what the
    gateway of an account can stop.
    """
    answers: list[Cancelled] = []

    def call(space: Space, ids: Sequence[str]) -> Sequence[str]:
        return _cancel.within(space)(
            client,
            records=keys.records(ids),
            now=now,
            keep_ms=retention_ms,
            gateway_stops=gateway_of(space).held,
            by_our_id=gateway_of(space).by_our_id,
            ids=ids,
        )

    for start in range(0, len(ids), SLICE):
        batch = ids[start : start + SLICE]
        placed = in_its_space(batch, call)
        reasons = {space: _WHY | _of_gateway(gateway_of(space)) for space in {one.space for one in placed}}
        answers += [_answer(one, reply, reasons[space]) for one, (reply, space) in zip(batch, placed, strict=True)]
    return answers


def _of_gateway(gateway: GatewayStops) -> dict[Status, str]:
    """Return why a message may still be sent that the gateway has, or may have."""
    may, api = "it may have been sent", gateway.api
    if gateway.by_our_id:
        return {Status.IN_DOUBT: f"{may}: the gateway is requested to stop it, and it is not sent again"}
    if not api:
        return {}
    if not gateway.held:
        lacks = f"the API of this account ({api}) has no command to stop a message"
        return {
            Status.SENT: f"the gateway has it, and {lacks}",
            Status.IN_DOUBT: f"{may}, and {lacks}: if it was not sent, it is not sent again",
        }
    lacks = f"the API of this account ({api}) stops a message by the gateway's id only, which is not known yet"
    return {Status.IN_DOUBT: f"{may}, and {lacks}: if it was not sent, it is not sent again"}


def _answer(message_id: str, reply: str, reasons: Mapping[Status, str]) -> Cancelled:
    answer, _, status = reply.partition(":")
    if answer == CancelResult.CANCELLED:
        logs.event("cancelled", id=message_id, was=status)
    if answer == CancelResult.NOT_RETRIED:
        logs.event("cancel_noted", id=message_id, was=status)
    why = reasons[Status(status)] if answer in (CancelResult.TOO_LATE, CancelResult.NOT_RETRIED) else ""
    return Cancelled(message_id, CancelResult(answer), status, why)
