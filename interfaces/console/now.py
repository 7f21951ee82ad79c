"""Now: lanes, holds, money and trouble, and the levers beside them: hold and resume."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from threelane.contract.refusal import Owner
from threelane.contract.schedule import MINUTE
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.story import table
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import Here, Sent, Visit
from threelane.interfaces.console.page import HOME, PageRoute
from threelane.operations import screen
from threelane.operations.explain import matched
from threelane.operations.health import SLOW_SECONDS
from threelane.operations.screen import BAD, GOOD, WARN, Screen
from threelane.worker.account import hold
from threelane.worker.account.hold import Held

router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
MOST = 8  # rows of trouble
LOOK_AFRESH_MS = 15_000  # rates are those of at least the last seconds, and of no more than a quarter minute
MOST_MINUTES = 525_600


class Row(msgspec.Struct, frozen=True):
    """One lane as the page shows it; rates in messages a second, None before there were two looks."""

    lane: int
    waiting: int
    oldest_seconds: float
    state: str
    rates: tuple[float | None, ...]
    held: Held | None


class Look(msgspec.Struct, frozen=True):
    """What the lanes had counted at a time (ms)."""

    at: int
    counts: dict[int, tuple[int, int, int]]


@router.get("")
def console_now(here: Here) -> Response:
    """Show how it stands."""
    now = screen.read(here.house.redis, here.now)
    before = _before(here, now)
    trouble = sorted(now.trouble.items(), key=lambda one: -one[1])[:MOST]
    rules = table(here.house) if now.holds else None
    owners = {scope: _owner(one, rules) for scope, one in now.holds.items()}
    return here.show(
        "now.html",
        here="now",
        screen=now,
        rows=[_row(now, lane, before) for lane in now.lanes],
        span=(now.at - before.at) / 1000 if before else 0,
        holds=sorted(now.holds.items()),
        owners=owners,
        ways={scope: hold.way_back(one) for scope, one in now.holds.items()},
        money=list(screen.money_words(now.money)),
        trouble=[(name.replace(":", " ").replace("_", " "), count) for name, count in trouble],
        shape="|".join(sorted(now.holds)),
    )


@router.post("/hold")
def console_hold(sent: Sent) -> Response:
    """Put the account, a lane, a sender or a prefix on hold."""
    here, minutes = sent.visit, sent.amount("minutes", MOST_MINUTES, "none")
    until = here.now + int(minutes * MINUTE) if sent.get("minutes") else 0
    try:
        scope = hold.parse_scope(sent.get("scope"))
        hold.put(here.house.redis, scope, sent.get("cause"), here.now, until)
    except ValueError as wrong:
        raise stop(422, str(wrong), remedy="go back, and correct it") from None
    return here.did("held", f"{scope} is on hold.", HOME, scope=_kind(scope))


@router.post("/resume")
def console_resume(sent: Sent) -> Response:
    """Lift a hold."""
    here, scope = sent.visit, sent.get("scope")
    if not hold.resume(here.house.redis, scope, here.now):
        return here.say(f"{scope} was not on hold any more.", HOME)
    return here.did("resumed", f"{scope} goes on.", HOME, scope=_kind(scope))


def _row(now: Screen, lane: int, before: Look | None) -> Row:
    one, held = now.lanes[lane], now.holds.get(f"lane:{lane}")
    yellow, red = SLOW_SECONDS[lane]
    late = BAD if one.oldest_seconds > red else WARN if one.oldest_seconds > yellow else GOOD
    rates: tuple[float | None, ...] = (None, None, None)
    if before:
        counts = zip((one.accepted, one.sent, one.delivered), before.counts[lane], strict=True)
        rates = tuple(screen.per_second(count, then, now.at - before.at) for count, then in counts)
    return Row(lane, one.waiting, one.oldest_seconds, late, rates, held or now.holds.get("account"))


def _before(here: Visit, now: Screen) -> Look | None:
    """Return what this login saw a while ago, and keep what it sees now when that is too old."""
    before = msgspec.json.decode(here.session.look, type=Look) if here.session.look else None
    if before is None or now.at - before.at > LOOK_AFRESH_MS:
        counts = {lane: (one.accepted, one.sent, one.delivered) for lane, one in now.lanes.items()}
        session.remember(here.house.redis, here.session, look=msgspec.json.encode(Look(now.at, counts)))
    return before if before and now.at - before.at >= 1000 else None


def _owner(held: Held, rules: Any) -> str:
    """Return who can mend what is on hold."""
    return Owner.OPERATOR if held.code == hold.BY_HAND else matched(held.code, rules).owner or Owner.OPERATOR


def _kind(scope: str) -> str:
    """Return what the log may tell of a scope: a sender or a prefix may be a number."""
    return scope if scope.startswith("lane:") else scope.partition(":")[0]
