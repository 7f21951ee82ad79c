"""Suppressed: whether a number may be sent to, why not, and the entries against it: add and remove."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.contract import phone
from threelane.contract.refusal import Code
from threelane.interfaces.api.problem import stop
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import Here, Sent
from threelane.interfaces.console.page import HOME, PageRoute
from threelane.store import keys, suppression
from threelane.store.suppression import ALL

router = APIRouter(prefix="/console/suppression", include_in_schema=False, route_class=PageRoute)
BACK = f"{HOME}/suppression"


@router.get("")
def console_suppression(here: Here) -> Response:
    """Show what stands against the number that was asked for last."""
    number = here.session.number
    entries = suppression.why(here.house.redis, number) if number else ()
    count = here.house.redis.hlen(keys.SUPPRESSED)
    forbidden = any(one.forbids(here.now) for one in entries)
    return here.show(
        "suppression.html", here="suppression", number=number, entries=entries, count=count, forbidden=forbidden
    )


@router.post("")
def console_check(sent: Sent) -> Response:
    """Ask for a number: in a body, so that no log of addresses has it."""
    number = _number(sent.get("number", 40))
    session.remember(sent.visit.house.redis, sent.visit.session, number=number)
    return sent.visit.log_and_go("checked", BACK)


@router.post("/add")
def console_suppress(sent: Sent) -> Response:
    """Put a number on the list; messages to it that wait are not sent either."""
    here, number, scope = sent.visit, _number(sent.get("number", 40)), _scope(sent.get("scope", 80) or ALL)
    days = sent.amount("days", suppression.MOST_DAYS, "0 for ever")
    evidence = sent.get("evidence") or f"by key {here.session.key.id} of {here.session.key.producer}"
    suppression.add(here.house.redis, [(number, suppression.by_hand(scope, evidence, days, here.now))])
    session.remember(here.house.redis, here.session, number=number)
    return here.did("suppressed", f"{phone.mask(number)} is suppressed ({scope}).", BACK)


@router.post("/remove")
def console_lift(sent: Sent) -> Response:
    """Take an entry off a number; Clickatell has a list of its own, which stays as it is."""
    here, number = sent.visit, _number(sent.get("number", 40))
    source, scope = sent.get("source", 40), sent.get("scope", 80)
    if not source or not scope:
        raise stop(422, "this form is not whole", remedy="go back, and load the page anew")
    lifted = suppression.lift(here.house.redis, number, source, _scope(scope))
    said = f"{lifted} entry of {phone.mask(number)} removed." if lifted else "It was not there any more."
    return here.did("lifted", said, BACK, entries=lifted)


def _number(raw: str) -> str:
    try:
        return suppression.parse_number(raw)
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise stop(422, f"number: {what}", code=Code.DESTINATION, remedy=remedy) from None


def _scope(raw: str) -> str:
    try:
        return suppression.parse_scope(raw)
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise stop(422, f"scope: {what}", remedy=remedy) from None
