"""Now: lanes, holds, credits and problems, with the actions hold and resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from threelane.contract.accounts.account import DEFAULT
from threelane.contract.refusal import Owner
from threelane.contract.schedule import MINUTE
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.story import table
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import ChangingForm, CurrentVisit, SubmittedForm, Visit
from threelane.interfaces.console.page import HOME, PageRoute
from threelane.operations import screen
from threelane.operations.age import words
from threelane.operations.explain import matched
from threelane.operations.health import SLOW_SECONDS
from threelane.operations.screen import BAD, GOOD, WARN, Screen
from threelane.store import accounts
from threelane.store.keys import Space
from threelane.store.spaces import place_of
from threelane.worker.account import hold
from threelane.worker.account.hold import Held

router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
MOST = 8  # rows of problems
MOST_SPAN_MS = 15_000  # rates are averages over at most this long
MOST_MINUTES = 525_600


class LaneRow(msgspec.Struct, frozen=True):
    """One lane as the page shows it; rates in messages per second, None until there are two readings."""

    lane: int
    waiting: int
    oldest_seconds: float
    causes: str
    state: str
    rates: tuple[float | None, ...]
    held: Held | None


class LaneCounts(msgspec.Struct, frozen=True):
    """One reading of the counters of all lanes of an account, "" for all accounts, and its time (ms)."""

    at: int
    counts: dict[int, tuple[int, int, int]]
    account: str = ""


class AccountRow(msgspec.Struct, frozen=True):
    """One of several accounts as the page of all shows it."""

    name: str
    waiting: int
    oldest_seconds: float
    holds: int
    workers: int
    money: list[tuple[str, str]]
    is_drained: bool


@router.get("")
def console_now(visit: CurrentVisit, account: str = "") -> Response:
    """Show the current state of the fleet, of all accounts or of one."""
    names = accounts.names(visit.service.redis)
    space = _place(account, names) if account else None
    now = screen.read(visit.service.redis, visit.now, space)
    before = _before(visit, now, account)
    drained = accounts.read(visit.service.redis).drained if now.each else {}
    trouble = sorted(now.trouble.items(), key=lambda one: -one[1])[:MOST]
    rules = table(visit.service) if now.holds else None
    owners = {scope: _owner(one, rules) for scope, one in now.holds.items()}
    return visit.show(
        "now.html",
        tab="now",
        screen=now,
        rows=[_row(now, lane, before) for lane in now.lanes],
        span=(now.at - before.at) / 1000 if before else 0,
        holds=sorted(now.holds.items()),
        owners=owners,
        evidence={scope: hold.evidence_of(one) for scope, one in now.holds.items()},
        probes={scope: hold.next_probe_at(hold.split(scope, names)[1], one) for scope, one in now.holds.items()},
        ends={scope: hold.way_back(one) for scope, one in now.holds.items()},
        money=list(screen.credit_words(now.money)),
        trouble=[(name.replace(":", " ").replace("_", " "), count) for name, count in trouble],
        shape="|".join(sorted(now.holds)),
        account=account,
        accounts=[_account(name, one, name in drained) for name, one in now.each.items()],
        names=names,
    )


@router.post("/hold")
def console_hold(form: ChangingForm) -> Response:
    """Put the account, a lane, a sender or a prefix on hold."""
    visit, minutes = form.visit, form.amount("minutes", MOST_MINUTES, "none")
    until = visit.now + int(minutes * MINUTE) if form.get("minutes") else 0
    space, named, back = _meant(form)
    try:
        scope = hold.parse_scope(named)
        hold.put(visit.service.redis, scope, form.get("cause"), visit.now, until, space)
    except ValueError as wrong:
        raise stop(422, str(wrong), remedy="go back and correct it") from None
    what = hold.prefixed(space, scope)
    return visit.done("held", f"{what} is on hold.", back, scope=_kind(scope))


@router.post("/resume")
def console_resume(form: ChangingForm) -> Response:
    """Lift a hold."""
    visit = form.visit
    space, scope, back = _meant(form)
    what = hold.prefixed(space, scope)
    if not hold.resume(visit.service.redis, scope, visit.now, space):
        return visit.redirect_with(f"{what} was no longer on hold.", back)
    return visit.done("resumed", f"{what} is resumed.", back, scope=_kind(scope))


def _meant(form: SubmittedForm) -> tuple[Space, str, str]:
    """Return the account and the scope of a form, and the page to go back to: that of the account, if it was shown."""
    names = accounts.names(form.visit.service.redis)
    named, scope = hold.split(form.get("scope"), names)
    account = form.get("account")
    back = f"{HOME}?account={account}" if account in names and form.get("of") == account else HOME
    return _place(named or account or DEFAULT, names), scope, back


def _place(name: str, names: Sequence[str]) -> Space:
    try:
        return place_of(name, names)
    except ValueError as wrong:
        raise stop(422, str(wrong), remedy="go back and correct it") from None


def _account(name: str, one: Screen, is_drained: bool) -> AccountRow:
    return AccountRow(
        name,
        sum(lane.waiting for lane in one.lanes.values()),
        max(lane.oldest_seconds for lane in one.lanes.values()),
        len(one.holds),
        one.capacity.workers,
        list(screen.credit_words(one.money)),
        is_drained,
    )


def _row(now: Screen, lane: int, before: LaneCounts | None) -> LaneRow:
    one, held = now.lanes[lane], now.holds.get(f"lane:{lane}")
    yellow, red = SLOW_SECONDS[lane]
    late = BAD if one.oldest_seconds > red else WARN if one.oldest_seconds > yellow else GOOD
    rates: tuple[float | None, ...] = (None, None, None)
    if before:
        counts = zip((one.accepted, one.sent, one.delivered), before.counts[lane], strict=True)
        rates = tuple(screen.per_second(count, then, now.at - before.at) for count, then in counts)
    stops = held or now.holds.get("account") or now.outage
    return LaneRow(lane, one.waiting, one.oldest_seconds, words(one.causes), late, rates, stops)


def _before(visit: Visit, now: Screen, account: str) -> LaneCounts | None:
    """Return the reading that this session keeps, and replace it when it is too old."""
    before = msgspec.json.decode(visit.session.look, type=LaneCounts) if visit.session.look else None
    if before and before.account != account:
        before = None
    if before is None or now.at - before.at > MOST_SPAN_MS:
        counts = {lane: (one.accepted, one.sent, one.delivered) for lane, one in now.lanes.items()}
        session.remember(
            visit.service.redis, visit.session, look=msgspec.json.encode(LaneCounts(now.at, counts, account))
        )
    return before if before and now.at - before.at >= 1000 else None


def _owner(held: Held, rules: Any) -> str:
    """Return who can fix the cause of a hold."""
    if held.next_probe:
        return Owner.GATEWAY
    return Owner.OPERATOR if held.code == hold.BY_HAND else matched(held.code, rules).owner or Owner.OPERATOR


def _kind(scope: str) -> str:
    """Return the part of a scope that may be logged: a sender or a prefix may be a number."""
    return scope if scope.startswith("lane:") else scope.partition(":")[0]
