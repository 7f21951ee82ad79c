"""From an attempt's outcome to what becomes of the message; the clock and the dice are given."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.contract.message import Message
from threelane.store.states import MAY_FOLLOW, Status
from threelane.worker.account.hold import Hold
from threelane.worker.gateway.outcome import NOT_TRIED, AttemptOutcome, OutcomeKind
from threelane.worker.policy.legacy import LEGACY, TRANSPORT
from threelane.worker.policy.rule import LATER, SOON, Scope
from threelane.worker.send.judge import Decision, Patience, Tried, backoff, judge

NOW = 1_800_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
QUEUED_AT = NOW - 5_000
CODES = sorted(LEGACY.rules)
OUTCOMES = [
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="7e1c40b2a9d84f3f8a5b6c7d8e9f0011"),
    NOT_TRIED,
    *(AttemptOutcome(kind) for kind in (OutcomeKind.NOT_REACHED, OutcomeKind.LOST, OutcomeKind.UNREADABLE)),
    *(
        AttemptOutcome(OutcomeKind.REFUSED, code=code, text="so it says")
        for code in [*CODES, "006", "199", "299", "777", "none"]
    ),
]


def tried(attempt: int = 1, first_tried_at: int = NOW, expires_in: int = DAY, **fields: Any) -> Tried:
    sms = Message(id="4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b", to="27999500001", expires_at=NOW + expires_in, **fields)
    return Tried(sms, attempt, first_tried_at, QUEUED_AT)


def judged(
    outcome: AttemptOutcome, one: Tried | None = None, patience: Patience | None = None, seed: int = 1
) -> Decision:
    return judge(one or tried(), outcome, LEGACY, patience or Patience(), NOW, Random(seed))


def refused(code: str, text: str = "so it says") -> AttemptOutcome:
    return AttemptOutcome(OutcomeKind.REFUSED, code=code, text=text)


def test_an_accepted_message_is_sent() -> None:
    """Nothing else is recorded: no code, no hold, no rule."""
    assert Decision(Status.SENT, NOW) == judged(OUTCOMES[0])


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: f"{one.kind}-{one.code}")
def test_every_outcome_leads_to_a_state_that_may_follow_sending(outcome: AttemptOutcome) -> None:
    """A decision that the tables forbid would be dropped by the script, and the lease would run out."""
    assert judged(outcome).to in MAY_FOLLOW[Status.SENDING]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: f"{one.kind}-{one.code}")
def test_the_same_arguments_give_the_same_decision(outcome: AttemptOutcome) -> None:
    """Only the arguments count: it has no clock and no random numbers of its own."""
    assert judged(outcome) == judged(outcome)


@pytest.mark.parametrize("outcome", [NOT_TRIED, *map(refused, ("001", "002", "004", "007", "108", "130", "006"))])
def test_an_attempt_that_never_left_costs_the_message_nothing(outcome: AttemptOutcome) -> None:
    """It goes back to the place in its lane that it had, and its number of attempts stays."""
    decision = judged(outcome)
    assert (Status.QUEUED, QUEUED_AT, False) == (decision.to, decision.at, decision.spends_attempt)


PREFIX_HOLD = Hold("prefix:2799950", "114", "cannot_route", lasts_ms=300_000, probe_ms=60_000, needs=5)
# fmt: off
CORE = {
    "901": (Status.SCHEDULED, None, False),
    "121": (Status.DEAD, None, True), "122": (Status.DEAD, None, True), "128": (Status.DEAD, None, True),
    "301": (Status.DEAD, Hold(Scope.ACCOUNT, "301", "no_credit"), False),
    "003": (Status.SCHEDULED, None, False), "005": (Status.SCHEDULED, None, False),
    "130": (Status.QUEUED, Hold(Scope.ACCOUNT, "130", "mt_limit", NOW + HOUR), False),
    "001": (Status.QUEUED, Hold(Scope.CREDENTIALS, "001", "authentication_failed", lasts_ms=30_000), False),
    "002": (Status.QUEUED, Hold(Scope.CREDENTIALS, "002", "unknown_user", lasts_ms=30_000), False),
    "007": (Status.QUEUED, Hold(Scope.CREDENTIALS, "007", "ip_lockdown", lasts_ms=30_000), False),
    "108": (Status.QUEUED, Hold(Scope.CREDENTIALS, "108", "invalid_api_id", lasts_ms=30_000), False),
    "105": (Status.DEAD, None, True), "106": (Status.DEAD, None, False),
    "114": (Status.DEAD, PREFIX_HOLD, False),
   
    "165": (Status.DEAD, Hold(Scope.ACCOUNT, "165", "wrong_version_header"), False),
    "103": (Status.IN_DOUBT, None, False), "777": (Status.DEAD, None, False), "none": (Status.DEAD, None, False),
}
# fmt: on


@pytest.mark.parametrize(("code", "expected"), CORE.items())
def test_a_code_stops_exactly_its_scope(code: str, expected: tuple[Status, Hold | None, bool]) -> None:
    """The message's next state, what is held for all, and whether the number is suppressed."""
    decision = judged(refused(code))
    assert expected == (decision.to, decision.hold, decision.suppresses)


