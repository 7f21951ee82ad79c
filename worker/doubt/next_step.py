"""Next step: what becomes of a message in doubt that a look-up did not find; pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

from threelane.contract.refusal import Owner
from threelane.store.states import Status
from threelane.worker.doubt.proof import SOONEST_MS, Evidence
from threelane.worker.gateway.outcome import GATEWAY_REMEMBERS, Known, LookUp

DAY = 24 * 3600 * 1000
WORKERS_LOST = 2  # attempts lost with their worker after which the workers, not the gateway, are the likely cause

SecondDoubt = Literal["unknown", "dead"]


class Unresolved(StrEnum):
    """The next step, other than a state, for a message that a look-up did not find."""

    LOOK_UP_AGAIN = "ask"


class Doubt(NamedTuple):
    """A message in doubt that this worker looks up now; times in milliseconds."""

    id: str
    since: int  # its request had ended by then
    probes: int  # look-ups with the result "not found"
    lapses: int  # attempts lost with their worker
    was_resent: bool  # from an earlier doubt
    retry_at: int  # of a temporary refusal: when to retry it; 0: its answer is unknown
    on_doubt: str  # resend, hold or drop; "" if its content is gone, as it was sent before
    expires_at: int
    had_other: bool = False  # an attempt with the same id of ours, which ended: it was returned, or resent from doubt
    is_cancelled: bool = False  # and is not sent again


class NextStep(NamedTuple):
    """The message's next step: a state, or ``ask`` for another look-up; ``at`` in milliseconds."""

    to: str
    at: int
    counts: bool = False
    code: str = ""
    reason: str = ""
    owner: str = ""


def next_step(doubt: Doubt, answer: LookUp, evidence: Evidence, second_doubt: SecondDoubt, now: int) -> NextStep:
    """Return the next step after a look-up, requested ``now``, that did not find the message.

    A look-up that failed, or returned no status, changes nothing: it is repeated.
    """
    if answer.known is Known.CANNOT:
        return _without_look_ups(doubt, evidence, now)
    if now - doubt.since > GATEWAY_REMEMBERS:
        return NextStep(Status.UNKNOWN, now, code="forgotten", reason="never_resolved", owner=Owner.GATEWAY)
    again_at = evidence.next_look_up(doubt.since, now)
    if doubt.had_other:
        return _of_second_attempt(doubt, evidence, max(again_at, now + evidence.delays_ms[0]), second_doubt, now)
    if answer.known is not Known.NOT_FOUND:
        return NextStep(Unresolved.LOOK_UP_AGAIN, max(again_at, now + evidence.delays_ms[0]))
    if doubt.is_cancelled and now < (ends := doubt.since + evidence.longest_ms):
        return NextStep(Unresolved.LOOK_UP_AGAIN, min(again_at, ends), counts=True)  # nothing is to be sent sooner
    if doubt.retry_at:
        return _refused(doubt, evidence, now)
    if not evidence.proves(doubt.since, now):
        return NextStep(Unresolved.LOOK_UP_AGAIN, again_at, counts=True)
    return _never_accepted(doubt, second_doubt, now)


def _without_look_ups(doubt: Doubt, evidence: Evidence, now: int) -> NextStep:
    """Wait for a receipt until the end of validity and the grace."""
    ends = doubt.expires_at + evidence.longest_ms
    if now < ends:
        return NextStep(Unresolved.LOOK_UP_AGAIN, ends)
    return NextStep(Status.UNKNOWN, now, code="no_look_up", reason="no_look_up", owner=Owner.GATEWAY)


def _of_second_attempt(
    doubt: Doubt, evidence: Evidence, again_at: int, second_doubt: SecondDoubt, now: int
) -> NextStep:
    """Look up again until its own copy is found or reported, and at the end of validity and the grace give it up.

    The gateway knows the first attempt by the same id, and no document says which of the two it returns: neither that
    one nor a 104 shows that it did not accept the second.  If it was resent from doubt, the first most likely does not
    exist, and what was found is the second: the grace after its request suffices.
    """
    if doubt.was_resent:
        if now < doubt.since + evidence.longest_ms:
            return NextStep(Unresolved.LOOK_UP_AGAIN, min(again_at, doubt.since + evidence.longest_ms))
        return _never_accepted(doubt, second_doubt, now)
    if now < doubt.expires_at + evidence.longest_ms:
        return NextStep(Unresolved.LOOK_UP_AGAIN, again_at)
    return NextStep(Status.UNKNOWN, now, code="earlier_attempt", reason="earlier_attempt", owner=Owner.GATEWAY)


def _refused(doubt: Doubt, evidence: Evidence, now: int) -> NextStep:
    """Retry what the gateway refused and does not know: an ordinary retry, unless look-ups are known to be late."""
    earliest = doubt.retry_at
    if evidence.is_learned(now):
        earliest = max(earliest, doubt.since + evidence.visibility.delay_ms)
    if evidence.lags(doubt.since, now):
        earliest = max(earliest, now + SOONEST_MS)
    if now < min(earliest, max(doubt.retry_at, doubt.since + evidence.longest_ms)):
        return NextStep(Unresolved.LOOK_UP_AGAIN, earliest, counts=True)
    return NextStep(Status.QUEUED, now, counts=True)


def _never_accepted(doubt: Doubt, second_doubt: SecondDoubt, now: int) -> NextStep:
    """Send a message once more that the gateway never accepted, or end it: from doubt it is sent again once at most."""
    match doubt.on_doubt:
        case "":
            return NextStep(Status.UNKNOWN, now, True, "disowned", "disowned", Owner.GATEWAY)
        case "hold":
            return NextStep(Unresolved.LOOK_UP_AGAIN, now + DAY, counts=True)
        case "drop":
            return NextStep(Status.DEAD, now, True, "in_doubt", "dropped_in_doubt", Owner.PRODUCER)
    if not doubt.was_resent:
        return NextStep(Status.QUEUED, now, counts=True)
    if doubt.lapses >= WORKERS_LOST:
        return NextStep(second_doubt, now, True, "worker_lost", "worker_lost", Owner.OPERATOR)
    return NextStep(second_doubt, now, True, "in_doubt_again", "in_doubt_again", Owner.GATEWAY)
