"""Refusals: what is wrong with a message, said in the gateway's language before a credit is spent."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Owner(StrEnum):
    """Who can mend it. Every refusal, dead letter and alarm has one."""

    PRODUCER = "producer"
    OPERATOR = "operator"
    RECIPIENT = "recipient"
    GATEWAY = "gateway"


class Code(StrEnum):
    """The gateway's codes that are answered at the door (its list of error codes gives the meaning)."""

    INVALID = "101"
    UDH = "102"
    CLIENT_ID = "104"
    DESTINATION = "105"
    SENDER = "106"
    EMPTY = "107"
    PARTS = "113"
    UNICODE = "116"
    TIME_OR_CLIENT_ID = "120"
    OPTED_OUT = "122"
    BUDGET = "302"  # the gateway's "max allowed credit", here of a budget of ours
    CONFLICT = "409"  # ours: the gateway has no word for one client id with two contents


class Refusal(msgspec.Struct, frozen=True):
    """Why a message is not accepted, as parsers and scripts return it; callers get it as ``Refused``.

    ``field`` is the field's name as the caller wrote it, ``problem`` what is wrong with it and ``remedy`` what
    would be right; ``accepted_id`` is the id of the accepted message that stands in the way, if there is one.
    """

    code: str
    field: str
    problem: str
    remedy: str
    owner: Owner = Owner.PRODUCER
    accepted_id: str = ""

    @property
    def accepted(self) -> bool:
        """False: admissions of a list can be counted by it."""
        return False

    def __str__(self) -> str:
        """Return one line for people: code, field, problem, remedy."""
        return " ".join(f"{self.code} {self.field}: {self.problem}; {self.remedy}".split())