@pytest.mark.parametrize("code", sorted(CORE))
def test_the_gateway_s_text_is_kept_with_its_own_code(code: str) -> None:
    """Also for a code that no table lists: who looks into it needs the number, not our word for it."""
    decision = judged(refused(code, "the gateway's words"))
    assert (code, "the gateway's words") == (decision.code, decision.text)


@pytest.mark.parametrize("kind", [OutcomeKind.LOST, OutcomeKind.UNREADABLE])
def test_an_answer_that_cannot_be_known_leaves_the_message_in_doubt(kind: OutcomeKind) -> None:
    """It is looked up a little later, and never simply sent again, however often it was tried."""
    decision = judged(AttemptOutcome(kind), tried(attempt=1), Patience(first_probe_seconds=7))
    assert (Status.IN_DOUBT, NOW + 7 * SECOND, kind) == (decision.to, decision.at, decision.code)


# The moment that code 130 names.

# fmt: off
LIMITS = [
    (f"Maximum MT limit exceeded until {NOW // 1000 + 90}",         NOW + 90 * SECOND),
    (f"until {NOW // 1000 + 1}",                                    NOW + SECOND),
    (f"limit of 123456789 messages used up until {NOW // 1000 + 5}.", NOW + 5 * SECOND),
    (f"until {NOW // 1000 + 34 * 86_400}",                          NOW + 34 * DAY),
    (f"until {NOW // 1000 + 36 * 86_400}",                          NOW + 35 * DAY),
    ("until 99999999999",                                           NOW + 35 * DAY),
    (f"until {NOW // 1000}",                                        NOW + MINUTE),
    (f"until {NOW // 1000 - 1}",                                    NOW + MINUTE),
    ("until 1767225600",                                            NOW + HOUR),
    ("Maximum MT limit exceeded",                                   NOW + HOUR),
    ("until tomorrow, 12345",                                       NOW + HOUR),
    ("until 99999999999999999999",                                  NOW + HOUR),
    ("",                                                            NOW + HOUR),
]
# fmt: on


@pytest.mark.parametrize(("text", "until"), LIMITS)
def test_a_limit_holds_until_the_moment_it_names_if_that_is_plausible(text: str, until: int) -> None:
    """To come: exactly then; just past: a minute; missing: an hour; beyond any month: 35 days."""
    hold = judged(refused("130", text)).hold
    assert hold
    assert (until, Scope.ACCOUNT) == (hold.until, hold.scope)


@given(some.text())
def test_no_text_of_a_limit_holds_the_account_for_ever_or_not_at_all(text: str) -> None:
    """``until`` 0 would mean: until a person comes."""
    hold = judged(refused("130", text)).hold
    assert hold
    assert NOW < hold.until <= NOW + 35 * DAY


# Waits.


