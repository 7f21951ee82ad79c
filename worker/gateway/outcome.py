"""Outcome: what an attempt came to, as a value; a gateway never raises for what a network may do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

GATEWAY_REMEMBERS = 6 * 24 * 3600 * 1000  # ms; after this a look-up proves nothing any more


class OutcomeKind(StrEnum):
    """The five ways an attempt can end."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # the gateway answered with a code
    NOT_REACHED = "not_reached"  # surely not sent: no connection was had
    LOST = "lost"  # the request left, and no answer came
    UNREADABLE = "unreadable"  # an answer came that says neither yes nor no
    NOT_TRIED = "not_tried"  # we stopped before the request left
    EMULATED = "emulated"  # it is not on the allow-list: all but the request


class AttemptOutcome(NamedTuple):
    """One attempt's end; ``code`` is the gateway's, ``text`` what it said or what broke."""

    kind: OutcomeKind
    code: str = ""
    text: str = ""
    gateway_id: str = ""

    def in_words(self) -> str:
        """Return why a question got no answer, for people."""
        return f"{self.kind} ({self.text})"


class Known(StrEnum):
    """What a gateway may answer when it is asked for a message by our id."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    NO_STATUS = "no_status"  # status 001: unknown, or not reported yet
    FAILED = "failed"  # the question got no usable answer; nothing follows from it
    CANNOT = "cannot"  # the API has no such question: only a receipt can tell


class LookUp(NamedTuple):
    """The answer to a look-up; ``status`` is the network's, ``charge_millionths`` None when it was not told."""

    known: Known
    gateway_id: str = ""
    status: str = ""
    charge_millionths: int | None = None
    text: str = ""

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> LookUp:
        """Return what a question comes to that got no answer."""
        return cls(Known.FAILED, text=f"{outcome.kind} {outcome.text}")


class Cancellation(NamedTuple):
    """What a cancel came to; ``stopped`` is True only for status 006, and None when nobody can tell."""

    stopped: bool | None
    status: str = ""
    code: str = ""
    text: str = ""

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> Cancellation:
        """Return what a cancel comes to that got no answer."""
        return cls(_done(outcome), text=outcome.kind)


class Coverage(NamedTuple):
    """Whether a number can be reached, and the least charge; ``routable`` None: the answer does not say."""

    routable: bool | None
    charge_millionths: int | None = None
    text: str = ""

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> Coverage:
        """Return what a question for a number comes to that got no answer."""
        return cls(None, text=outcome.kind)


class Payment(NamedTuple):
    """What a voucher came to; ``paid`` is None when nobody can tell: look at the balance."""

    paid: bool | None
    code: str = ""
    text: str = ""

    @classmethod
    def unanswered(cls, outcome: AttemptOutcome) -> Payment:
        """Return what a voucher comes to that got no answer."""
        return cls(_done(outcome), text=outcome.kind)


def _done(outcome: AttemptOutcome) -> bool | None:
    """Tell whether a command took effect that got no answer: surely not if it never left, else nobody can tell."""
    return False if outcome.kind is OutcomeKind.NOT_REACHED else None


NOT_TRIED = AttemptOutcome(OutcomeKind.NOT_TRIED)
EMULATED = AttemptOutcome(OutcomeKind.EMULATED)
# What a gateway answers whose API has no such command.
NO_LOOK_UP = LookUp(Known.CANNOT, text="this API knows no message by our id")
NO_CANCEL = Cancellation(False, text="this API cannot cancel")
NO_COVERAGE = Coverage(None, text="this API does not tell its coverage")
NO_PAYMENT = Payment(False, text="this API takes no vouchers")
