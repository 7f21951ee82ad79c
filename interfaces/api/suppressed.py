"""Suppressed: the suppression list.

Numbers come in bodies, never in addresses, so that no log of addresses has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from threelane.contract.refusal import Code
from threelane.interfaces.api import describe, problem, visible_to
from threelane.interfaces.api.body import Single, answered
from threelane.interfaces.api.caller import Caller, SuppressionReader, Suppressor
from threelane.interfaces.api.describe import answer, problems
from threelane.interfaces.api.service import Service, Shared
from threelane.producer.http.values import Lift, Lifted, Number, Page, Suppress, SuppressionStatus
from threelane.store import by_hand, keys, rows, suppression
from threelane.store.api_key import ApiKey
from threelane.store.suppression import OPERATOR, Entry

router = APIRouter(prefix="/suppressions", tags=["suppression"])
_NUMBER = "27831234567"
_ENTRY = Entry(source=OPERATOR, evidence="called on 3 May", first=1767225600000, last=1767225600000)
_STATUS = SuppressionStatus(_NUMBER, True, [_ENTRY])


@router.get("", responses=answer(200, Page, "a page of the list, in no order", Page([_STATUS], "0")) | problems())
def list_suppressed(
    service: Shared,
    key: SuppressionReader,
    cursor: Annotated[str, Query(pattern="^[0-9]{1,20}$", description="the cursor of the previous page")] = "0",
) -> Response:
    """List suppressed numbers, a few hundred per page; masked without the right ``texts``."""
    now = service.producer.now()
    if int(cursor) >= 2**64:
        raise problem.stop(422, "not a cursor of this list", field="query.cursor", remedy="start with 0")
    page: Any = rows.unless_damaged(
        keys.SUPPRESSED, lambda: service.redis.hscan(keys.SUPPRESSED, int(cursor), count=suppression.BATCH), (0, {})
    )
    following, found = page
    listed = [
        _standing(key, visible_to.listed_number(key, number), entries, now)
        for number, entries in suppression.people(service.redis, found.items())
    ]
    return answered(Page(listed, str(following)))


@router.post(
    "",
    responses=answer(200, SuppressionStatus, "all entries of the number", _STATUS) | problems(400, 408, 413),
    openapi_extra=describe.body_of(Suppress, Suppress(_NUMBER, evidence="called on 3 May")),
)
def suppress(service: Shared, key: Suppressor, body: Single) -> Response:
    """Suppress a number; messages to it that are waiting are not sent either."""
    wanted = problem.read(body, Suppress)
    number, scope = _number(service, key, wanted.number), _scope(wanted.scope)
    now = service.producer.now()
    evidence = wanted.evidence or f"by {_name(key)}"
    by_hand.suppress(service.redis, number, suppression.by_hand(scope, evidence, wanted.days, now), _name(key))
    return answered(_standing(key, number, suppression.why(service.redis, number), now))


@router.post(
    "/check",
    responses=answer(200, SuppressionStatus, "whether it may be sent to, and why not", _STATUS)
    | problems(400, 408, 413),
    openapi_extra=describe.body_of(Number, Number(_NUMBER)),
)
def check(service: Shared, key: Caller, body: Single) -> Response:
    """Return whether a number is suppressed, since when, and by which kind of source.

    ``evidence`` is empty without the right ``evidence``.
    """
    number = _number(service, key, problem.read(body, Number).number)
    return answered(_standing(key, number, suppression.why(service.redis, number), service.producer.now()))


@router.post(
    "/lift",
    responses=answer(200, Lifted, "how many entries were removed", Lifted(1)) | problems(400, 408, 413),
    openapi_extra=describe.body_of(Lift, Lift(_NUMBER, source=OPERATOR)),
)
def lift(service: Shared, key: Suppressor, body: Single) -> Response:
    """Remove entries of a number; Clickatell's own list is not changed."""
    wanted = problem.read(body, Lift)
    scope = _scope(wanted.scope, suppression.parse_stored_scope) if wanted.scope else ""
    number = _number(service, key, wanted.number)
    return answered(Lifted(by_hand.lift(service.redis, number, wanted.source, scope, _name(key))))


def _name(key: ApiKey) -> str:
    return f"key {key.id} of {key.producer}"


def _standing(key: ApiKey, number: str, entries: Sequence[Entry], now: int) -> SuppressionStatus:
    return SuppressionStatus(number, any(one.forbids(now) for one in entries), visible_to.entries(key, entries))


def _number(service: Service, key: ApiKey, raw: str) -> str:
    """Return a number, read as the key's messages are, so that both mean the same person."""
    reading = service.producer.reading_as(key)
    return _parsed(lambda text: suppression.parse_number(text, reading), raw, Code.DESTINATION, "number")


def _scope(raw: str, parse: Callable[[str], str] = suppression.parse_scope) -> str:
    return _parsed(parse, raw, Code.INVALID, "scope")


def _parsed(parse: Callable[[str], str], raw: str, code: Code, field: str) -> str:
    try:
        return parse(raw)
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise problem.stop(422, what, code=code, field=field, remedy=remedy) from None
