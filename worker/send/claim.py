"""Claim: the right to make one attempt at each of some messages, under one lease and one token."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import redis.asyncio

from threelane.contract import message
from threelane.contract.message import Message
from threelane.contract.refusal import Owner
from threelane.contract.schedule import MINUTE, lead
from threelane.runtime import logs
from threelane.runtime.raised import place_of
from threelane.store import keys
from threelane.store.keys import BreakerKey, RecordKey
from threelane.store.readable import UnreadableBody, body_of
from threelane.store.scripts import script
from threelane.store.states import Status
from threelane.worker.account.hold import credentials_scope
from threelane.worker.gateway.breaking import Breaking, scope_of
from threelane.worker.process.internal_error import FaultStep
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.blame import Fault


class Claim(StrEnum):
    """The result of a claim for one message."""

    CLAIMED = "claimed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"  # during an earlier attempt
    SUPPRESSED = "suppressed"
    HELD = "held"  # its sender or prefix is on hold; or, for the whole claim, the lane, the account or the gateway
    EARLY = "early"  # the gateway's scheduler does not take its validity yet
    NEWER = "newer"  # left to a worker that knows its schema


@script(__file__, list[Any], [Claim, Owner, Breaking])
def _claim(
    *,
    breaker: BreakerKey,
    records: Sequence[RecordKey],
    now: int,
    lane: str,
    token: str,
    lease_until: int,
    validity_ms: int,
    lead_ms: int,
    a_second: float,
    burst: float,
    reserve: float,
    keep_ms: int,
    ramp_ms: int,
    floor: int,
    schema: int,
    gateway: str,
    credentials: str,
    pass_token: str,
    ids: Sequence[str],
) -> None:
    """Claim messages; returns how long to wait and each message's result, or that the lane is on hold."""


_CLAIMED, _HELD = Claim.CLAIMED.encode(), Claim.HELD.encode()


@dataclass(frozen=True, slots=True)
class Claimed:
    """One message that only this worker may attempt until its lease ends; times in milliseconds."""

    message: Message
    token: str
    attempt: int
    first_tried_at: int
    queued_at: int
    accepted_at: int
    claimed_at: int
    trace: str = ""  # the W3C traceparent of its accept, if it is traced
    faults: int = 0  # earlier attempts in which our own code failed
    former_id: str = ""  # the gateway's id of the attempt that ended before the message was returned
    may_move: bool = False  # to its stand-by, if the gateway refuses this attempt as well

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.id


@dataclass(frozen=True, slots=True)
class Claims:
    """The claimed messages of a nudge, and why the rest, if any, was left."""

    claimed: Sequence[Claimed]
    held: bool = False
    wait_ms: int = 0  # until the rate allows more
    faulty: Sequence[Fault] = ()  # claimed, but they cannot be read


async def claim(
    client: redis.asyncio.Redis,
    lane: int,
    ids: Sequence[str],
    settings: WorkerSettings,
    now: int,
    pass_token: str = "",
) -> Claims:
    """Claim as many queued messages as the limits allow; end suppressed and expired ones, and leave newer schemas.

    With the token of the prober it claims one message although the breaker is open.
    """
    token = secrets.token_hex(8)
    reply = await _claim.within(settings.space).run(
        client,
        breaker=keys.breaker(settings.gateway_fingerprint, settings.space),
        records=keys.records(ids),
        now=now,
        lane=str(lane),
        token=token,
        lease_until=now + settings.lease_ms,
        validity_ms=settings.gateway_validity_minutes * MINUTE,
        lead_ms=lead(settings.gateway_validity_minutes),
        a_second=settings.parts_per_second,
        burst=settings.burst,
        reserve=settings.reserve(lane),
        keep_ms=settings.retention_ms,
        ramp_ms=settings.ramp_ms,
        floor=settings.floor(lane),
        schema=message.SCHEMA,
        gateway=scope_of(settings.gateway_fingerprint),
        credentials=credentials_scope(settings.fingerprint),
        pass_token=pass_token,
        ids=ids,
    )
    if reply[0] == _HELD:
        return Claims((), held=True)
    claimed, faulty = _read_all([entry for entry in reply[1] if entry[0] == _CLAIMED], token, now)
    logs.events("claimed", ({"id": one.id, "lane": lane, "attempt": one.attempt} for one in claimed))
    for entry in reply[1]:
        if entry[0] != _CLAIMED:
            _log_ended(entry, lane)
    return Claims(claimed, wait_ms=int(reply[0]), faulty=faulty)


def _read_all(entries: Sequence[Sequence[bytes]], token: str, now: int) -> tuple[list[Claimed], list[Fault]]:
    """Return the claimed messages, and a fault for each that cannot be read."""
    claimed: list[Claimed] = []
    faulty: list[Fault] = []
    for entry in entries:
        try:
            claimed.append(_claimed(entry, token, now))
        except UnreadableBody as failed:
            faulty.append(Fault(entry[1].decode(), token, FaultStep.CLAIM, str(failed), is_damaged=True))
        except Exception as failed:  # it must not stop the nudge's other messages
            faulty.append(Fault(entry[1].decode(), token, FaultStep.CLAIM, place_of(failed)))
    return claimed, faulty


def _claimed(entry: Sequence[bytes], token: str, now: int) -> Claimed:
    _, raw_id, attempt, first_tried_at, queued_at, accepted_at, body, trace, faults, producer, former_id, moves = entry
    return Claimed(
        _of_producer(body_of(body, raw_id.decode()), producer.decode()),
        token,
        int(attempt),
        int(first_tried_at),
        int(float(queued_at)),
        int(accepted_at),
        now,
        trace.decode(),
        int(faults),
        former_id.decode(),
        bool(moves),
    )


def _of_producer(sms: Message, producer: str) -> Message:
    """Return the message with its producer, which the record has beside the body."""
    return msgspec.structs.replace(sms, producer=producer) if producer else sms


def _log_ended(entry: Sequence[bytes], lane: int) -> None:
    message_id = entry[1].decode()
    if entry[0] == _HELD:
        logs.event("waits", id=message_id, lane=lane, hold=entry[2].decode().partition(":")[0])
    elif entry[0] == Claim.NEWER.encode():
        logs.event("left_to_newer", level=30, id=message_id, lane=lane, schema=int(entry[2]), knows=message.SCHEMA)
    elif entry[0] == Claim.EARLY.encode():
        logs.event("left_to_handover", id=message_id, lane=lane)
    elif entry[0] == Claim.CANCELLED.encode():
        logs.event("cancelled", id=message_id, was=Status.QUEUED)
    elif entry[0] == Claim.EXPIRED.encode():
        logs.event("expired", id=message_id, lane=lane, owner="operator")
    else:
        logs.event("dead", id=message_id, lane=lane, reason="suppressed", by=entry[2].decode(), owner="recipient")
