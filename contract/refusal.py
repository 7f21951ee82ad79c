"""Refusals: why a message is not accepted, with the gateway's error codes, before a credit is spent."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Owner(StrEnum):
    """Who can fix it.  Every refusal, dead letter and alarm has an owner."""

    PRODUCER = "producer"
    OPERATOR = "operator"
    RECIPIENT = "recipient"
    GATEWAY = "gateway"


class Code(StrEnum):
    """The gateway's error codes that Threelane returns at accept, with the meaning of the gateway's list."""

    INVALID = "101"
    UDH = "102"
    CLIENT_ID = "104"
    DESTINATION = "105"
    SENDER = "106"
    EMPTY = "107"
    TYPE = "112"
    PARTS = "113"
    NO_ROUTE = "114"  # the gateway's "cannot route message", here: no account may take it
    UNICODE = "116"
    TIME_OR_CLIENT_ID = "120"
    OPTED_OUT = "122"
    FULL = "130"  # the gateway's "maximum MT limit", here for what waits of one producer
    BUDGET = "302"  # the gateway's "max allowed credit", here for a budget of Threelane
    LIMIT = "429"  # Threelane's: a limit of messages
    CONFLICT = "409"  # Threelane's: the gateway has no code for one client id with two contents


class Refusal(msgspec.Struct, frozen=True):
    """Why a message is not accepted, as parsers and scripts return it; callers get it as ``Refused``.

    ``field`` is the name of the field as the caller spelt it, ``problem`` the error and ``remedy`` the fix;
    ``accepted_id`` is the id of the accepted message that causes the refusal, if any; ``retry_after`` is the number of
    seconds after which it may be accepted, 0 if that is unknown.
    """

    code: str
    field: str
    problem: str
    remedy: str
    owner: Owner = Owner.PRODUCER
    accepted_id: str = ""
    retry_after: float = 0

    @property
    def accepted(self) -> bool:
        """False, so that the admissions of a list can be counted."""
        return False

    def __str__(self) -> str:
        """Return one line for people: code, field, problem, remedy."""
        return " ".join(f"{self.code} {self.field}: {self.problem}; {self.remedy}".split())


def invalid(field: str, problem: str, remedy: str) -> Refusal:
    """Return a refusal with 101, the gateway's code for an invalid or missing parameter."""
    return Refusal(code=Code.INVALID, field=field, problem=problem, remedy=remedy)
