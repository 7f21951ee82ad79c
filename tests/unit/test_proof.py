"""When "not found" shows that a message was not accepted, and what follows; all times are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.contract.refusal import Owner
from threelane.store.states import Status
from threelane.store.visibility import READ, Sight, Visibility
from threelane.worker.doubt.next_step import DAY, Doubt, NextStep, Unresolved, next_step
from threelane.worker.doubt.proof import MARGIN_MS, OLD_MS, SHORTEST_MS, Evidence
from threelane.worker.doubt.sample import EVERY_MS, FRESH_MS, HALF_LIFE_MS, IN_DOUBT_MS, is_chosen, measured
from threelane.worker.gateway.context import LastAccepted
from threelane.worker.gateway.outcome import GATEWAY_REMEMBERS, NO_LOOK_UP, Known, LookUp

SINCE = 1_800_000_000_000
SECOND = 1_000
DELAYS = (5.0, 30.0, 120.0, 300.0, 900.0)
LONGEST = 1_355 * SECOND
NOT_FOUND, FAILED, FOUND = LookUp(Known.NOT_FOUND), LookUp(Known.FAILED), LookUp(Known.FOUND, "g" * 32, "003")
AGAIN = Unresolved.LOOK_UP_AGAIN


def evidence(
    delay: int = 2 * SECOND, learned: int = 4, witness: int = 3, opened_at: int = 0, **sample: int
) -> Evidence:
    """Learned and a witness at so many seconds after the doubt began."""
    seen = Visibility(delay, SINCE + learned * SECOND, SINCE + witness * SECOND, **sample)  # type: ignore[arg-type]
    return Evidence.of(seen, DELAYS, opened_at)


NOTHING = Evidence.of(Visibility(), DELAYS, 0)


def doubt(**changes: object) -> Doubt:
    one = Doubt("1" * 32, SINCE, 0, 0, False, 0, "resend", SINCE + DAY)
    return one._replace(**changes)  # type: ignore[arg-type]


# fmt: off
PROOFS = [
    # evidence, seconds since the request ended, whether a 104 counts
    (NOTHING,                              1_354, False),
    (NOTHING,                              1_355, True),
    (evidence(),                           5,     False),  # three times two seconds
    (evidence(),                           6,     True),
    (evidence(delay=1),                    4,     False),  # never sooner than this
    (evidence(delay=1),                    5,     True),
    (evidence(delay=0),                    60,    False),  # never measured
    (evidence(witness=1),                  60,    False),  # its request may have begun before the other's arrived
    (evidence(witness=-50),                600,   False),
    (evidence(opened_at=SINCE + 4_000),    60,    False),  # learned before the outage
    (evidence(opened_at=SINCE + 3_999),    60,    True),
    (evidence(delay=1_000 * SECOND),       1_354, False),  # never later than the configured maximum
    (evidence(delay=1_000 * SECOND),       1_355, True),
    (evidence(),                           4 + OLD_MS // SECOND,     True),
    (evidence(),                           5 + OLD_MS // SECOND,     False),  # learned too long ago
]
# fmt: on


@pytest.mark.parametrize(("known", "seconds", "proves"), PROOFS)
def test_not_found_counts_when_later_messages_are_found_and_the_grace_is_over(
    known: Evidence, seconds: int, proves: bool
) -> None:
    """Otherwise only after the configured maximum."""
    assert proves == known.proves(SINCE, SINCE + seconds * SECOND)


@given(
    delay=some.integers(0, 10**7),
    learned=some.integers(-2_000, 2_000),
    witness=some.integers(-2_000, 2_000),
    opened=some.integers(-2_000, 2_000),
    waited=some.integers(0, LONGEST - 1),
)
def test_before_the_maximum_nothing_counts_without_all_three(
    delay: int, learned: int, witness: int, opened: int, waited: int
) -> None:
    """A measured delay, a later message that was found, and time enough."""
    known = evidence(delay, learned, witness, SINCE + opened * SECOND)
    if known.proves(SINCE, SINCE + waited):
        assert delay > 0
        assert learned > opened
        assert witness * SECOND > MARGIN_MS
        assert waited >= max(SHORTEST_MS, min(LONGEST, 3 * delay))


@given(waited=some.integers(0, 2 * LONGEST), delay=some.integers(0, 10**6))
def test_the_next_look_up_is_later_and_never_misses_the_maximum(waited: int, delay: int) -> None:
    """A look-up that is late does not shift the others."""
    now = SINCE + waited
    for known in (NOTHING, evidence(delay, learned=waited // SECOND)):
        at = known.next_look_up(SINCE, now)
        assert now < at
        assert at <= SINCE + LONGEST or waited >= LONGEST - 1


def test_look_ups_follow_the_configured_delays_while_nothing_is_known() -> None:
    """Counted from the end of the request."""
    times, now = [], SINCE
    for _ in range(5):
        now = NOTHING.next_look_up(SINCE, now)
        times.append((now - SINCE) // SECOND)
    assert [5, 35, 155, 455, 1_355] == times


# fmt: off
LAGS = [  # the sample's acceptance and its last look-up in vain, seconds; whether look-ups are known to be late
    (0,  0,  False),  # there is none
    (-3, 2,  True),   # accepted before, and still not found
    (2,  3,  False),  # accepted later, and not missed for longer than usual
    (2,  5,  True),   # for longer than ever lately
]
# fmt: on


@pytest.mark.parametrize(("answered", "unseen", "lags"), LAGS)
def test_look_ups_are_late_if_a_sample_is_not_found_in_its_time(answered: int, unseen: int, lags: bool) -> None:
    """What is true of it is true of a refused message of that time."""
    times = {"sample_answered": SINCE + answered * SECOND, "sample_unseen": SINCE + unseen * SECOND} if unseen else {}
    assert lags == evidence(**times).lags(SINCE, SINCE + 6 * SECOND)


# What follows.


def after(one: Doubt, seconds: int, known: Evidence | None = None, answer: LookUp = NOT_FOUND) -> NextStep:
    return next_step(one, answer, known or evidence(), "unknown", SINCE + seconds * SECOND)


def at(seconds: float) -> int:
    return SINCE + int(seconds * SECOND)


def ended(to: Status, code: str, owner: str, reason: str = "") -> NextStep:
    return NextStep(to, at(6), True, code, reason or code, owner)


# fmt: off
STEPS = [
    (doubt(),                                  6,  NextStep(Status.QUEUED, at(6), True)),
    (doubt(on_doubt="hold"),                   6,  NextStep(AGAIN, at(6) + DAY, True)),
    (doubt(on_doubt="drop"),                   6,  ended(Status.DEAD, "in_doubt", "producer", "dropped_in_doubt")),
    (doubt(on_doubt=""),                       6,  ended(Status.UNKNOWN, "disowned", "gateway")),
    (doubt(was_resent=True),                   6,  ended(Status.UNKNOWN, "in_doubt_again", "gateway")),
    (doubt(was_resent=True, lapses=1),         6,  ended(Status.UNKNOWN, "in_doubt_again", "gateway")),
    (doubt(was_resent=True, lapses=2),         6,  ended(Status.UNKNOWN, "worker_lost", "operator")),
    (doubt(was_resent=True, on_doubt="drop"),  6,  ended(Status.DEAD, "in_doubt", "producer", "dropped_in_doubt")),
    (doubt(was_resent=True),                   5,  NextStep(AGAIN, at(6.25), True)),
    (doubt(),                                  5,  NextStep(AGAIN, at(6.25), True)),
    (doubt(retry_at=at(3)),                    3,  NextStep(Status.QUEUED, at(3), True)),
    (doubt(retry_at=at(3), was_resent=True),   3,  NextStep(Status.QUEUED, at(3), True)),
    (doubt(retry_at=at(3), on_doubt="drop"),   3,  NextStep(Status.QUEUED, at(3), True)),
    (doubt(retry_at=at(9)),                    3,  NextStep(AGAIN, at(9), True)),   # made due when the breaker closed
    (doubt(retry_at=at(1)),                    1,  NextStep(AGAIN, at(2), True)),   # the usual delay is not over
]
# fmt: on


@pytest.mark.parametrize(("one", "seconds", "expected"), STEPS)
def test_what_is_proven_not_to_be_there_is_sent_once_more_or_ends(one: Doubt, seconds: int, expected: NextStep) -> None:
    """As its caller chose; after one resend, as the operator did; after a refusal it is an ordinary retry."""
    assert expected == after(one, seconds)


@pytest.mark.parametrize("one", [doubt(is_cancelled=True), doubt(is_cancelled=True, retry_at=at(3))])
def test_a_cancelled_message_stays_in_doubt_for_the_longest_grace(one: Doubt) -> None:
    """Nothing waits for the proof, as it is not sent again; if it turns up, it is stopped, or its true end is known."""
    last = LONGEST // SECOND
    assert {AGAIN} == {after(one, seconds).to for seconds in (3, 6, 60, last - 1)}
    assert at(last) == after(one, last - 1).at
    assert Status.QUEUED == after(one, last).to, "which the cancel makes cancelled"


def test_a_second_doubt_may_be_kept_for_the_operator() -> None:
    """A dead letter can be redriven, and an unknown message cannot."""
    step = next_step(doubt(was_resent=True), NOT_FOUND, NOTHING, "dead", SINCE + LONGEST)
    assert (Status.DEAD, "in_doubt_again") == (step.to, step.code)


@pytest.mark.parametrize("answer", [FAILED, LookUp(Known.NO_STATUS, status="001")])
@pytest.mark.parametrize("one", [doubt(), doubt(was_resent=True), doubt(retry_at=at(1)), doubt(on_doubt="")])
def test_a_look_up_that_proves_nothing_is_repeated(one: Doubt, answer: LookUp) -> None:
    """However long the message has been in doubt, and however little it would take to be sure."""
    for seconds in (1, 60, 2 * 1_355):
        step = after(one, seconds, answer=answer)
        assert (AGAIN, False, True) == (step.to, step.counts, step.at >= at(seconds) + 5 * SECOND)


def test_a_refusal_waits_for_look_ups_that_are_late_but_not_for_ever() -> None:
    """Until the sample is found, and at most as long as any other doubt."""
    late = evidence(sample_answered=SINCE - SECOND, sample_unseen=SINCE + 5 * SECOND)
    one = doubt(retry_at=at(3))
    assert NextStep(AGAIN, at(7), counts=True) == after(one, 6, late)
    assert Status.QUEUED == after(one, 1_355, late).to


def test_without_look_ups_a_message_waits_for_its_receipt() -> None:
    """Until its validity and the grace are over."""
    ends = SINCE + DAY + LONGEST
    assert NextStep(AGAIN, ends) == next_step(doubt(), NO_LOOK_UP, NOTHING, "unknown", ends - 1)
    step = next_step(doubt(), NO_LOOK_UP, NOTHING, "unknown", ends)
    assert (Status.UNKNOWN, "no_look_up", Owner.GATEWAY) == (step.to, step.code, step.owner)


def test_what_the_gateway_has_forgotten_is_never_sent_again() -> None:
    """After six days 104 says nothing any more."""
    step = next_step(doubt(), NOT_FOUND, evidence(), "dead", SINCE + GATEWAY_REMEMBERS + 1)
    assert (Status.UNKNOWN, "forgotten") == (step.to, step.code)


# The sample.


def test_a_sample_is_chosen_once_a_minute_and_once_a_second_while_something_is_in_doubt() -> None:
    """While nothing is in doubt it must be fresh, or its delay would not be measured."""
    seen = Visibility(chosen_at=SINCE, witness_began=SINCE)
    fresh = LastAccepted("m", SINCE + EVERY_MS - 100, SINCE + EVERY_MS)
    old = LastAccepted("m", SINCE + 1, SINCE + 2)
    assert not is_chosen(fresh, seen, in_doubt=False, now=SINCE + EVERY_MS - 1)
    assert is_chosen(fresh, seen, in_doubt=False, now=SINCE + EVERY_MS)
    assert not is_chosen(old, seen, in_doubt=False, now=SINCE + EVERY_MS)
    assert is_chosen(old, seen, in_doubt=True, now=SINCE + IN_DOUBT_MS)
    assert not is_chosen(old, seen, in_doubt=True, now=SINCE + IN_DOUBT_MS - 1)
    known = seen._replace(witness_began=SINCE + 1)
    assert not is_chosen(old, known, in_doubt=True, now=SINCE + EVERY_MS)  # it would show nothing new


def test_the_delay_is_measured_from_the_acceptance_until_the_look_up_that_found_it() -> None:
    """The largest one counts and halves every ten minutes."""
    seen = Visibility(4_000, SINCE - HALF_LIFE_MS, SINCE - 90, "m", SINCE - 50, SINCE, SINCE + 500)
    assert {Sight.DELAY: 3_000, Sight.LEARNED: SINCE + 3_000, Sight.WITNESS: SINCE - 50} == measured(
        seen, FOUND, SINCE + 3_000
    )
    assert 2_000 > measured(seen, FOUND, SINCE + 700)[Sight.DELAY] > 1_990


def test_a_sample_that_was_old_when_it_was_first_looked_up_measures_nothing() -> None:
    """It may have been visible for long; that it was found is a fact all the same."""
    seen = Visibility(700, SINCE, 0, "m", SINCE - 50, SINCE)
    found = measured(seen, FOUND, SINCE + FRESH_MS + 1)
    assert (698, SINCE - 50) == (found[Sight.DELAY], found[Sight.WITNESS])


@pytest.mark.parametrize(("age", "wait"), [(0, 250), (2_000, 500), (30_000, 7_500), (600_000, 30_000)])
def test_a_sample_that_is_not_found_is_looked_up_at_growing_intervals(age: int, wait: int) -> None:
    """So that the delay is known to within a quarter."""
    seen = Visibility(sample="m", sample_answered=SINCE)
    now = SINCE + age
    assert {Sight.NEXT: now + wait, Sight.UNSEEN: now} == measured(seen, NOT_FOUND, now)
    assert {Sight.NEXT: now + wait} == measured(seen, FAILED, now)  # which shows nothing


def test_visibility_is_read_from_its_fields() -> None:
    """In the order of the tuple; what is not stored is not known."""
    assert len(READ) == len(Visibility._fields)
    assert Visibility() == Visibility.read([None] * len(READ))
    numbers = [b"1", b"2", b"3", b"m", b"5", b"6", b"7", b"8", b"9"]
    assert Visibility(1, 2, 3, "m", 5, 6, 7, 8, 9) == Visibility.read(numbers)
