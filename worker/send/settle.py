"""Settle: records the results of attempts whose messages still have the attempt's token."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys, texted
from threelane.store.keys import HERE, RecordKey, Space, TextedKey
from threelane.store.record import Field
from threelane.store.scripts import Item, script, texts
from threelane.store.states import AT_REST, Status
from threelane.store.suppression import CONFIRMATION, Entry
from threelane.store.suppression import encode as encode_entry
from threelane.store.tally import Count
from threelane.worker.account.hold import OF_PRODUCER, Hold
from threelane.worker.account.hold import encode as encode_hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.summary import short
from threelane.worker.process.settings import Keeping
from threelane.worker.send.claim import Claimed
from threelane.worker.send.judge import Decision
from threelane.worker.send.unsent import is_unsent

STRUCK_OUT_MS = 90 * 24 * 3600 * 1000  # a number may be reassigned to another person


class Holding(Item, frozen=True):
    """A hold as JSON, its scope, and what it was learned from; see Hold."""

    scope: str
    hold: str
    at: int
    lasts_ms: int
    stale_ms: int
    needs: int
    place: int  # of the message that it was learned from in the list of records, from 1


class Settling(Item, frozen=True):
    """How to settle a message; "" and 0 for absent values."""

    id: str
    token: str
    to: Status
    score: int  # in the index of its new state
    keep_ms: int  # until its record is forgotten
    counts: str  # the name of a count
    entry: str  # that suppresses its number, as JSON
    attempt: int
    wait: str  # seconds
    expected: int  # since when it is to arrive; 0: it ended, or no lane 1
    sender: str
    claimed_at: int
    gateway_id: str
    values: list[str | int]  # fields and their values
    mark: str  # of its producer as the one that texted this person: texted.py
    mark_ms: int  # how long it is kept
    producer: str
    is_unsent: bool  # the gateway certainly did not take this attempt


class Settled(NamedTuple):
    """Which attempts were settled here, and the scopes that are on hold since, or no longer."""

    each: list[bool]
    held: list[str]
    lifted: list[str]
    cancelled: frozenset[int] = frozenset()  # positions of those that were cancelled during the attempt


_CANCELLED = 2  # in a reply of the script
_MAY_BE_ANSWERED = (Status.SENT, Status.IN_DOUBT)


def _settled(reply: Any) -> Settled:
    each, held, lifted = reply
    cancelled = frozenset(position for position, one in enumerate(each) if one == _CANCELLED)
    return Settled([one > 0 for one in each], texts(held), texts(lifted), cancelled)


@script(__file__, _settled)
def _settle(
    *,
    records: Sequence[RecordKey],
    texted: Sequence[TextedKey],
    now: int,
    assumes: bool,
    is_near: bool,
    holds: Sequence[Holding],
    settlements: Sequence[Settling],
) -> None:
    """Settle attempts and set or lift holds; returns which were settled, and those holds."""


class Settlement(msgspec.Struct, frozen=True):
    """One attempt with its outcome and the decision."""

    claimed: Claimed
    outcome: AttemptOutcome
    decision: Decision


async def settle(
    client: redis.asyncio.Redis,
    settlements: Sequence[Settlement],
    keeping: Keeping,
    now: int,
    *,
    assumes: bool = False,
    is_near: bool = False,
    space: Space = HERE,
) -> Settled:
    """Settle attempts at messages of one account.

    False for each that was settled elsewhere first: by a receipt, or by a lapsed lease.
    ``assumes``: the API reports no charges, so the estimate counts as the charge of a sent message.
    ``is_near``: Redis is near its memory ceiling, so what is sent keeps no text.
    """
    learned = {
        place: replace(one.decision.hold, at=now) for place, one in enumerate(settlements, 1) if one.decision.hold
    }
    marks = [_mark(one, now, space) for one in settlements]
    settled = await _settle.within(space).run(
        client,
        records=keys.records(one.claimed.id for one in settlements),
        texted=[key for key, _ in marks],
        now=now,
        assumes=assumes,
        is_near=is_near,
        holds=[holding(hold, place, now) for place, hold in learned.items()],
        settlements=[_settling(one, keeping, now, field) for one, (_, field) in zip(settlements, marks, strict=True)],
    )
    log_held(settled.held, list(learned.values()))
    for scope in settled.lifted:
        logs.event("resumed", level=30, scope=scope.partition(":")[0], by="probe")
    _log(settlements, settled)
    return settled


def log_held(scopes: Sequence[str], learned: Sequence[Hold]) -> None:
    """Log the scopes that are on hold from now, each with its cause."""
    causes = {hold.scope: hold for hold in learned}
    for scope in scopes:
        hold = causes[scope.partition(OF_PRODUCER)[0]]
        logs.event("held", level=30, scope=scope.partition(":")[0], code=hold.code, reason=hold.cause)


def holding(hold: Hold, place: int, now: int) -> Holding:
    """Return a hold as a script takes it; ``place`` is that of its message in the script's list, from 1."""
    entry = encode_hold(hold, now).decode()
    return Holding(hold.scope, entry, hold.at, hold.lasts_ms, hold.stale_ms, hold.needs, place)


