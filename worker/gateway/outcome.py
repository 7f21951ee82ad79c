"""Outcome: the result of an attempt as a value; a gateway never raises for a network failure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

GATEWAY_REMEMBERS = 6 * 24 * 3600 * 1000  # ms; after this a look-up proves nothing any more
LONGEST_RETRY_AFTER_SECONDS = 3600.0  # a longer wait is cut: an operator may not come to resume


class OutcomeKind(StrEnum):
    """The ways an attempt can end."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # the gateway answered with a code
    NOT_REACHED = "not_reached"  # surely not sent: there was no connection
    LOST = "lost"  # the request left, but no response came
    UNREADABLE = "unreadable"  # the response is neither an acceptance nor a refusal
    NOT_TRIED = "not_tried"  # we stopped before the request left
    EMULATED = "emulated"  # the number is not on the allow-list: everything but the request was done
    WRONG_ADDRESS = "wrong_address"  # surely not sent: another server answered; see foreign.py
    INTERNAL_ERROR = "internal_error"  # our code raised before the request left
    UNPROCESSED = "unprocessed"  # our code raised after the request left


class AttemptOutcome(NamedTuple):
    """The result of one attempt; ``code`` is the gateway's, ``text`` its description or the local error."""

    kind: OutcomeKind
    code: str = ""
    text: str = ""
    gateway_id: str = ""
    retry_after_seconds: float = 0.0  # from the header Retry-After; 0: none

    def in_words(self) -> str:
        """Return why a request failed, for people: a refusal as its code and text, like the gateway's own."""
        if self.kind is OutcomeKind.REFUSED and self.code:
            return f"{self.code} {self.text}".strip()
        return f"{self.kind} ({self.text})"


class Known(StrEnum):
    """The possible results of looking up a message."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    NO_STATUS = "no_status"  # status 001: unknown, or not reported yet
    FAILED = "failed"  # no usable response; it proves nothing
    CANNOT = "cannot"  # the API has no such look-up: only a receipt can resolve it


class LookUp(NamedTuple):
    """The result of a look-up; ``status`` is the network's, ``charge_millionths`` None if not reported."""

    known: Known
    gateway_id: str = ""
    status: str = ""
    charge_millionths: int | None = None
    text: str = ""

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> LookUp:
        """Return the result of a look-up without a response."""
        return cls(Known.FAILED, text=f"{outcome.kind} {outcome.text}")


class Cancellation(NamedTuple):
    """The result of a cancel; ``stopped`` is True only for status 006, and None if unknown."""

    stopped: bool | None
    status: str = ""
    code: str = ""
    text: str = ""
    gateway_id: str = ""  # of the message that was found, if the cancel was by our id

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> Cancellation:
        """Return the result of a cancel without a response."""
        return cls(_done(outcome), text=outcome.kind)


class Coverage(NamedTuple):
    """Whether a number can be reached, and the minimum charge; ``routable`` is None if unknown, ``code`` says why."""

    routable: bool | None
    charge_millionths: int | None = None
    code: str = ""
    text: str = ""

    @classmethod
    def refused(cls, outcome: AttemptOutcome, *, of_number: bool) -> Coverage:
        """Return the result of a query that ended with a code: not routable if that concerns the number."""
        return cls(False if of_number else None, code=outcome.code, text=outcome.text)

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> Coverage:
        """Return the result of a coverage query without a response."""
        return cls(None, code=outcome.code, text=outcome.in_words())


class Payment(NamedTuple):
    """The result of redeeming a voucher; ``paid`` is None if unknown: check the balance.

    False with a ``code`` is what the gateway answered; whether that refuses the voucher depends on the code.
    """

    paid: bool | None
    code: str = ""
    text: str = ""

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> Payment:
        """Return the result of a voucher without a response; ``code`` is that of a refused login."""
        return cls(_done(outcome), code=outcome.code, text=outcome.in_words())


def _done(outcome: AttemptOutcome) -> bool | None:
    """Return whether a command without a response took effect: False if it never left, else None (unknown)."""
    return False if outcome.kind is OutcomeKind.NOT_REACHED else None


FAULTS = frozenset({OutcomeKind.INTERNAL_ERROR, OutcomeKind.UNPROCESSED})
"""The outcomes of an exception in our own code."""
NEVER_LEFT = frozenset(
    {
        OutcomeKind.NOT_TRIED,
        OutcomeKind.NOT_REACHED,
        OutcomeKind.WRONG_ADDRESS,
        OutcomeKind.EMULATED,
        OutcomeKind.INTERNAL_ERROR,
    }
)
"""The outcomes of messages that surely were not sent."""
NOT_TRIED = AttemptOutcome(OutcomeKind.NOT_TRIED)
EMULATED = AttemptOutcome(OutcomeKind.EMULATED)
# The results of commands that an API does not have.
NO_LOOK_UP = LookUp(Known.CANNOT, text="this API has no look-up by our id")
NO_STATUS_QUERY = LookUp(Known.CANNOT, text="this API has no look-up by its own id")
NO_CANCEL = Cancellation(False, text="this API cannot cancel")
NO_CANCEL_BY_OUR_ID = Cancellation(False, text="this API cannot cancel by our id")
NO_COVERAGE = Coverage(None, text="this API has no coverage query")
NO_BALANCE = "this API has no balance query"
NO_PAYMENT = Payment(False, text="this API accepts no vouchers")
