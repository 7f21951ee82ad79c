"""Judge: decides a message's next state from an attempt's outcome."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

from tenacity import RetryCallState
from tenacity.wait import wait_base

from threelane.contract.fields import LEAST_RETRY_SECONDS
from threelane.contract.message import Message
from threelane.store.states import Status
from threelane.worker.account.hold import REFUSED_MS, Hold, scopes_of, sender_scope
from threelane.worker.gateway.outcome import FAULTS, LONGEST_RETRY_AFTER_SECONDS, AttemptOutcome, OutcomeKind
from threelane.worker.policy.legacy import TRANSPORT
from threelane.worker.policy.ours import INTERNAL_ERROR, OURS
from threelane.worker.policy.rule import Rule, Scope, Table, Verdict
from threelane.worker.process.settings import CAUTIOUS, Inference
from threelane.worker.send.unsent import is_unsent

MINUTE, HOUR = 60_000, 3600_000
FARTHEST_HOLD = 35 * 24 * HOUR
_UNIX_TIME = re.compile(r"\b(\d{9,11})\b")


@dataclass(frozen=True, slots=True)
class Patience:
    """The default pace of retries (None: the rule's back-off and number of attempts), and what it takes to hold."""

    retry_every_seconds: float | None = None
    stop_retrying_after_seconds: float | None = None
    first_probe_seconds: float = 5.0
    inference: Inference = CAUTIOUS
    can_look_up: bool = False  # the API finds a message by our id


@dataclass(frozen=True, slots=True)
class Tried:
    """What a decision needs to know of one attempt; times in milliseconds."""

    message: Message
    attempt: int
    first_tried_at: int
    queued_at: int
    faults: int = 0  # earlier attempts in which our own code failed
    may_move: bool = False  # its stand-by takes what the gateway refuses because of the account


@dataclass(frozen=True, slots=True)
class Decision:
    """The message's next state, its time (ms), and the effects beyond the message."""

    to: Status
    at: int
    rule: Rule | None = None
    wait_seconds: float = 0.0
    hold: Hold | None = None
    suppresses: bool = False
    spends_attempt: bool = True
    text: str = field(default="", repr=False)
    code: str = ""
    retry_at: int = 0  # of a refused message in doubt: when to retry it if no look-up finds it


def judge(
    tried: Tried,
    outcome: AttemptOutcome,
    table: Table,
    patience: Patience,
    now: int,
    rng: Random,
    *,
    paused: bool = False,
) -> Decision:
    """Return the decision for an outcome; pure: the same arguments give the same decision.

    ``paused``: the breaker is open, so what was surely not sent waits in its lane until the gateway answers.
    """
    if outcome.kind is OutcomeKind.ACCEPTED:
        return Decision(Status.SENT, now)
    if outcome.kind is OutcomeKind.EMULATED:
        return Decision(Status.EMULATED, now)
    if outcome.kind is OutcomeKind.NOT_TRIED:
        return Decision(Status.QUEUED, tried.queued_at, spends_attempt=False)
    rule = _rule(outcome, table)
    code = outcome.code or rule.code
    if rule is INTERNAL_ERROR:
        return _blamed(tried, outcome, rule, now)
    if outcome.kind is OutcomeKind.WRONG_ADDRESS or (
        paused and outcome.kind is OutcomeKind.NOT_REACHED and not _is_over(tried, patience, now)
    ):
        return _put_back(tried, outcome, rule, code)
    if rule.verdict is Verdict.RETRY and rule.scope is Scope.ACCOUNT and rule.hold_seconds:  # we were too fast
        seconds = min(outcome.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS) or rule.hold_seconds
        hold = Hold(Scope.ACCOUNT, code, rule.reason, now + int(seconds * 1000))
        return _put_back(tried, outcome, rule, code, hold)
    match rule.verdict:
        case Verdict.RETRY | Verdict.REAUTH:
            return _retry(tried, outcome, rule, code, patience, now, rng)
        case Verdict.HOLD:
            scope = rule.scope if rule.scope is Scope.CREDENTIALS else Scope.ACCOUNT
            until = _until(outcome.text, now) if code == "130" else 0
            hold = Hold(scope, code, rule.reason, until, lasts_ms=REFUSED_MS if scope is Scope.CREDENTIALS else 0)
            return _put_back(tried, outcome, rule, code, hold)
        case Verdict.UNSURE:
            at = now + int(patience.first_probe_seconds * 1000)
            return Decision(Status.IN_DOUBT, at, rule, code=code, text=outcome.text)
    evidence = _hold(tried.message, rule, code, patience.inference, now) if rule.verdict is Verdict.STOP else None
    if evidence and evidence.scope == Scope.ACCOUNT and tried.may_move and is_unsent(outcome, rule):
        return _put_back(tried, outcome, rule, code, evidence)
    return Decision(
        Status.DEAD,
        now,
        rule,
        hold=evidence,
        suppresses=rule.verdict is Verdict.SUPPRESS or rule.strikes > 0,
        code=code,
        text=outcome.text,
    )


def _rule(outcome: AttemptOutcome, table: Table) -> Rule:
    if outcome.kind is OutcomeKind.REFUSED:
        return table.rule_for(outcome.code)
    return (OURS if outcome.kind in FAULTS else TRANSPORT).rule_for(outcome.kind)


def _blamed(tried: Tried, outcome: AttemptOutcome, rule: Rule, now: int) -> Decision:
    """Return the decision after our own code failed at a message, which surely was not sent."""
    seconds = rule.wait(_after(1))
    at = now + int(seconds * 1000)
    if tried.faults + 1 >= rule.most_attempts or at >= tried.message.expires_at:
        return Decision(Status.DEAD, now, rule, code=rule.code, text=outcome.text)
    return Decision(Status.SCHEDULED, at, rule, wait_seconds=seconds, code=rule.code, text=outcome.text)


def _put_back(tried: Tried, outcome: AttemptOutcome, rule: Rule, code: str, hold: Hold | None = None) -> Decision:
    """Return the decision for a message that surely was not sent: it keeps its place and its attempts."""
    return Decision(Status.QUEUED, tried.queued_at, rule, hold=hold, spends_attempt=False, code=code, text=outcome.text)


def _hold(message: Message, rule: Rule, code: str, inference: Inference, now: int) -> Hold | None:
    """Return the hold that a dead letter causes, of the account, or is evidence for: of its sender or its prefix."""
    lasts_ms = int(rule.hold_seconds * 1000)
    match rule.scope:
        case Scope.ACCOUNT:
            return Hold(Scope.ACCOUNT, code, rule.reason, now + lasts_ms if lasts_ms else 0)
        case Scope.SENDER if message.sender:
            scope, needs, probe_seconds = sender_scope(message.sender, message.to), 1, inference.sender_probe_seconds
        case Scope.PREFIX:
            scope, needs = scopes_of("", message.to)[0], inference.prefix_numbers
            probe_seconds = inference.prefix_probe_seconds
        case _:
            return None
    probe_ms = int(probe_seconds * 1000)
    return Hold(scope, code, rule.reason, lasts_ms=lasts_ms, probe_ms=probe_ms, needs=needs)


def backoff(curve: wait_base, attempt: int, rng: Random) -> float:
    """Return the seconds to wait after an attempt: the curve's value plus a jitter of up to its first step.

    The jitter is smaller than a step, so each wait is longer than the one before, and a thousand messages that
    failed together are not retried together.
    """
    first, this = (curve(_after(number)) for number in (1, attempt))
    return this + rng.uniform(0, first)


def _retry(
    tried: Tried, outcome: AttemptOutcome, rule: Rule, code: str, patience: Patience, now: int, rng: Random
) -> Decision:
    message = tried.message
    seconds = _pace(message, patience) or backoff(rule.wait, tried.attempt, rng)
    at = now + int(seconds * 1000)
    is_last = patience.stop_retrying_after_seconds is None and tried.attempt >= rule.most_attempts
    if is_last or _is_over(tried, patience, at) or at >= message.expires_at:
        return Decision(Status.DEAD, now, rule, code=code, text=outcome.text)
    look_up_first = rule.look_up_first and patience.can_look_up
    return Decision(
        Status.IN_DOUBT if look_up_first else Status.SCHEDULED,
        at,
        rule,
        wait_seconds=seconds,
        spends_attempt=rule.spends_attempt,
        code=code,
        text=outcome.text,
        retry_at=at if look_up_first else 0,
    )


def _pace(message: Message, patience: Patience) -> float | None:
    """Return the fixed seconds between attempts; earlier versions accepted messages with less than the floor."""
    if message.retry_every:
        return max(LEAST_RETRY_SECONDS, message.retry_every)
    return patience.retry_every_seconds


def _is_over(tried: Tried, patience: Patience, at: int) -> bool:
    """Return whether its caller or the deployment wants no attempt at a time: the earlier limit counts."""
    limits = (tried.message.stop_retrying_after, patience.stop_retrying_after_seconds)
    return any(limit is not None and at > tried.first_tried_at + limit * 1000 for limit in limits)


def _until(text: str, now: int) -> int:
    """Return the time that code 130 names; a minute from now if it has just passed, an hour if there is none."""
    found = _UNIX_TIME.findall(text)
    named = int(found[-1]) * 1000 if found else 0
    if named > now:
        return min(named, now + FARTHEST_HOLD)
    return now + (MINUTE if named > now - HOUR else HOUR)  # just passed by our clock: theirs may be behind


def _after(attempt: int) -> RetryCallState:
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = attempt
    return state
