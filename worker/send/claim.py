"""Claim: the right to make one attempt at each of some messages, under one lease and one token."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from threelane.contract import message
from threelane.contract.message import Message
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.scripts import Script
from threelane.worker.process.settings import WorkerSettings

_claim = Script(__file__, "claim", suppresses=True)


@dataclass(frozen=True, slots=True)
class Claimed:
    """One message that this worker alone may attempt, until its lease ends; times in milliseconds."""

    message: Message
    token: str
    attempt: int
    first_tried_at: int
    queued_at: int
    accepted_at: int
    trace: str = ""  # the W3C traceparent of its accept, if it is traced

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.id


@dataclass(frozen=True, slots=True)
class Claims:
    """What a nudge came to: the claimed, and why the rest, if any, was left."""

    claimed: Sequence[Claimed]
    held: bool = False
    wait_ms: int = 0  # until the rate allows more


async def claim(
    client: redis.asyncio.Redis, lane: int, ids: Sequence[str], settings: WorkerSettings, now: int
) -> Claims:
    """Claim as many of the ids as are queued and allowed; suppressed and expired ones are ended on the way, and
    those of a newer schema are left to workers that know it.
    """
    token = secrets.token_hex(8)
    arguments: list[Any] = [
        now,
        lane,
        token,
        now + settings.lease_ms,
        settings.parts_per_second,
        settings.burst,
        settings.reserve(lane),
        settings.retention_ms,
        settings.ramp_ms,
        settings.floor(lane),
        message.SCHEMA,
        *ids,
    ]
    shelved = [keys.HOLDS, keys.RATE, keys.SUPPRESSED, keys.CLAIMED, *map(keys.record, ids)]
    reply = await _claim.run(client, shelved, arguments)
    if reply[0] == b"held":
        return Claims((), held=True)
    claimed = [_claimed(entry, token) for entry in reply[1] if entry[0] == b"claimed"]
    logs.events("claimed", ({"id": one.id, "lane": lane, "attempt": one.attempt} for one in claimed))
    for entry in reply[1]:
        if entry[0] != b"claimed":
            _log_ended(entry, lane)
    return Claims(claimed, wait_ms=int(reply[0]))


def _claimed(entry: Sequence[bytes], token: str) -> Claimed:
    _, _, attempt, first_tried_at, queued_at, accepted_at, body, *trace = entry
    return Claimed(
        message.decode(body),
        token,
        int(attempt),
        int(first_tried_at),
        int(float(queued_at)),
        int(accepted_at),
        trace[0].decode() if trace else "",
    )


def _log_ended(entry: Sequence[bytes], lane: int) -> None:
    message_id = entry[1].decode()
    if entry[0] == b"held":
        logs.event("waits", id=message_id, lane=lane, hold=entry[2].decode().partition(":")[0])
    elif entry[0] == b"newer":
        logs.event("left_to_newer", level=30, id=message_id, lane=lane, schema=int(entry[2]), knows=message.SCHEMA)
    elif entry[0] == b"expired":
        logs.event("expired", id=message_id, lane=lane, owner="operator")
    else:
        logs.event("dead", id=message_id, lane=lane, reason="suppressed", by=entry[2].decode(), owner="recipient")
