"""Letters: dead letters by who can mend them, what a redrive would do, and the redrive."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api import criteria
from threelane.interfaces.api.problem import stop
from threelane.interfaces.console.gate import Here, Sent
from threelane.interfaces.console.page import HOME, PageRoute, words
from threelane.store import find
from threelane.store.find import Filter
from threelane.worker.dead import redrive

router = APIRouter(prefix="/console/dead", include_in_schema=False, route_class=PageRoute)
LETTERS = f"{HOME}/dead"
SHOWN = 20


@router.get("")
def console_dead(here: Here) -> Response:
    """Show dead letters by owner and code."""
    piles = redrive.piles(here.house.redis, here.now)
    return here.show("dead.html", here="dead", piles=piles, most=redrive.LOOKED_AT)


@router.get("/pile")
def console_pile(here: Here, owner: criteria.Owner = "", code: criteria.Code = "") -> Response:
    """Tell what a redrive of one pile would do, and show its oldest letters."""
    wanted = _wanted(owner, code)
    plan = redrive.plan(here.house.redis, wanted, here.now, before=here.now)
    oldest = list(find.dead(here.house.redis, wanted, before=here.now, most=SHOWN))
    return here.show("pile.html", here="dead", owner=owner, code=code, plan=plan, found=oldest, most=SHOWN)


@router.post("/redrive")
def console_redrive(sent: Sent) -> Response:
    """Put the pile back on its lanes: what was dead when the plan was shown, and no more."""
    here = sent.visit
    wanted = _wanted(sent.get("owner", 64), sent.get("code", 64))
    before = sent.get("before", 16)
    if not before.isdecimal():
        raise stop(422, "this form is not whole", remedy="go back, and load the page anew")
    told: Counter[str] = Counter(redriven=0)
    nudger = here.house.producer.nudger
    for lot in redrive.redrive_paced(here.house.redis, nudger, wanted, here.house.producer.now, before=int(before)):
        told.update(lot)
    said = ", ".join(f"{count:,} {words(answer)}" for answer, count in told.items() if count or answer == "redriven")
    return here.did("redriven", f"{said}.", LETTERS, code=wanted.code, owner=wanted.owner, **dict(told))


def _wanted(owner: str, code: str) -> Filter:
    wanted = Filter(owner=owner, code=code)
    if not wanted:
        raise stop(422, "neither an owner nor a code", remedy="begin with the list of dead letters")
    return wanted
