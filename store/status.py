"""Status: the status of a message, read from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import redis

from threelane.contract.prices import CREDIT
from threelane.store import keys
from threelane.store.readable import readable
from threelane.store.record import Field, Values
from threelane.store.states import SUCCESSFUL, Status


class MessageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one message; times are milliseconds of Unix time, 0 if the step did not happen.

    ``code``, ``reason``, ``text`` and ``owner`` are of the last failed attempt; ``waits`` are the seconds waited before
    each retry; ``charge_millionths`` is the gateway's charge in millionths of a credit.  ``erased_at`` is when number
    and text were erased, after which ``to`` is empty.  ``bypassed`` is the source of the suppression that a legal
    notice bypassed; ``reports`` are the network's reports, each with its time (ms) and status.  A record that cannot be
    read has the code ``damaged_record``.  ``account`` is the account that it is sent through, "" for the default one.
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
    account: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether its code is of its end or its wait, rather than of an earlier attempt, after which it was sent."""
        return self.code != "" and self.status not in SUCCESSFUL

    @property
    def charge(self) -> float:
        """Credits charged."""
        return self.charge_millionths / CREDIT


def read(client: redis.Redis, ids: Sequence[str]) -> list[MessageStatus | None]:
    """Return the status of messages; None for an id that is unknown or expired."""
    with client.pipeline(transaction=False) as pipe:
        for message_id in ids:
            pipe.hgetall(keys.record(message_id))
        records = [readable(reply) for reply in pipe.execute(raise_on_error=False)]
    return [_status(message_id, record) if record else None for message_id, record in zip(ids, records, strict=True)]


def _status(message_id: str, record: Mapping[str, str]) -> MessageStatus:
    values = Values(record)
    text, number = values.text, values.number
    return MessageStatus(
        id=message_id,
        status=Status(text(Field.STATUS)),
        lane=number(Field.LANE),
        to=text(Field.TO),
        parts=number(Field.PARTS),
        accepted_at=number(Field.ACCEPTED),
        expires_at=number(Field.EXPIRES),
        due_at=max(number(Field.DUE), number(Field.GATEWAY_DUE)),
        sent_at=number(Field.SENT),
        ended_at=number(Field.ENDED),
        attempts=number(Field.ATTEMPT),
        waits=tuple(float(wait) for wait in text(Field.WAITS).split()),
        gateway_id=text(Field.GATEWAY_ID),
        network_status=text(Field.NETWORK),
        code=text(Field.CODE),
        reason=text(Field.REASON),
        text=text(Field.TEXT),
        owner=text(Field.OWNER),
        charge_millionths=number(Field.CHARGE),
        batch=text(Field.BATCH),
        producer=text(Field.PRODUCER),
        client_message_id=text(Field.CLIENT),
        bypassed=text(Field.BYPASSED),
        reports=tuple(text(Field.REPORTS).splitlines()),
        erased_at=number(Field.ERASED),
        account=text(Field.ACCOUNT),
    )
