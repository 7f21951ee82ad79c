"""Outcome: how a message of a batch ended, as the batch keeps it after the message's record expired."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType

import msgspec
from msgspec import UNSET, UnsetType

from threelane.contract.schedule import DAY
from threelane.store.batches import TAG_OCTETS
from threelane.store.record import Field, Values
from threelane.store.states import AT_REST, Status

READ = (
    Field.STATUS,
    Field.LANE,
    Field.TO,
    Field.PARTS,
    Field.ACCEPTED,
    Field.DUE,
    Field.SENT,
    Field.ENDED,
    Field.CODE,
    Field.REASON,
    Field.NETWORK,
    Field.ESTIMATE,
    Field.CHARGE,
    Field.PAUSED,
    Field.ACCOUNT,
)
"""The fields of a record that a batch reads."""
_STORED: Mapping[int, Status] = MappingProxyType(
    {
        1: Status.SCHEDULED,
        2: Status.QUEUED,
        3: Status.SENDING,
        4: Status.SENT,
        5: Status.DELIVERED,
        6: Status.UNDELIVERED,
        7: Status.EXPIRED,
        8: Status.CANCELLED,
        9: Status.EMULATED,
        10: Status.DEAD,
        11: Status.IN_DOUBT,
        12: Status.UNKNOWN,
    }
)
"""The octet of each state; 0: the record expired before its outcome was copied."""
_OCTETS = {status: octet for octet, status in _STORED.items()}
COPIED = AT_REST | {Status.SENT}
"""The states that are copied: a record in another one does not expire."""
_SUCCEEDED = frozenset({Status.SENT, Status.DELIVERED, Status.EMULATED})
_OF_NETWORK = frozenset({Status.UNDELIVERED, Status.EXPIRED})
_MAY_BE_CHARGED = frozenset({Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.IN_DOUBT, Status.UNKNOWN})
_NOT_AHEAD = _MAY_BE_CHARGED | AT_REST | {None}
_FORM = Struct(">BBBHI")  # state, flags, parts, day, amount; then code and reason
_CLOSED, _CHARGED = 1, 2
_MOST_AMOUNT = 2**32 - 1  # 4,294 credits, for one message
_MOST_TEXT = 60  # octets


class BatchMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a batch: from its record, or as the batch kept its outcome.

    Without a record, ``to`` is "", ``lane`` is 0, and times are 0, except ``accepted_at``, which is to the day; without
    a record and an outcome, ``status`` is None.  Amounts are in millionths of a credit; ``charge_millionths`` is None
    if no receipt reported one.  ``account`` is absent for the default account, and without a record.
    """

    id: str
    status: Status | None = None
    lane: int = 0
    to: str = ""
    parts: int = 1
    accepted_at: int = 0
    due_at: int = 0
    sent_at: int = 0
    ended_at: int = 0
    code: str = ""
    reason: str = ""
    estimate_millionths: int = 0
    charge_millionths: int | None = None
    account: str | UnsetType = UNSET

    @property
    def spent_millionths(self) -> int:
        """What it has cost so far: the charge, or the estimate of what was sent and has no charge yet."""
        if self.charge_millionths is not None:
            return self.charge_millionths
        return self.estimate_millionths if self.status in _MAY_BE_CHARGED else 0

    @property
    def is_ahead(self) -> bool:
        """Whether it is still to be sent."""
        return self.status not in _NOT_AHEAD

    @property
    def to_come_millionths(self) -> int:
        """What it will cost, by the estimate."""
        return self.estimate_millionths if self.is_ahead else 0


def of_record(message_id: str, record: Mapping[str, str]) -> BatchMessage:
    """Return a message by the readable fields of its record."""
    values = Values(record)
    text, number = values.text, values.number
    status = Status(text(Field.STATUS))
    code, reason = _why(status, values)
    return BatchMessage(
        id=message_id,
        status=status,
        lane=number(Field.LANE),
        to=text(Field.TO),
        parts=number(Field.PARTS),
        accepted_at=number(Field.ACCEPTED),
        due_at=number(Field.DUE),
        sent_at=number(Field.SENT),
        ended_at=number(Field.ENDED),
        code=code,
        reason=reason,
        estimate_millionths=number(Field.ESTIMATE),
        charge_millionths=number(Field.CHARGE) if Field.CHARGE in record else None,
        account=text(Field.ACCOUNT) or UNSET,
    )


def _why(status: Status, values: Values) -> tuple[str, str]:
    """Return the code and the reason of a state: the network's, if it reported the state; none of a success.

    The record may still have those of an earlier attempt.
    """
    if status in _SUCCEEDED:
        return "", ""
    if status in _OF_NETWORK and (network := values.text(Field.NETWORK)):
        return network, ""
    return values.text(Field.CODE), values.text(Field.REASON)


def encode(one: BatchMessage, *, closed: bool) -> bytes:
    """Return an outcome as a row keeps it after the tag; ``closed``: the record is gone, and not read again.

    While it exists, a later receipt may correct its charge.
    """
    charged = one.charge_millionths is not None
    amount = one.charge_millionths if one.charge_millionths is not None else one.estimate_millionths
    flags = _CLOSED * closed + _CHARGED * charged
    status = _OCTETS.get(one.status, 0) if one.status else 0
    day = min(max(one.accepted_at // DAY, 0), 0xFFFF)
    fixed = _FORM.pack(status, flags, min(max(one.parts, 0), 0xFF), day, min(max(amount, 0), _MOST_AMOUNT))
    return fixed + f"{one.code} {one.reason}".strip().encode()[:_MOST_TEXT]


def kept(message_id: str, value: bytes) -> BatchMessage | None:
    """Return a message by its row; None if the row has no outcome, or one that this version cannot read."""
    raw = value[TAG_OCTETS:]
    if len(raw) < _FORM.size:
        return None
    status, flags, parts, day, amount = _FORM.unpack_from(raw)
    if status and status not in _STORED:
        return None
    code, _, reason = raw[_FORM.size :].decode("utf-8", "replace").partition(" ")
    charged = bool(flags & _CHARGED)
    return BatchMessage(
        id=message_id,
        status=_STORED.get(status),
        parts=parts,
        accepted_at=day * DAY,
        code=code,
        reason=reason,
        estimate_millionths=0 if charged else amount,
        charge_millionths=amount if charged else None,
    )


def is_closed(value: bytes) -> bool:
    """Return whether a row has an outcome that does not change any more."""
    return len(value) >= TAG_OCTETS + _FORM.size and bool(value[TAG_OCTETS + 1] & _CLOSED)
