"""Dead letters: counts by owner and code, what a redrive would do, and the redrive."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api import criteria
from threelane.interfaces.api.problem import stop
from threelane.interfaces.console.gate import ChangingForm, CurrentVisit
from threelane.interfaces.console.page import HOME, PageRoute, words
from threelane.store import find
from threelane.store.find import Filter
from threelane.worker.dead import redrive

router = APIRouter(prefix="/console/dead", include_in_schema=False, route_class=PageRoute)
DEAD_LETTERS = f"{HOME}/dead"
SHOWN = 20


@router.get("")
def console_dead(visit: CurrentVisit) -> Response:
    """Show dead letters by owner and code."""
    groups = redrive.dead_groups(visit.service.redis, visit.now)
    return visit.show("dead.html", tab="dead", groups=groups, most=redrive.LOOKED_AT)


@router.get("/pile")
def console_redrive_plan(visit: CurrentVisit, owner: criteria.Owner = "", code: criteria.Code = "") -> Response:
    """Show what a redrive of one owner and code would do, and the oldest messages it would reach."""
    wanted = _wanted(owner, code)
    plan = redrive.plan(visit.service.redis, wanted, visit.now, before=visit.now)
    oldest = list(find.dead(visit.service.redis, wanted, before=visit.now, most=SHOWN))
    return visit.show("redrive.html", tab="dead", owner=owner, code=code, plan=plan, found=oldest, most=SHOWN)


@router.post("/redrive")
def console_redrive(form: ChangingForm) -> Response:
    """Redrive one owner and code: the messages that were dead when the plan was shown, and no later ones."""
    visit = form.visit
    wanted = _wanted(form.get("owner", 64), form.get("code", 64))
    before = form.get("before", 16)
    if not before.isdecimal():
        raise stop(422, "the form is incomplete", remedy="go back and reload the page")
    counts: Counter[str] = Counter(redriven=0)
    nudger = visit.service.producer.nudger
    for lot in redrive.redrive_paced(
        visit.service.redis, nudger, wanted, visit.service.producer.now, before=int(before)
    ):
        counts.update(lot)
    notice = ", ".join(f"{n:,} {words(answer)}" for answer, n in counts.items() if n or answer == "redriven")
    return visit.done("redriven", f"{notice}.", DEAD_LETTERS, code=wanted.code, owner=wanted.owner, **dict(counts))


def _wanted(owner: str, code: str) -> Filter:
    wanted = Filter(owner=owner, code=code)
    if not wanted:
        raise stop(422, "neither an owner nor a code", remedy="start from the list of dead letters")
    return wanted