@given(seed=some.integers(), attempt=some.integers(1, 8))
def test_each_wait_is_longer_than_the_one_before(seed: int, attempt: int) -> None:
    """As long as the curve grows, for every random number."""
    rng = Random(seed)
    assert backoff(SOON, attempt, rng) < backoff(SOON, attempt + 1, rng)


@given(seed=some.integers(), attempt=some.integers(1, 1_000_000))
def test_a_wait_is_its_step_of_the_curve_and_at_most_one_first_step_more(seed: int, attempt: int) -> None:
    """2, 4, 8 seconds to 5 minutes; 1, 2, 4 minutes to an hour."""
    for curve, first, most in ((SOON, 2, 300), (LATER, 60, 3600)):
        step = min(first * 2 ** min(attempt - 1, 30), most)
        assert step <= backoff(curve, attempt, Random(seed)) <= step + first


def test_a_thousand_that_failed_together_do_not_come_back_together() -> None:
    """Jitter: no tenth of a second gets more than a tenth of them."""
    rng = Random(7)
    slots = [int(backoff(SOON, 3, rng) * 10) for _ in range(1_000)]
    assert max(slots.count(slot) for slot in set(slots)) < 100


@pytest.mark.parametrize(("attempt", "to"), [(1, Status.SCHEDULED), (7, Status.SCHEDULED), (8, Status.DEAD)])
def test_an_internal_error_is_tried_eight_times_at_most(attempt: int, to: Status) -> None:
    """Then it is a dead letter with the gateway's code."""
    decision = judged(refused("901"), tried(attempt))
    assert (to, "901") == (decision.to, decision.code)


@pytest.mark.parametrize(("attempt", "to"), [(1, Status.SCHEDULED), (2, Status.DEAD)])
@pytest.mark.parametrize("code", ["003", "005", "299"])
def test_what_should_not_happen_twice_is_tried_twice_at_most(code: str, attempt: int, to: Status) -> None:
    """A session is renewed once; an unlisted batch code gets one more chance."""
    assert to == judged(refused(code), tried(attempt)).to


def test_a_gateway_out_of_reach_is_tried_for_as_long_as_the_message_is_worth_sending() -> None:
    """An outage of a day does not end a message that is valid for two."""
    assert (
        Status.SCHEDULED == judged(AttemptOutcome(OutcomeKind.NOT_REACHED), tried(attempt=5_000, expires_in=2 * DAY)).to
    )


@given(
    expires_in=some.integers(-DAY, 2 * DAY),
    attempt=some.integers(1, 50),
    seed=some.integers(),
    every=some.none() | some.floats(0.001, 100_000),
    stop_after=some.none() | some.floats(0.001, 200_000),
    outcome=some.sampled_from(
        [refused("901"), refused("003"), refused("201"), AttemptOutcome(OutcomeKind.NOT_REACHED)]
    ),
)
def test_no_retry_is_planned_for_a_time_at_which_the_message_is_worth_nothing(
    expires_in: int, attempt: int, seed: int, every: float | None, stop_after: float | None, outcome: AttemptOutcome
) -> None:
    """It is a dead letter at once, so that its caller knows in time."""
    one = tried(attempt, expires_in=expires_in, retry_every=every, stop_retrying_after=stop_after)
    decision = judged(outcome, one, seed=seed)
    if decision.to is Status.SCHEDULED:
        assert NOW <= decision.at < one.message.expires_at
        assert decision.at == NOW + int(decision.wait_seconds * 1000)
    else:
        assert (Status.DEAD, NOW) == (decision.to, decision.at)


def test_a_retry_that_would_come_at_the_very_end_is_not_planned() -> None:
    """Claim takes a message as expired from that millisecond on."""
    assert Status.DEAD == judged(refused("901"), tried(expires_in=30 * SECOND, retry_every=30)).to
    assert Status.SCHEDULED == judged(refused("901"), tried(expires_in=30 * SECOND + 1, retry_every=30)).to


# A pace that a message or a deployment sets.


