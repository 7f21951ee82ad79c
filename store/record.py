"""Record: the fields of a record, and what makes one readable, for Python and the scripts.

Only record.lua reads and writes records in scripts, and readable.py reads them elsewhere; both check each value by
``SHAPES`` and ``NEEDED``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from threelane.store.states import Status


class Field(StrEnum):
    """A field of a record; a field without a value is absent.  Times are milliseconds of Unix time."""

    # from accept
    STATUS = "status"
    LANE = "lane"
    TO = "to"
    PARTS = "parts"
    ACCEPTED = "accepted"  # when
    EXPIRES = "expires"  # when its validity ends
    BODY = "body"  # the message as JSON, until it ended
    PRINT = "print"  # a fingerprint of its content, under a client message id
    DUE = "due"  # when to send it, if not immediately
    CENTRE = "centre"  # the cost centre
    PRODUCER = "producer"
    CLIENT = "client"  # the client message id
    TAGS = "tags"  # separated by commas
    BATCH = "batch"
    GATEWAY_DUE = "gateway_due"  # until when the gateway holds it
    BYPASSED = "bypassed"  # the source of the suppression that a legal notice bypassed
    ESTIMATE = "estimate"  # millionths of a credit
    COUNTRY = "country"
    TRACE = "trace"  # a W3C traceparent
    SCHEMA = "schema"  # of the body, if it is above 1
    ACCOUNT = "account"  # the account at the gateway that it is sent through, since schema 3; the default one has none
    STAND_BY = "stand_by"  # the name of the account that may take it over, once; "default" is that of the environment
    ROUTE = "route"  # the name of the route that chose ACCOUNT
    LEDGER = "ledger"  # the name under which the cost centre's credits are counted, if not its own
    PERIOD = "period"  # the day whose budgets it counts in
    COUNTED = "counted"  # its amount in the budgets, millionths of a credit
    # from claim
    ATTEMPT = "attempt"
    FIRST = "first"  # when the first attempt started
    TOKEN = "token"  # of the attempt in progress
    FAULTS = "faults"  # attempts in which Threelane's own code failed before the request left
    # of a message with a stand-by, from claim until settle or blame proves that the gateway did not take this attempt
    UNSURE = "unsure"  # the token of the first attempt that the gateway may have taken; then it stays with its account
    # from settle
    GATEWAY_ID = "gateway_id"
    SENT = "sent"  # when
    CODE = "code"
    REASON = "reason"
    TEXT = "text"
    OWNER = "owner"
    WAITS = "waits"  # seconds before each retry
    ENDED = "ended"  # when
    # from receipt
    CHARGE = "charge"  # millionths of a credit, of all attempts
    NETWORK = "network"  # the network's status
    RANK = "rank"  # the position of that status in the delivery
    CHARGE_RANK = "charge_rank"  # the rank of the report with the charge
    REPORTS = "reports"  # reports of the network, each with its time
    ASKS = "asks"  # number of receipt queries to the gateway
    # from doubt
    LAPSES = "lapses"  # attempts that were lost with their worker
    PROBES = "probes"  # look-ups with the result "not found"
    DOUBTED = "doubted"  # since when it is in doubt: its request had ended by then
    RETRY = "retry"  # in doubt after a temporary refusal: when to retry it if no look-up finds it
    RESENT = "resent"  # when it was sent again from doubt, which happens once at most
    # from cancel, during an attempt, in doubt or at the gateway
    CANCEL = "cancel"  # when it was cancelled, and for how long its record is kept then: no further attempt is made
    # from a return: the gateway had accepted it, and refused it for the account later; this happens once at most
    RETURNED = "returned"  # when
    # from a return, or, of a message that was resent from doubt, from a report of the copy that does not count
    FORMER_ID = "former_id"  # the gateway's id of that attempt; what carries it is of that attempt
    FORMER_STATUS = "former_status"  # the network's status that ended it
    FORMER_CHARGE = "former_charge"  # of that attempt, if it is known; CHARGE includes it
    # from redrive
    REDRIVEN = "redriven"  # when
    # from take over
    DIVERTED = "diverted"  # the name of the account that it came from, attempts there, when, and why: diverted.py
    # from any move off the plain path
    WAITING = "waiting"  # lane, cause and since when it waits: waiting.py
    # from any move to its batch's pause
    PAUSED = "paused"  # digest of the batch, lane, and since when it waits or when it is due: pauses.py
    # from late
    LATE = "late"  # when its late event was published
    # from sweep
    SWEEPS = "sweeps"  # how often its nudge was found missing by the sweep
    # from erase, which deletes TO, BODY, PRINT, CLIENT, TEXT and REPORTS
    ERASED = "erased"  # when
    # from set aside
    DAMAGED = "damaged"  # what could not be read: field=value in lines, with escapes; its text is for operators


class Values:
    """The values of a record by their fields; an absent one is "", or 0."""

    __slots__ = ("_record",)

    def __init__(self, record: Mapping[str, str]) -> None:
        """Take the readable fields."""
        self._record = record

    def text(self, name: Field) -> str:
        """Return a value."""
        return self._record.get(name, "")

    def number(self, name: Field) -> int:
        """Return a whole number."""
        return int(self._record.get(name, "0"))


class Shape(StrEnum):
    """What a value must look like; text without an entry in ``SHAPES`` must be UTF-8."""

    STATUS = "status"
    LANE = "lane"
    NUMBER = "number"
    DIGITS = "digits"
    WAITS = "waits"
    WAITING = "waiting"
    PAUSED = "paused"
    REPORTS = "reports"
    CANCEL = "cancel"
    BODY = "body"  # JSON of a message; scripts only check how it begins
    TEXT = "text"


_NUMBERS = (
    Field.PARTS,
    Field.ACCEPTED,
    Field.EXPIRES,
    Field.DUE,
    Field.GATEWAY_DUE,
    Field.ESTIMATE,
    Field.SCHEMA,
    Field.COUNTED,
    Field.ATTEMPT,
    Field.FIRST,
    Field.FAULTS,
    Field.SENT,
    Field.ENDED,
    Field.CHARGE,
    Field.RANK,
    Field.CHARGE_RANK,
    Field.ASKS,
    Field.LAPSES,
    Field.PROBES,
    Field.DOUBTED,
    Field.RETRY,
    Field.RESENT,
    Field.RETURNED,
    Field.FORMER_CHARGE,
    Field.REDRIVEN,
    Field.LATE,
    Field.SWEEPS,
    Field.ERASED,
)
SHAPES: Mapping[Field, Shape] = MappingProxyType(
    {
        **dict.fromkeys(Field, Shape.TEXT),
        **dict.fromkeys(_NUMBERS, Shape.NUMBER),
        Field.STATUS: Shape.STATUS,
        Field.LANE: Shape.LANE,
        Field.TO: Shape.DIGITS,
        Field.PERIOD: Shape.DIGITS,
        Field.WAITS: Shape.WAITS,
        Field.WAITING: Shape.WAITING,
        Field.PAUSED: Shape.PAUSED,
        Field.REPORTS: Shape.REPORTS,
        Field.CANCEL: Shape.CANCEL,
        Field.BODY: Shape.BODY,
    }
)
"""The shape of each field; a field of a newer version has none, and is not checked."""

ALWAYS, UNTIL_SENT = "always", "until_sent"
NEEDED: Mapping[Field, str] = MappingProxyType(
    {
        **dict.fromkeys((Field.STATUS, Field.LANE, Field.PARTS, Field.ACCEPTED, Field.EXPIRES), ALWAYS),
        **dict.fromkeys((Field.TO, Field.BODY), UNTIL_SENT),
    }
)
"""The fields without which a record is unreadable, and when."""
BEFORE_SENT = (Status.SCHEDULED, Status.QUEUED, Status.PAUSED, Status.SENDING)
"""The states in which the fields ``UNTIL_SENT`` are needed."""
