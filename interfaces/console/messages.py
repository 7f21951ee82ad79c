"""Messages: look for them, read one's whole story, cancel and redrive it; what waits for its time."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from threelane.contract import phone
from threelane.interfaces.api.messages import MessageId
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.story import story
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import Here, Sent, Visit
from threelane.interfaces.console.page import HOME, PageRoute, words
from threelane.operations.explain import content
from threelane.producer.cancel import Answer, Cancelled
from threelane.store import find
from threelane.store.states import FINAL, Status
from threelane.store.status import MessageStatus
from threelane.worker.dead import redrive

router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
SEARCH, SCHEDULES = f"{HOME}/search", f"{HOME}/schedules"
MOST = 100
WAITS_SECONDS = 20  # for a search that is under way
Word = Annotated[str, Query(max_length=64)]
_looking = Lock()  # what has ended is in no index: one look through all records at a time
_ENDS = (Status.SENDING, Status.SENT, Status.IN_DOUBT)


@router.get("/search")
def console_search(here: Here) -> Response:
    """Show what was looked for last, and what was found."""
    said = here.session.search
    return here.show("search.html", here="search", term=said, found=_found(here, said) if said else None, most=MOST)


@router.post("/search")
def console_look(sent: Sent) -> Response:
    """Look for an id, a recipient, a client message id, a batch or a tag: in a body, since it may be a number."""
    session.remember(sent.visit.house.redis, sent.visit.session, search=sent.get("term", 80))
    return sent.visit.log_and_go("searched", SEARCH)


@router.get("/messages/{message_id:message}")
def console_message(here: Here, message_id: MessageId) -> Response:
    """Tell one message's whole story, its number masked."""
    return _story(here, message_id, shown=False)


@router.post("/messages/{message_id:message}")
def console_reveal(sent: Sent, message_id: MessageId) -> Response:
    """Tell it with its number and, to a key that may read texts, with its text; that this was asked for is noted."""
    sent.visit.log("revealed", id=message_id)
    return _story(sent.visit, message_id, shown=True)


@router.post("/messages/{message_id:message}/cancel")
def console_cancel(sent: Sent, message_id: MessageId) -> Response:
    """Cancel one message."""
    (told,) = sent.visit.house.producer.cancel([message_id])
    back = SCHEDULES if sent.get("back") == "schedules" else f"{HOME}/messages/{message_id}"
    return sent.visit.did("cancelled", _cancelled(told), back, id=message_id, answer=told.answer)


@router.post("/messages/{message_id:message}/redrive")
def console_redrive_one(sent: Sent, message_id: MessageId) -> Response:
    """Put one dead letter back on its lane."""
    house = sent.visit.house
    (told,) = redrive.redrive_ids(house.redis, house.producer.nudger, [message_id], sent.visit.now)
    back = f"{HOME}/messages/{message_id}"
    return sent.visit.did("redriven", f"{words(told.answer)}.", back, id=message_id, answer=told.answer)


@router.get("/schedules")
def console_schedules(
    here: Here, batch: Word = "", tag: Word = "", lane: Annotated[str, Query(pattern="^[123]?$")] = ""
) -> Response:
    """Show what waits for its time, the earliest first."""
    found = here.house.producer.scheduled(batch=batch, tag=tag, lane=int(lane or 0), most=MOST)
    asked = {"batch": batch, "tag": tag, "lane": lane}
    return here.show("schedules.html", here="schedules", found=found, asked=asked, most=MOST)


@router.post("/schedules/cancel")
def console_cancel_all(sent: Sent) -> Response:
    """Cancel all of a batch or tag that was not sent yet."""
    wanted: dict[str, Any] = {name: sent.get(name, 64) for name in ("batch", "tag")}
    if not any(wanted.values()):
        raise stop(422, "neither a batch nor a tag", remedy="go back, and filter by one")
    told = Counter(str(one.answer) for one in sent.visit.house.producer.cancel_all(**wanted))
    said = ", ".join(f"{count:,} {words(answer)}" for answer, count in sorted(told.items())) or "nothing was left"
    return sent.visit.did("cancelled_all", f"{said}.", SCHEDULES, **told)


def _found(here: Visit, term: str) -> list[find.Found]:
    if not _looking.acquire(timeout=WAITS_SECONDS):
        raise stop(429, "another search is under way", headers={"Retry-After": "5"}, remedy="wait a little")
    try:
        return list(find.term(here.house.redis, term, MOST))
    finally:
        _looking.release()


def _story(here: Visit, message_id: str, *, shown: bool) -> Response:
    told = story(here.house, message_id)
    number = told.message.to

    def veiled(said: str) -> str:
        """Return what somebody said without the number in it, unless it is asked for."""
        return said if shown or not number else said.replace(number, phone.mask(number))

    said = content(here.house.redis, message_id) if shown and here.session.key.texts else None
    return here.show(
        "message.html",
        here="search",
        story=told,
        one=told.message,
        number=number if shown else phone.mask(number),
        shown=shown,
        text=(said.text or said.binary) if said else "",
        veiled=veiled,
        may_cancel=_may_cancel(told.message),
    )


def _may_cancel(one: MessageStatus) -> bool:
    return one.status not in FINAL and one.status not in _ENDS


def _cancelled(told: Cancelled) -> str:
    match told.answer:
        case Answer.CANCELLED:
            return "It will not be sent."
        case Answer.ASKED:
            return "The gateway keeps it, and is asked to stop it."
        case Answer.TOO_LATE:
            return f"Too late: {told.why}."
    return "It is unknown, or forgotten."