@pytest.mark.parametrize(
    ("message", "deployment", "seconds"),
    [(1.5, None, 1.5), (None, 9.0, 9.0), (None, 0.2, 0.2), (1.5, 9.0, 1.5), (40.0, 9.0, 40.0), (0.0001, 9.0, 1.0)],
)
def test_a_fixed_rate_is_the_message_s_or_else_the_deployment_s(
    message: float | None, deployment: float | None, seconds: float
) -> None:
    """It does not grow with the attempts; a message of an earlier version with less than a second waits a second."""
    decisions = [
        judged(refused("901"), tried(attempt, retry_every=message), Patience(retry_every_seconds=deployment))
        for attempt in (1, 2, 7)
    ]
    assert [(seconds, NOW + int(seconds * 1000))] * 3 == [(one.wait_seconds, one.at) for one in decisions]


# fmt: off
STOPS = [  # first tried so long ago, the message's end, the deployment's end -> what becomes of it (every 10 s)
    (0,   60.0, None, Status.SCHEDULED),
    (50,  60.0, None, Status.SCHEDULED),   # in 10 s it is exactly 60: still tried
    (51,  60.0, None, Status.DEAD),
    (51,  None, 60.0, Status.DEAD),
    (51,  90.0, 60.0, Status.DEAD),        # the shorter one counts, both ways
    (51,  60.0, 90.0, Status.DEAD),
    (51,  90.0, 90.0, Status.SCHEDULED),
]
# fmt: on


@pytest.mark.parametrize(("ago", "message", "deployment", "to"), STOPS)
def test_retries_stop_by_the_message_s_limit_or_the_deployment_s(
    ago: int, message: float | None, deployment: float | None, to: Status
) -> None:
    """Counted from the first attempt; no attempt is made after that."""
    one = tried(3, first_tried_at=NOW - ago * SECOND, retry_every=10, stop_retrying_after=message)
    assert to == judged(refused("901"), one, Patience(stop_retrying_after_seconds=deployment)).to


@pytest.mark.parametrize("code", ["900", "901", "999"])
def test_an_internal_error_is_looked_up_before_its_retry(code: str) -> None:
    """The gateway may have accepted the message; an API without look-ups retries it as ever."""
    plain, decision = (judged(refused(code), patience=Patience(can_look_up=able)) for able in (False, True))
    assert (Status.SCHEDULED, 0) == (plain.to, plain.retry_at)
    assert (Status.IN_DOUBT, plain.at, plain.at) == (decision.to, decision.at, decision.retry_at)
    assert plain.wait_seconds == decision.wait_seconds
    assert plain.spends_attempt == decision.spends_attempt


@pytest.mark.parametrize("code", ["201", "003", "429"])
def test_a_refusal_that_was_surely_not_sent_is_retried_without_a_look_up(code: str) -> None:
    """It would only cost time."""
    assert Status.IN_DOUBT is not judged(refused(code), patience=Patience(can_look_up=True)).to


def test_an_internal_error_is_given_up_as_without_a_look_up() -> None:
    """After the last attempt, or when its time is over."""
    patience = Patience(can_look_up=True)
    assert Status.DEAD is judged(refused("901"), tried(8), patience).to
    assert Status.DEAD is judged(refused("901"), tried(1, expires_in=SECOND), patience).to


def test_only_the_deployment_s_end_by_time_takes_the_place_of_the_number_of_attempts() -> None:
    """Every second for a minute is sixty attempts, which no producer may have for all of its messages."""
    one = tried(59, first_tried_at=NOW - 58 * SECOND, retry_every=1, stop_retrying_after=60)
    assert Status.DEAD == judged(refused("901"), one).to
    assert Status.SCHEDULED == judged(refused("901"), one, Patience(stop_retrying_after_seconds=60)).to


