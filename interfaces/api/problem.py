"""Problems: every error of the API in one shape, that of RFC 9457 with our fields."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from threelane.contract.errors import Refused
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.contract.spreadsheet import SpelledFloat
from threelane.producer.accept import Accepted
from threelane.producer.http.values import FieldProblem, Problem, RefusedMessage
from threelane.producer.outage import Unavailable, unavailable

MEDIA_TYPE = "application/problem+json"
AWAY_SECONDS = 5  # before a caller may retry, if the table of replies has no time for this outage
BUSY_SECONDS = 2  # before a caller may retry when other requests use the memory or the places
_PARAMETER = re.compile(r"\{\w+\}")
_PLACE = re.compile(r" - at `\$\.?(.*)`$")


class Stop(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        """Respond with the problem and these headers."""
        super().__init__(problem.title)
        self.problem = problem
        self.headers = dict(headers or {})


def stop(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Stop:
    """Return the end of a request: an HTTP status, what is wrong, and fields of ``Problem``."""
    code = more.pop("code", str(status))
    more["mend"] = more.get("remedy", "")
    return Stop(Problem(status=status, title=HTTPStatus(status).phrase, detail=detail, code=code, **more), headers)


def unknown(what: str, message_id: str = "") -> Stop:
    """Return the end of a request for something that does not exist."""
    return stop(
        404,
        f"{what} is unknown, or past its retention",
        field="id",
        remedy="use the id that accept returned",
        id=message_id,
    )


def busy(detail: str, remedy: str) -> Stop:
    """Return the end of a request for which this process had no memory or no place in time; nothing was done."""
    return stop(503, detail, headers={"Retry-After": str(BUSY_SECONDS)}, owner=Owner.OPERATOR, remedy=remedy)


def of(refused: Refused | Refusal) -> Stop:
    """Return the end of a request that was refused."""
    headers = {"Retry-After": str(math.ceil(refused.retry_after))} if refused.retry_after else None
    return stop(
        status_of(refused),
        refused.problem,
        headers=headers,
        code=str(refused.code),
        field=refused.field,
        remedy=refused.remedy,
        owner=refused.owner,
        id=refused.accepted_id,
    )


def status_of(refused: Refused | Refusal) -> int:
    """Return the HTTP status of a refusal.

    409 for other content, 429 for a limit, 403 for what an operator can grant, otherwise 422.
    """
    if refused.code == Code.CONFLICT:
        return 409
    if refused.code == Code.LIMIT:
        return 429
    return 403 if refused.owner is Owner.OPERATOR else 422


def away(failed: Unavailable) -> Stop:
    """Return the end of a request during an outage, with all that is known."""
    return stop(
        503,
        str(failed),
        headers={"Retry-After": str(math.ceil(failed.retry_after or AWAY_SECONDS))},
        owner=failed.owner,
        remedy="retry later; with the same client message id nothing is sent twice",
        unsure=tuple(failed.unsure),
        accepted=tuple(one.explained() for one in failed.answers if isinstance(one, Accepted)),
        refused=tuple(RefusedMessage.from_error(one) for one in failed.answers if isinstance(one, Refused)),
    )


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, float_hook=SpelledFloat)


def read(body: bytes | bytearray, kind: Any) -> Any:
    """Return a body as a value of its type; ends the request with the field that is invalid."""
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as wrong:
        text = str(wrong)
        place = _PLACE.search(text)
        field = place[1] if place and place[1] else "body"
        detail = _PLACE.sub("", text)
        raise stop(
            422,
            detail,
            code=Code.INVALID,
            field=field,
            remedy="see the description of this request in /docs",
            errors=(FieldProblem(field, detail),),
        ) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as broken:
        detail = "nested too deeply" if isinstance(broken, RecursionError) else str(broken)
        raise stop(
            400, f"the body is not JSON: {detail}", code=Code.INVALID, field="body", remedy="send JSON, in UTF-8"
        ) from None


def register(app: FastAPI) -> None:
    """Respond to every failure of the application in this shape."""
    handlers: dict[Any, Any] = {
        Stop: lambda _, ended: _response(ended),
        Refused: lambda _, refused: _response(of(refused)),
        Unavailable: lambda _, failed: _response(away(failed)),
        RedisError: lambda _, failed: _response(away(unavailable(failed))),
        RequestValidationError: _wrong_parameters,
        HTTPException: _of_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _wrong_parameters(_: Request, invalid: RequestValidationError) -> Response:
    errors = tuple(FieldProblem(".".join(map(str, one["loc"])), str(one["msg"])) for one in invalid.errors())
    first = errors[0]
    remedy = "see the description of this request in /docs"
    return _response(stop(422, first.problem, code=Code.INVALID, field=first.field, remedy=remedy, errors=errors))


async def _of_http(request: Request, failed: HTTPException) -> Response:
    remedy = {404: "see /docs for the paths", 405: "use one of the methods in Allow"}
    headers = dict(failed.headers or {})
    if failed.status_code == 405 and (methods := _allowed(request)):
        headers = {"Allow": ", ".join(sorted(methods))}  # the framework's lists the methods of one route only
    return _response(
        stop(failed.status_code, str(failed.detail), headers=headers, remedy=remedy.get(failed.status_code, ""))
    )


def _allowed(request: Request) -> set[str]:
    """Return the methods that the description has for a path."""
    path, described = request.url.path, request.app.openapi()["paths"]
    alike = (
        [path] if path in described else [one for one in described if re.fullmatch(_PARAMETER.sub("[^/]+", one), path)]
    )
    return {method.upper() for one in alike for method in described[one]}


def _response(ended: Stop) -> Response:
    body = msgspec.json.encode(ended.problem)
    return Response(body, ended.problem.status, headers=ended.headers, media_type=MEDIA_TYPE)
