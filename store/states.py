"""States: the states of a message, and which state may follow which."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of a message; the record's ``status`` field."""

    SCHEDULED = "scheduled"  # waits for a time: a schedule, a retry, a deferral
    QUEUED = "queued"  # due, in the queue of its lane
    PAUSED = "paused"  # its batch is paused; see store/pauses.py
    SENDING = "sending"  # an attempt is in progress, under a lease
    SENT = "sent"  # accepted by the gateway
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    EMULATED = "emulated"  # not on the allow-list of a staging system: processed, but not sent
    DEAD = "dead"  # a dead letter: not sent; can be redriven
    IN_DOUBT = "in_doubt"  # may have been sent; only the gateway knows
    UNKNOWN = "unknown"  # in doubt for good


_REPORTED = {Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED, Status.CANCELLED}

# A receipt may arrive before the gateway's response, or after a wrong one, so a reported state may follow every state
# with an attempt.
MAY_FOLLOW: dict[Status, set[Status]] = {
    Status.SCHEDULED: {Status.QUEUED, Status.PAUSED, Status.DEAD, Status.SENT, *_REPORTED},
    Status.QUEUED: {Status.SENDING, Status.SCHEDULED, Status.PAUSED, Status.DEAD, Status.SENT, *_REPORTED},
    Status.PAUSED: {Status.QUEUED, Status.SCHEDULED, Status.DEAD, Status.SENT, *_REPORTED},
    Status.SENDING: {
        Status.QUEUED,
        Status.SCHEDULED,
        Status.PAUSED,
        Status.SENT,
        Status.DEAD,
        Status.IN_DOUBT,
        Status.EMULATED,
        *_REPORTED,
    },
    Status.IN_DOUBT: {
        Status.QUEUED,
        Status.SCHEDULED,
        Status.PAUSED,
        Status.SENT,
        Status.DEAD,
        Status.UNKNOWN,
        *_REPORTED,
    },
    # in doubt: the gateway no longer knows it; queued: the gateway refused it for the account after all
    Status.SENT: {Status.UNKNOWN, Status.IN_DOUBT, Status.QUEUED, Status.PAUSED, *_REPORTED},
    Status.DEAD: {Status.QUEUED, Status.PAUSED, Status.SENT, *_REPORTED},  # redrive, or a receipt
    Status.DELIVERED: set(),
    Status.UNDELIVERED: set(),
    Status.EXPIRED: set(),
    Status.CANCELLED: set(),
    Status.EMULATED: set(),
    Status.UNKNOWN: set(),
}

FINAL = frozenset(status for status, following in MAY_FOLLOW.items() if not following)
SUCCESSFUL = frozenset({Status.SENT, Status.DELIVERED})  # a failure that their record has is of an earlier attempt
AT_REST = FINAL | {Status.DEAD}  # nothing changes without a command or a receipt

STORED: dict[Status, Status] = {Status.PAUSED: Status.SCHEDULED}
"""What the field ``status`` of a record has for a state, if not the state itself.

Workers of earlier versions do not know a paused message's state, and would set the message aside as damaged; one that
is scheduled and in no due set they leave alone.  The field ``paused`` of its record makes it paused.
"""
