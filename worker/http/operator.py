"""Operator: holds and dead letters, for keys with the right ``operator``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from fastapi.responses import Response

from producer.http.body import answered
from producer.http.caller import Operator
from producer.http.describe import answer, answers, problems
from producer.http.house import Shared
from producer.http.problem import stop
from worker.account import hold

router = APIRouter(tags=["operators"])
Scope = Annotated[
    str,
    Path(description="account, lane:1, sender:ACME or prefix:2783123", examples=["account"], max_length=80),
]


class Held(msgspec.Struct, frozen=True):
    """What is on hold, and why; times are milliseconds of Unix time, ``until`` 0 when it does not end by itself."""

    scope: str
    code: str
    cause: str
    since: int
    until: int


class Resumed(msgspec.Struct, frozen=True):
    """A hold that was lifted."""

    scope: str


VALUES: list[Any] = [Held, Resumed]
_HELD = Held("account", "301", "no_credit", 1767225600000, 0)


@router.get("/holds", responses=answers(200, Held, "what is on hold", _HELD) | problems())
def list_holds(house: Shared, _key: Operator) -> Response:
    """List what is on hold, and why."""
    found = hold.holds(house.redis, house.producer.now())
    return answered([Held(scope, one.code, one.cause, one.since, one.until) for scope, one in sorted(found.items())])


@router.delete("/holds/{scope}", responses=answer(200, Resumed, "it goes on", Resumed("account")) | problems(404))
def resume(house: Shared, _key: Operator, scope: Scope) -> Response:
    """Lift a hold; sending goes on where it stopped."""
    if not hold.resume(house.redis, scope, house.producer.now()):
        raise stop(404, "this is not on hold", field="scope", mend="see GET /v1/holds for what is")
    return answered(Resumed(scope))
