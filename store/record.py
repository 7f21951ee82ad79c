"""Record: the names of a record's fields, for Python and the scripts; only record.lua reads and writes them."""

from __future__ import annotations

from enum import StrEnum


class Field(StrEnum):
    """A field of a record; a field without a value is absent.  Times are milliseconds of Unix time."""

    # from accept
    STATUS = "status"
    LANE = "lane"
    TO = "to"
    PARTS = "parts"
    ACCEPTED = "accepted"  # when
    EXPIRES = "expires"  # when its validity ends
    BODY = "body"  # the message as JSON, until it was sent or ended
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
    PERIOD = "period"  # the day whose budgets it counts in
    COUNTED = "counted"  # its amount in the budgets, millionths of a credit
    # from claim
    ATTEMPT = "attempt"
    FIRST = "first"  # when the first attempt started
    TOKEN = "token"  # of the attempt in progress
    FAULTS = "faults"  # attempts in which Threelane's own code failed before the request left
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
    CHARGE = "charge"  # millionths of a credit
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
    # from redrive
    REDRIVEN = "redriven"  # when
    # from any move off the plain path
    WAITING = "waiting"  # lane, cause and since when it waits: waiting.py
    # from late
    LATE = "late"  # when its late event was published
    # from sweep
    SWEEPS = "sweeps"  # how often its nudge was found missing by the sweep
    # from erase, which deletes TO, BODY, PRINT, CLIENT, TEXT and REPORTS
    ERASED = "erased"  # when
