"""Messages: search, the history of one message, cancel and redrive; scheduled messages."""

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
from threelane.interfaces.console.gate import ChangingForm, CurrentVisit, ReadingForm, Visit
from threelane.interfaces.console.page import HOME, PageRoute, words
from threelane.operations.explain import content
from threelane.producer.cancel import Cancelled, CancelResult
from threelane.store import find
from threelane.store.states import FINAL, Status
from threelane.store.status import MessageStatus
from threelane.worker.dead import redrive

router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
SEARCH, SCHEDULES = f"{HOME}/search", f"{HOME}/schedules"
MOST = 100
WAIT_SECONDS = 20  # for another search to finish
Word = Annotated[str, Query(max_length=64)]
_searching = Lock()  # messages that have ended are in no index: one scan of all records at a time
_NOT_CANCELLABLE = (Status.SENT,)


@router.get("/search")
def console_search(visit: CurrentVisit) -> Response:
    """Show the last search and its results."""
    term = visit.session.search
    return visit.show("search.html", tab="search", term=term, found=_found(visit, term) if term else None, most=MOST)


@router.post("/search")
def console_submit_search(form: ReadingForm) -> Response:
    """Search for an id, a recipient, a client message id, a batch or a tag; a POST keeps numbers out of URLs."""
    session.remember(form.visit.service.redis, form.visit.session, search=form.get("term", 80))
    return form.visit.log_and_redirect("searched", SEARCH)


@router.get("/messages/{message_id:message}")
def console_message(visit: CurrentVisit, message_id: MessageId) -> Response:
    """Show the history of one message, its number masked."""
    return _story(visit, message_id, shown=False)


@router.post("/messages/{message_id:message}")
def console_reveal(form: ReadingForm, message_id: MessageId) -> Response:
    """Show the history with the number and, for a key that may read texts, the text; each use is logged."""
    if not _may_reveal(form.visit):
        raise stop(403, "this key may not see numbers", remedy="log in with an operator key, or one with --texts")
    form.visit.log("revealed", id=message_id)
    return _story(form.visit, message_id, shown=True)


@router.post("/messages/{message_id:message}/cancel")
def console_cancel(form: ChangingForm, message_id: MessageId) -> Response:
    """Cancel one message."""
    (result,) = form.visit.service.producer.cancel([message_id])
    back = SCHEDULES if form.get("back") == "schedules" else f"{HOME}/messages/{message_id}"
    return form.visit.done("cancelled", _cancelled(result), back, id=message_id, answer=result.answer)


@router.post("/messages/{message_id:message}/redrive")
def console_redrive_one(form: ChangingForm, message_id: MessageId) -> Response:
    """Put one dead letter back on its lane."""
    service = form.visit.service
    (result,) = redrive.redrive_ids(service.redis, service.producer.nudger, [message_id], form.visit.now)
    back = f"{HOME}/messages/{message_id}"
    return form.visit.done("redriven", f"{words(result.answer)}.", back, id=message_id, answer=result.answer)


@router.get("/schedules")
def console_schedules(
    visit: CurrentVisit, batch: Word = "", tag: Word = "", lane: Annotated[str, Query(pattern="^[123]?$")] = ""
) -> Response:
    """Show messages that wait for their time, earliest first."""
    found = visit.service.producer.scheduled(batch=batch, tag=tag, lane=int(lane or 0), most=MOST)
    filters = {"batch": batch, "tag": tag, "lane": lane}
    return visit.show("schedules.html", tab="schedules", found=found, filters=filters, most=MOST)


@router.post("/schedules/cancel")
def console_cancel_all(form: ChangingForm) -> Response:
    """Cancel every message of a batch or tag that is not sent yet."""
    wanted: dict[str, Any] = {name: form.get(name, 64) for name in ("batch", "tag")}
    if not any(wanted.values()):
        raise stop(422, "neither a batch nor a tag", remedy="go back and filter by one")
    counts = Counter(str(one.answer) for one in form.visit.service.producer.cancel_all(**wanted))
    notice = ", ".join(f"{n:,} {words(answer)}" for answer, n in sorted(counts.items())) or "nothing left to cancel"
    return form.visit.done("cancelled_all", f"{notice}.", SCHEDULES, **counts)


def _found(visit: Visit, term: str) -> list[find.FoundMessage]:
    if not _searching.acquire(timeout=WAIT_SECONDS):
        raise stop(429, "another search is running", headers={"Retry-After": "5"}, remedy="try again in a few seconds")
    try:
        return list(find.term(visit.service.redis, term, MOST, visit.service.settings.reading))
    finally:
        _searching.release()


def _story(visit: Visit, message_id: str, *, shown: bool) -> Response:
    found = story(visit.service, message_id)
    number = found.message.to

    def masked(text: str) -> str:
        """Return a text with the number masked in it, unless the number is shown."""
        return text if shown or not number else text.replace(number, phone.mask(number))

    sms = content(visit.service.redis, message_id) if shown and visit.session.key.texts else None
    return visit.show(
        "message.html",
        tab="search",
        story=found,
        one=found.message,
        number=number if shown else phone.mask(number),
        shown=shown,
        text=(sms.text or sms.binary) if sms else "",
        masked=masked,
        may_cancel=_may_cancel(found.message),
        may_reveal=_may_reveal(visit),
    )


def _may_reveal(visit: Visit) -> bool:
    return visit.session.key.operator or visit.session.key.texts


def _may_cancel(one: MessageStatus) -> bool:
    return one.status not in FINAL and one.status not in _NOT_CANCELLABLE


def _cancelled(result: Cancelled) -> str:
    match result.answer:
        case CancelResult.CANCELLED:
            return "It will not be sent."
        case CancelResult.ASKED:
            return "The gateway has it; a request to stop it is on its way."
        case CancelResult.NOT_RETRIED:
            return f"It is not cancelled yet: {result.why}."
        case CancelResult.TOO_LATE:
            return f"Too late: {result.why}."
    return "No such message, or it is no longer remembered."