def _mark(one: Settlement, now: int, space: Space) -> tuple[TextedKey, str]:
    """Return where to note who texted the person; nowhere for a confirmation, or if the message was surely not sent."""
    if one.decision.to not in _MAY_BE_ANSWERED or one.claimed.message.producer == CONFIRMATION:
        return texted.no_key(space), ""
    return texted.mark(one.claimed.message.to, one.claimed.message.sender, _expected(one, now), space)


def _expected(one: Settlement, now: int) -> int:
    """Return when the message reaches its recipient: later than now if the gateway schedules it."""
    return max(now, one.claimed.message.due_at)


def _settling(one: Settlement, keeping: Keeping, now: int, mark: str) -> Settling:
    claimed, decision = one.claimed, one.decision
    values = _values(one, now)
    sent = decision.to is Status.SENT
    ended = decision.to in AT_REST
    rests = sent or ended
    expected = _expected(one, now)
    return Settling(
        claimed.id,
        claimed.token,
        decision.to,
        expected + keeping.first_poll if sent else decision.at,
        keeping.keep + expected - now if rests else 0,
        _count(decision, claimed.message.lane),
        encode_entry(_suppression(decision, now)).decode() if decision.suppresses else "",
        claimed.attempt - (not decision.spends_attempt),
        f"{decision.wait_seconds:.3f}" if decision.wait_seconds else "",
        max(claimed.accepted_at, claimed.message.due_at) if claimed.message.lane == 1 and not ended else 0,
        claimed.message.sender,
        claimed.claimed_at,
        one.outcome.gateway_id,
        values,
        mark,
        texted.KEPT_MS + expected - now if mark else 0,
        claimed.message.producer,
        is_unsent(one.outcome, decision.rule),
    )


def _values(one: Settlement, now: int) -> list[str | int]:
    decision, rule = one.decision, one.decision.rule
    values: list[str | int] = []
    if decision.to is Status.SENT:
        values += [Field.GATEWAY_ID, one.outcome.gateway_id, Field.SENT, now]
    if decision.to is Status.IN_DOUBT:
        values += [Field.DOUBTED, now]
    if decision.retry_at:
        values += [Field.RETRY, decision.retry_at]
    if one.outcome.kind is OutcomeKind.INTERNAL_ERROR:
        values += [Field.FAULTS, one.claimed.faults + 1]
    if rule:
        values += [
            Field.CODE,
            decision.code,
            Field.REASON,
            rule.reason,
            Field.TEXT,
            decision.text[:200],
            Field.OWNER,
            rule.owner,
        ]
    if decision.to in AT_REST:
        values += [Field.ENDED, now]
    return values


_COUNTS = {
    Status.SENT: Count.SENT,
    Status.QUEUED: Count.PUT_BACK,
    Status.IN_DOUBT: Count.IN_DOUBT,
    Status.EMULATED: Count.EMULATED,
    Status.EXPIRED: Count.EXPIRED,
}
"""The counters of attempts that ended in neither a retry nor a dead letter."""


def _count(decision: Decision, lane: int) -> str:
    """Return the counter's name; its parts come from the policy tables, so the number of counters is limited."""
    rule = decision.rule
    if rule is None:
        return ""
    if decision.to is Status.DEAD:
        return Count.DEAD.field(rule.code, rule.owner)
    if decision.retry_at:
        return Count.VERIFIED.field(lane, rule.code)
    if decision.to is Status.SCHEDULED:
        return Count.RETRIED.field(lane, rule.code)
    return _COUNTS[decision.to].field(lane, rule.code)


def _suppression(decision: Decision, now: int) -> Entry:
    strikes = max(1, decision.rule.strikes if decision.rule else 1)
    return Entry(
        source=f"code {decision.code}",
        code=decision.code,
        evidence=decision.text[:120],
        first=now,
        last=now,
        expires=now + STRUCK_OUT_MS if strikes > 1 else 0,
        needs=strikes,
    )


def _log(settlements: Sequence[Settlement], settled: Settled) -> None:
    """Log each settlement, grouped by event."""
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for position, (one, done) in enumerate(zip(settlements, settled.each, strict=True)):
        name, level, fields = _event(one) if done else ("settled_elsewhere", logging.INFO, {})
        if position in settled.cancelled:
            name, level, fields = "cancelled", logging.INFO, {"was": Status.SENDING}
        claimed = one.claimed
        grouped[name, level].append(
            {"id": claimed.id, "lane": claimed.message.lane, "attempt": claimed.attempt} | fields
        )
    for (name, level), each in grouped.items():
        logs.events(name, each, level=level)


def _event(one: Settlement) -> tuple[str, int, dict[str, Any]]:
    """Return the name, the level and the fields of a settlement's log event."""
    decision, rule = one.decision, one.decision.rule
    why = {"code": decision.code, "reason": rule.reason, "owner": rule.owner} if rule else {}
    if error := short(one.outcome):
        why["error"] = error
    match decision.to:
        case Status.SENT:
            sent = {"gateway_id": one.outcome.gateway_id, "parts": one.claimed.message.parts}
            return "sent", logging.INFO, sent | why
        case Status.SCHEDULED | Status.IN_DOUBT if decision.wait_seconds:
            return "retried", logging.INFO, {"wait_seconds": round(decision.wait_seconds, 3)} | why
        case Status.QUEUED:
            return "put_back", logging.INFO, why
        case _:
            return str(decision.to), logging.WARNING, why
