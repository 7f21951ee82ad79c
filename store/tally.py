"""Tally: the names of counts, for Python and the scripts."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Count(StrEnum):
    """A family of counts: its name and its labels."""

    labels: tuple[str, ...]

    def __new__(cls, name: str, *labels: str) -> Self:
        """Create a family; the names of its counts start with its name and a colon."""
        family = str.__new__(cls, name + ":" if labels else name)
        family._value_ = str(family)
        family.labels = labels
        return family

    ACCEPTED = "accepted", "lane"
    PARTS = "parts", "lane"  # of accepted messages
    OPT_OUT_LINES = "opt_out_lines", "lane"  # accepted messages whose text got the line
    OPT_OUT_PARTS = "opt_out_parts", "lane"  # that it costs
    REPEATED = "repeated", "lane"
    REFUSED = "refused", "code"
    LIMITED = "limited", "limited", "action"
    NEIGHBOUR_RUNS = "neighbour_runs", "action"
    BYPASSED = "bypassed", "lane"
    COMMITTED = "committed", "lane"  # estimates of messages that are not sent yet
    TO = "to", "lane", "status"  # moves into a state
    NEWER = "newer", "lane"
    RESERVED = "reserved", "lane"
    RETRIED = "retried", "lane", "code"
    PUT_BACK = "queued", "lane", "code"
    SENT = "sent", "lane", "code"
    IN_DOUBT = "in_doubt", "lane", "code"
    EMULATED = "emulated", "lane", "code"
    EXPIRED = "expired", "lane", "code"
    EXPIRED_PAUSED = "expired_paused", "lane"  # while their batch was paused
    DEAD = "dead", "code", "owner"
    UNKNOWN = "unknown", "code", "owner"
    STALE_SETTLE = "stale_settle"
    HELD = "held", "scope"
    BREAKER_OPENED = "breaker_opened", "outcome"
    PROBED = "probed", "result"
    HOLD_PROBED = "hold_probed", "scope"
    HEALED = "healed", "scope"  # holds that an accepted message lifted
    LAPSED = "lapsed", "lane"
    VERIFIED = "verified", "lane", "code"  # temporary refusals that are looked up before their retry
    REOPENED = "reopened", "lane"  # sent messages that the gateway no longer knows
    HIDDEN = "hidden"  # accepted messages that no look-up found within the longest grace period
    RETURNED = "returned", "lane", "code"  # sent messages that go back to their lane, refused for the account
    DIVERTED = "diverted", "lane", "why"  # taken over by the stand-by of this account, which could not send them
    TAKEN_OVER = "taken_over", "lane", "why"  # from an account that could not send them
    REPORTED_BY_BOTH = "reported_by_both", "lane"  # reports of the account that a message left, unsent as it seemed
    RENAMED = "renamed", "lane"  # sent messages that the gateway knows by another of its ids
    RESOLVED = "resolved", "to"
    LATE = "late", "lane"
    REPLIES = "replies", "word"
    ROUTED = "routed", "route"
    REMOVED_UNREAD = "removed_unread", "removed_by"  # replies, from the inbox
    CONFIRMATIONS = "confirmations", "result"  # of a STOP
    SUPPRESSED = "suppressed", "source"
    LIFTED = "lifted"
    REDRIVEN = "redriven", "lane"
    CANCELLED = "cancelled", "lane"
    ERASED = "erased", "lane"
    FOUND = "found", "lane"  # claimed by a look, without a nudge
    UNPUBLISHED = "unpublished", "lane"  # accepted or due, and the broker did not take their nudge
    SWEPT = "swept", "lane"
    SWEPT_AGAIN = "swept_again", "lane"
    CHARGED = "charged", "lane", "centre"
    CHARGED_BY = "charged_by", "kind", "name"
    CHARGED_PARTS = "charged_parts", "lane"
    CHARGED_MESSAGES_TO = "charged_messages_to", "country"
    CHARGED_PARTS_TO = "charged_parts_to", "country"
    LOGIN_REFUSED = "login_refused", "refusal"  # at the console

    def field(self, *values: object) -> str:
        """Return the hash field of one count; raises TypeError for a wrong number of label values."""
        if len(values) != len(self.labels):
            raise TypeError(f"{self.name} has the labels {', '.join(self.labels)}: {values}")
        return str(self) + ":".join(map(str, values))
