"""Tally: the names of what is counted, for Python and for the scripts."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Count(StrEnum):
    """A family of counts: its name, and what its members are told apart by."""

    labels: tuple[str, ...]

    def __new__(cls, name: str, *labels: str) -> Self:
        """Make a family; the names of its members begin with its name and a colon."""
        family = str.__new__(cls, name + ":" if labels else name)
        family._value_ = str(family)
        family.labels = labels
        return family

    ACCEPTED = "accepted", "lane"
    PARTS = "parts", "lane"  # of what was accepted
    REPEATED = "repeated", "lane"
    REFUSED = "refused", "code"
    BYPASSED = "bypassed", "lane"
    COMMITTED = "committed", "lane"  # estimates of what is not sent yet
    TO = "to", "lane", "status"  # moves into a state
    NEWER = "newer", "lane"
    RESERVED = "reserved", "lane"
    RETRIED = "retried", "lane", "code"
    PUT_BACK = "queued", "lane", "code"
    SENT = "sent", "lane", "code"
    IN_DOUBT = "in_doubt", "lane", "code"
    EMULATED = "emulated", "lane", "code"
    EXPIRED = "expired", "lane", "code"
    DEAD = "dead", "code", "owner"
    UNKNOWN = "unknown", "code", "owner"
    STALE_SETTLE = "stale_settle"
    HELD = "held", "scope"
    LAPSED = "lapsed", "lane"
    RESOLVED = "resolved", "to"
    LATE = "late", "lane"
    REPLIES = "replies", "word"
    SUPPRESSED = "suppressed", "source"
    LIFTED = "lifted"
    REDRIVEN = "redriven", "lane"
    CANCELLED = "cancelled", "lane"
    ERASED = "erased", "lane"
    SWEPT = "swept", "lane"
    CHARGED = "charged", "lane", "centre"
    CHARGED_BY = "charged_by", "kind", "name"
    CHARGED_PARTS = "charged_parts", "lane"

    def field(self, *values: object) -> str:
        """Return the name of one count of the family; raises TypeError for too few or too many values."""
        if len(values) != len(self.labels):
            raise TypeError(f"{self.name} is counted by {', '.join(self.labels)}: {values}")
        return str(self) + ":".join(map(str, values))
