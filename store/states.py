"""States: what a message can be, which may follow which, and where each state keeps its ids."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of a message; the record's ``status`` field."""

    SCHEDULED = "scheduled"  # waits for a time: a schedule, a retry, a deferral
    QUEUED = "queued"  # due, and on its lane
    SENDING = "sending"  # an attempt is under way, under a lease
    SENT = "sent"  # the gateway has it
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    EMULATED = "emulated"  # not on the allow-list of a staging system: all was done but the sending
    DEAD = "dead"  # will not be sent; can be redriven
    IN_DOUBT = "in_doubt"  # it may have been sent; only the gateway can tell
    UNKNOWN = "unknown"  # in doubt for ever


_REPORTED = {Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED, Status.CANCELLED}

# A receipt may overtake the answer that it belongs to, or come after an answer that was wrong: hence "reported"
# from every state in which an attempt was made.
MAY_FOLLOW: dict[Status, set[Status]] = {
    Status.SCHEDULED: {Status.QUEUED, Status.DEAD, Status.SENT, *_REPORTED},
    Status.QUEUED: {Status.SENDING, Status.SCHEDULED, Status.DEAD, Status.SENT, *_REPORTED},
    Status.SENDING: {
        Status.QUEUED,
        Status.SCHEDULED,
        Status.SENT,
        Status.DEAD,
        Status.IN_DOUBT,
        Status.EMULATED,
        *_REPORTED,
    },
    Status.IN_DOUBT: {
        Status.QUEUED,
        Status.SCHEDULED,
        Status.SENT,
        Status.DEAD,
        Status.UNKNOWN,
        *_REPORTED,
    },
    Status.SENT: {Status.UNKNOWN, *_REPORTED},
    Status.DEAD: {Status.QUEUED, Status.SENT, *_REPORTED},  # redrive, or the network knows better
    Status.DELIVERED: set(),
    Status.UNDELIVERED: set(),
    Status.EXPIRED: set(),
    Status.CANCELLED: set(),
    Status.EMULATED: set(),
    Status.UNKNOWN: set(),
}

FINAL = frozenset(status for status, following in MAY_FOLLOW.items() if not following)
AT_REST = FINAL | {Status.DEAD}  # nothing happens to it by itself any more