@given(every=some.floats(0.0001, 604_800), stop_after=some.none() | some.floats(0.001, 604_800))
def test_no_message_is_tried_more_often_than_the_policy_allows(every: float, stop_after: float | None) -> None:
    """Whatever its producer requests: the attempts of the code, at least a second apart."""
    at, attempts = NOW, 0
    while attempts < 9:
        attempts += 1
        one = tried(
            attempts, first_tried_at=NOW, expires_in=10 * DAY, retry_every=every, stop_retrying_after=stop_after
        )
        decision = judge(one, refused("901"), LEGACY, Patience(), at, Random(1))
        if decision.to is Status.DEAD:
            break
        assert SECOND <= decision.at - at
        at = decision.at
    assert attempts <= 8


def test_a_pace_does_not_retry_codes_that_end_a_message() -> None:
    """A caller who wants retries does not want a second SMS to somebody who opted out."""
    paced = tried(1, retry_every=1, stop_retrying_after=60)
    assert [Status.DEAD, Status.IN_DOUBT] == [
        judged(one, paced).to for one in (refused("122"), AttemptOutcome(OutcomeKind.LOST))
    ]


def test_the_transport_table_decides_without_a_code_from_the_gateway() -> None:
    """Its codes are the kinds themselves, so a log line names what broke."""
    decision = judged(AttemptOutcome(OutcomeKind.NOT_REACHED, text="ClientConnectorError"))
    assert (TRANSPORT.rule_for("not_reached"), "not_reached") == (decision.rule, decision.code)


# What was surely not sent, while nothing may be sent.


@pytest.mark.parametrize(
    ("kind", "paused", "to"),
    [
        (OutcomeKind.NOT_REACHED, True, Status.QUEUED),
        (OutcomeKind.NOT_REACHED, False, Status.SCHEDULED),
        (OutcomeKind.WRONG_ADDRESS, True, Status.QUEUED),
        (OutcomeKind.WRONG_ADDRESS, False, Status.QUEUED),
    ],
)
def test_what_was_surely_not_sent_spends_no_attempt_and_waits_in_its_lane_during_an_outage(
    kind: OutcomeKind, paused: bool, to: Status
) -> None:
    """A code must go with the first probe that succeeds; a retry at a time of its own would come later."""
    decision = judge(tried(attempt=7), AttemptOutcome(kind), LEGACY, Patience(), NOW, Random(1), paused=paused)
    assert (to, False) == (decision.to, decision.spends_attempt)
    if to is Status.QUEUED:
        assert QUEUED_AT == decision.at


@pytest.mark.parametrize("kind", [OutcomeKind.LOST, OutcomeKind.UNREADABLE])
def test_an_outage_makes_no_lost_answer_a_message_that_was_not_sent(kind: OutcomeKind) -> None:
    """It may have been sent: only a look-up lets it go again."""
    decision = judge(tried(), AttemptOutcome(kind), LEGACY, Patience(), NOW, Random(1), paused=True)
    assert (Status.IN_DOUBT, True) == (decision.to, decision.spends_attempt)


def test_an_outage_does_not_prolong_a_limit_that_the_caller_set() -> None:
    """A code that is worth nothing after a minute is not sent after two."""
    one = tried(first_tried_at=NOW - 61 * SECOND, stop_retrying_after=60)
    decision = judge(one, AttemptOutcome(OutcomeKind.NOT_REACHED), LEGACY, Patience(), NOW, Random(1), paused=True)
    assert Status.DEAD == decision.to


@pytest.mark.parametrize(("asked", "seconds"), [(0.0, 2), (30.0, 30), (1.5, 1.5), (1e9, 3600)])
def test_a_rate_limit_holds_the_account_for_as_long_as_the_gateway_requests(asked: float, seconds: float) -> None:
    """Without Retry-After for two seconds, and never longer than an hour; the message keeps its place."""
    decision = judged(AttemptOutcome(OutcomeKind.REFUSED, code="429", retry_after_seconds=asked))
    hold = Hold(Scope.ACCOUNT, "429", "rate_limited", NOW + int(seconds * SECOND))
    assert (Status.QUEUED, QUEUED_AT, hold, False) == (
        decision.to,
        decision.at,
        decision.hold,
        decision.spends_attempt,
    )
