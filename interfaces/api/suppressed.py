"""Suppressed: the list of numbers that must not be sent to.

Numbers come in bodies, never in addresses, so that no log of addresses has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from threelane.contract.refusal import Code
from threelane.interfaces.api import describe, problem
from threelane.interfaces.api.body import Single, answered
from threelane.interfaces.api.caller import Caller, Suppressor
from threelane.interfaces.api.describe import answer, problems
from threelane.interfaces.api.house import Shared
from threelane.producer.http.values import Lift, Lifted, Number, Page, Suppress, SuppressionStatus
from threelane.store import keys, suppression
from threelane.store.suppression import OPERATOR, Entry

router = APIRouter(prefix="/suppressions", tags=["suppression"])
_NUMBER = "27831234567"
_ENTRY = Entry(source=OPERATOR, evidence="called on 3 May", first=1767225600000, last=1767225600000)
_STATUS = SuppressionStatus(_NUMBER, True, [_ENTRY])


@router.get("", responses=answer(200, Page, "a page of the list, in no order", Page([_STATUS], "0")) | problems())
def list_suppressed(
    house: Shared,
    _key: Suppressor,
    cursor: Annotated[str, Query(pattern="^[0-9]{1,20}$", description="what the last page told")] = "0",
) -> Response:
    """List suppressed numbers, some hundred at a time."""
    now = house.producer.now()
    if int(cursor) >= 2**64:
        raise problem.stop(422, "no cursor that a page told", field="query.cursor", remedy="begin with 0")
    told: Any = house.redis.hscan(keys.SUPPRESSED, int(cursor), count=suppression.BATCH)
    following, found = told
    rows = [_standing(number.decode(), _decode(entries), now) for number, entries in found.items()]
    return answered(Page(rows, str(following)))


@router.post(
    "",
    responses=answer(200, SuppressionStatus, "all that stands against the number now", _STATUS)
    | problems(400, 408, 413),
    openapi_extra=describe.body_of(Suppress, Suppress(_NUMBER, evidence="called on 3 May")),
)
def suppress(house: Shared, key: Suppressor, body: Single) -> Response:
    """Put a number on the list; messages to it that wait are not sent either."""
    wanted = problem.read(body, Suppress)
    number, scope = _number(wanted.number), _scope(wanted.scope)
    now = house.producer.now()
    evidence = wanted.evidence or f"by key {key.id} of {key.producer}"
    suppression.add(house.redis, [(number, suppression.by_hand(scope, evidence, wanted.days, now))])
    return answered(_standing(number, suppression.why(house.redis, number), now))


@router.post(
    "/check",
    responses=answer(200, SuppressionStatus, "whether it may be sent to, and why not", _STATUS)
    | problems(400, 408, 413),
    openapi_extra=describe.body_of(Number, Number(_NUMBER)),
)
def check(house: Shared, _key: Caller, body: Single) -> Response:
    """Tell whether a number is suppressed, since when, by whom, and whether that is in force."""
    number = _number(problem.read(body, Number).number)
    return answered(_standing(number, suppression.why(house.redis, number), house.producer.now()))


@router.post(
    "/lift",
    responses=answer(200, Lifted, "how many entries were taken off", Lifted(1)) | problems(400, 408, 413),
    openapi_extra=describe.body_of(Lift, Lift(_NUMBER, source=OPERATOR)),
)
def lift(house: Shared, _key: Suppressor, body: Single) -> Response:
    """Take a number off the list; Clickatell has a list of its own, which stays as it is."""
    wanted = problem.read(body, Lift)
    scope = _scope(wanted.scope) if wanted.scope else ""
    return answered(Lifted(suppression.lift(house.redis, _number(wanted.number), wanted.source, scope)))


def _standing(number: str, entries: Sequence[Entry], now: int) -> SuppressionStatus:
    return SuppressionStatus(number, any(one.forbids(now) for one in entries), list(entries))


def _decode(entries: bytes) -> Any:
    return msgspec.json.decode(entries, type=list[Entry])


def _number(raw: str) -> str:
    return _parsed(suppression.parse_number, raw, Code.DESTINATION, "number")


def _scope(raw: str) -> str:
    return _parsed(suppression.parse_scope, raw, Code.INVALID, "scope")


def _parsed(parse: Callable[[str], str], raw: str, code: Code, field: str) -> str:
    try:
        return parse(raw)
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise problem.stop(422, what, code=code, field=field, remedy=remedy) from None
