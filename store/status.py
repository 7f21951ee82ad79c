"""Status: what is known of a message, read from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import redis

from threelane.contract.prices import CREDIT
from threelane.store import keys
from threelane.store.states import Status


class MessageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it stands now; times are milliseconds of Unix time, 0 when it has not happened.

    ``code``, ``reason``, ``text`` and ``owner`` tell of the last answer that was no success; ``waits`` are the
    seconds waited before each retry; ``charge_millionths`` is what the gateway charged, in millionths of a credit.
    ``erased_at`` is when number and text were erased: ``to`` is empty from then on.
    ``bypassed`` is whose suppression a legal notice passed over; ``reports`` are the network's reports, each with when
    it came (ms) and what it said.
    """

    id: str
    status: Status
    lane: int
    to: str
    parts: int
    accepted_at: int
    expires_at: int
    due_at: int = 0
    sent_at: int = 0
    ended_at: int = 0
    attempts: int = 0
    waits: tuple[float, ...] = ()
    gateway_id: str = ""
    network_status: str = ""
    code: str = ""
    reason: str = ""
    text: str = ""
    owner: str = ""
    charge_millionths: int = 0
    batch: str = ""
    producer: str = ""
    client_message_id: str = ""
    bypassed: str = ""
    reports: tuple[str, ...] = ()
    erased_at: int = 0

    @property
    def charge(self) -> float:
        """Credits charged."""
        return self.charge_millionths / CREDIT


def read(client: redis.Redis, ids: Sequence[str]) -> list[MessageStatus | None]:
    """Return the messages as they stand; None for an id that is unknown or forgotten."""
    with client.pipeline(transaction=False) as pipe:
        for message_id in ids:
            pipe.hgetall(keys.record(message_id))
        records = pipe.execute()
    return [_status(message_id, record) if record else None for message_id, record in zip(ids, records, strict=True)]


def _status(message_id: str, record: Mapping[bytes, bytes]) -> MessageStatus:
    def text(name: bytes) -> str:
        return record.get(name, b"").decode()

    def number(name: bytes) -> int:
        return int(record.get(name, b"0"))

    return MessageStatus(
        id=message_id,
        status=Status(text(b"status")),
        lane=number(b"lane"),
        to=text(b"to"),
        parts=number(b"parts"),
        accepted_at=number(b"accepted"),
        expires_at=number(b"expires"),
        due_at=number(b"due"),
        sent_at=number(b"sent"),
        ended_at=number(b"ended"),
        attempts=number(b"attempt"),
        waits=tuple(float(wait) for wait in text(b"waits").split()),
        gateway_id=text(b"gateway_id"),
        network_status=text(b"network"),
        code=text(b"code"),
        reason=text(b"reason"),
        text=text(b"text"),
        owner=text(b"owner"),
        charge_millionths=number(b"charge"),
        batch=text(b"batch"),
        producer=text(b"producer"),
        client_message_id=text(b"client"),
        bypassed=text(b"bypassed"),
        reports=tuple(text(b"reports").splitlines()),
        erased_at=number(b"erased"),
    )
