"""Record: the names of a message's fields, for Python and for the scripts; record.lua alone reads and writes them."""

from __future__ import annotations

from enum import StrEnum


class Field(StrEnum):
    """A field of a record; what is absent has no value.  Times are milliseconds of Unix time."""

    # from accept
    STATUS = "status"
    LANE = "lane"
    TO = "to"
    PARTS = "parts"
    ACCEPTED = "accepted"  # when
    EXPIRES = "expires"  # when its validity ends
    BODY = "body"  # the message as JSON, until it was sent or ended
    PRINT = "print"  # a fingerprint of its content, under a client message id
    DUE = "due"  # when it is to be sent, if not at once
    CENTRE = "centre"  # the cost centre
    PRODUCER = "producer"
    CLIENT = "client"  # the client message id
    TAGS = "tags"  # with commas between them
    BATCH = "batch"
    GATEWAY_DUE = "gateway_due"  # until when the gateway keeps it
    BYPASSED = "bypassed"  # whose suppression a legal notice passed over
    ESTIMATE = "estimate"  # millionths of a credit
    COUNTRY = "country"
    TRACE = "trace"  # a W3C traceparent
    SCHEMA = "schema"  # of the body, if it is above 1
    PERIOD = "period"  # the day whose budgets it counts in
    COUNTED = "counted"  # for how much, millionths of a credit
    # from claim
    ATTEMPT = "attempt"
    FIRST = "first"  # when it was tried first
    TOKEN = "token"  # of the attempt under way
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
    RANK = "rank"  # how far that is on the way
    CHARGE_RANK = "charge_rank"  # the rank of the report that told the charge
    REPORTS = "reports"  # what the network reported, each with when
    ASKS = "asks"  # how often the gateway was asked for a receipt
    # from doubt
    LAPSES = "lapses"  # attempts that ended with their worker
    PROBES = "probes"  # look-ups that answered "not known"
    DOUBTED = "doubted"  # since when it is in doubt
    # from erase, which takes TO, BODY, PRINT, CLIENT, TEXT and REPORTS away
    ERASED = "erased"  # when
