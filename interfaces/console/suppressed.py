"""Suppressed: whether a number is suppressed and why; add and remove entries."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.contract import phone
from threelane.contract.refusal import Code
from threelane.interfaces.api import visible_to
from threelane.interfaces.api.problem import stop
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import ChangingForm, CurrentVisit, ReadingForm, SubmittedForm, Visit
from threelane.interfaces.console.page import HOME, PageRoute
from threelane.store import by_hand, keys, rows, suppression
from threelane.store.suppression import ALL

router = APIRouter(prefix="/console/suppression", include_in_schema=False, route_class=PageRoute)
BACK = f"{HOME}/suppression"


@router.get("")
def console_suppression(visit: CurrentVisit) -> Response:
    """Show the entries of the number that was looked up last."""
    number = visit.session.number
    entries = visible_to.entries(visit.session.key, suppression.why(visit.service.redis, number)) if number else []
    count = rows.unless_damaged(keys.SUPPRESSED, lambda: visit.service.redis.hlen(keys.SUPPRESSED), 0)
    forbidden = any(one.forbids(visit.now) for one in entries)
    return visit.show(
        "suppression.html", tab="suppression", number=number, entries=entries, count=count, forbidden=forbidden
    )


@router.post("")
def console_check(form: ReadingForm) -> Response:
    """Look up a number; a POST keeps it out of access logs."""
    number = number_of(form)
    session.remember(form.visit.service.redis, form.visit.session, number=number)
    return form.visit.log_and_redirect("checked", BACK)


@router.post("/add")
def console_suppress(form: ChangingForm) -> Response:
    """Suppress a number; messages already waiting for it are not sent either."""
    visit, number, scope = form.visit, number_of(form), _scope(form.get("scope", 80) or ALL)
    days = form.amount("days", suppression.MOST_DAYS, "0 for no end")
    by = who(visit)
    entry = suppression.by_hand(scope, form.get("evidence") or f"by {by}", days, visit.now)
    by_hand.suppress(visit.service.redis, number, entry, by)
    session.remember(visit.service.redis, visit.session, number=number)
    return visit.done("suppressed", f"{phone.mask(number)} is suppressed ({scope}).", BACK)


@router.post("/remove")
def console_lift(form: ChangingForm) -> Response:
    """Remove an entry of a number; Clickatell's own block list does not change."""
    visit, number = form.visit, number_of(form)
    source, scope = form.get("source", 40), form.get("scope", 80)
    if not source or not scope:
        raise stop(422, "the form is incomplete", remedy="go back and reload the page")
    scope = _scope(scope, suppression.parse_stored_scope)
    lifted = by_hand.lift(visit.service.redis, number, source, scope, who(visit))
    notice = f"{lifted} entry of {phone.mask(number)} removed." if lifted else "The entry was already removed."
    return visit.done("lifted", notice, BACK, entries=lifted)


def who(visit: Visit) -> str:
    """Return a visitor as the audit log names them."""
    return f"key {visit.session.key.id} of {visit.session.key.producer}"


def number_of(form: SubmittedForm) -> str:
    """Return the number of a form; ends the request if it is none."""
    try:
        return suppression.parse_number(form.get("number", 40), form.visit.service.settings.reading)
    except ValueError as wrong:
        problem, _, remedy = str(wrong).partition("; ")
        raise stop(422, f"number: {problem}", code=Code.DESTINATION, remedy=remedy) from None


def _scope(raw: str, parse: Callable[[str], str] = suppression.parse_scope) -> str:
    try:
        return parse(raw)
    except ValueError as wrong:
        problem, _, remedy = str(wrong).partition("; ")
        raise stop(422, f"scope: {problem}", remedy=remedy) from None
