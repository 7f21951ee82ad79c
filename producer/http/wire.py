"""Wire: what the clients of the HTTP API say, and what its answers mean; the same values as Producer's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, urlsplit

import msgspec

from threelane.contract import message as messages
from threelane.contract.errors import Refused
from threelane.contract.fields import BY_SPELLING
from threelane.contract.refusal import Code, Refusal
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled, CancelResult
from threelane.producer.http.values import MessageResults, Problem
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.reschedule import Moved
from threelane.store.status import MessageStatus

LOT = 1_000  # messages in a request; the API takes ten times as many
_REFUSING = frozenset({400, 403, 409, 413, 422})


class ApiRequest(NamedTuple):
    """A request; ``is_repeatable``: to send it twice does what sending it once does."""

    method: str
    path: str
    body: bytes = b""
    is_repeatable: bool = False


class ApiResponse(NamedTuple):
    """An answer as it came; ``retry_after`` in seconds, '' when it says none."""

    status: int
    retry_after: str
    body: bytes


class Address(NamedTuple):
    """Where the API is; ``port`` None is the scheme's, ``path`` what stands before its own paths."""

    is_tls: bool
    host: str
    port: int | None
    path: str


def address(url: str) -> Address:
    """Return the API's address; raises ValueError for what is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # of the port or an IPv6 address
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("give the API's address, as https://threelane.example:8080")
    return Address(parts.scheme == "https", host, port, parts.path.rstrip("/"))


def lots(every: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Return messages a thousand at a time."""
    remaining = iter(every)
    while lot := list(islice(remaining, LOT)):
        yield lot


def one(to: str, text: str | None, fields: Mapping[str, Any]) -> ApiRequest:
    """Return the request that sends one message; raises Refused for what no JSON can say."""
    given = {"to": to, "text": text, **fields}
    message = {name: value for name, value in given.items() if value is not None}
    body = _encoded(message)
    if isinstance(body, Refusal):
        raise Refused.from_refusal(body)
    return ApiRequest("POST", "/v1/messages", body, _is_identified(message))


def many(lot: Sequence[Mapping[str, Any]]) -> tuple[ApiRequest, dict[int, Refused]]:
    """Return the request that sends a lot, and the refusals, by position, of what no JSON can say."""
    bodies, refused = [], {}
    for position, message in enumerate(lot):
        body = _encoded(message)
        if isinstance(body, Refusal):
            refused[position] = Refused.from_refusal(body)
        else:
            bodies.append(body)
    whole = b'{"messages":[' + b",".join(bodies) + b"]}"
    return ApiRequest("POST", "/v1/messages/bulk", whole, all(map(_is_identified, lot))), refused


def status(message_id: str) -> ApiRequest:
    """Return the request that asks how a message stands."""
    return ApiRequest("GET", f"/v1/messages/{quote(message_id, safe='')}", is_repeatable=True)


def cancel(message_id: str) -> ApiRequest:
    """Return the request that cancels a message."""
    return ApiRequest("DELETE", f"/v1/messages/{quote(message_id, safe='')}", is_repeatable=True)


def move(message_id: str, deliver_at: datetime | str) -> ApiRequest:
    """Return the request that puts a message to another time."""
    body = msgspec.json.encode({"deliver_at": _plain(deliver_at)})
    return ApiRequest("PATCH", f"/v1/schedules/{quote(message_id, safe='')}", body, is_repeatable=True)


def accepted(told: ApiResponse) -> Accepted:
    """Return what came of one message; raises Refused or Unavailable."""
    if told.status not in (200, 201):
        raise _refused(told)
    found: Accepted = _value(told, Accepted)
    return found


def answers(told: ApiResponse, refused: Mapping[int, Refused], number: int) -> list[Answer] | None:
    """Return what came of a lot of messages, in their order; None: it was too long.  Raises Unavailable."""
    if told.status == 413 and number > 1:
        return None
    if told.status != 200:
        return [_refused(told)] * number
    verdicts: MessageResults = _value(told, MessageResults)
    given = iter([one.refusal.error if one.refusal else one.message for one in verdicts.verdicts])
    found = [refused.get(position) or next(given) for position in range(number)]
    return [one for one in found if one is not None]


def stands(told: ApiResponse) -> MessageStatus | None:
    """Return how a message stands, None when its id is unknown; raises Unavailable."""
    if told.status in (404, 422):  # 422: it is no id at all
        return None
    if told.status != 200:
        fail(told)
    found: MessageStatus = _value(told, MessageStatus)
    return found


def cancelled(message_id: str, told: ApiResponse) -> Cancelled:
    """Return what came of a cancel; raises Unavailable."""
    if told.status in (404, 422):
        return Cancelled(message_id, CancelResult.UNKNOWN)
    if told.status == 409:
        problem = _value(told, Problem)
        return Cancelled(message_id, CancelResult.TOO_LATE, problem.state, problem.detail)
    if told.status not in (200, 202):
        fail(told)
    said: Cancelled = _value(told, Cancelled)
    return said


def moved(told: ApiResponse) -> Moved:
    """Return when a message is due now; raises Refused or Unavailable."""
    if told.status != 200:
        raise _refused(told, {404})
    found: Moved = _value(told, Moved)
    return found


def lost(failed: Exception, *, sent: bool) -> Unavailable:
    """Return what a caller is told when no answer came."""
    if not sent:
        return Unavailable(f"the HTTP API cannot be reached ({type(failed).__name__}): nothing was sent to it")
    return Unavailable(
        f"the HTTP API's answer was lost ({type(failed).__name__}): it may have been done; ask again with the same "
        "client message id, which never sends twice"
    )


def _refused(told: ApiResponse, also: set[int] | frozenset[int] = frozenset()) -> Refused:
    if told.status not in _REFUSING | also:
        fail(told)
    said: Problem = _value(told, Problem)
    code = str(Code.CLIENT_ID) if told.status == 404 else said.code
    return Refused(code, said.field, said.detail, said.remedy or said.mend, said.owner, said.id)


def fail(told: ApiResponse) -> NoReturn:
    """Raise what stands for an API that cannot do it now."""
    wait = float(told.retry_after) if told.retry_after.isdigit() else 0.0
    try:
        said = msgspec.json.decode(told.body, type=Problem)
    except msgspec.DecodeError:
        raise Unavailable(f"HTTP {told.status}: this is not Threelane's API, or something stands before it") from None
    remedy = said.remedy or said.mend
    text = f"{said.detail}; {remedy}" if remedy else said.detail
    raise Unavailable(text, [*said.accepted, *(one.error for one in said.refused)], said.unsure, wait)


def _value(told: ApiResponse, kind: Any) -> Any:
    try:
        return msgspec.json.decode(told.body, type=kind)
    except msgspec.DecodeError:
        raise Unavailable(
            f"HTTP {told.status} with a body that is not Threelane's: see what stands before it"
        ) from None


def _is_identified(message: Mapping[str, Any]) -> bool:
    if not isinstance(message, Mapping):
        return True  # it is not sent
    names = (BY_SPELLING[name].name for name, value in message.items() if name in BY_SPELLING and value)
    return "client_message_id" in names


def _encoded(message: Mapping[str, Any]) -> bytes | Refusal:
    if not isinstance(message, Mapping):
        return messages.not_an_object(message)
    try:
        return msgspec.json.encode({name: _plain(value) for name, value in message.items()}, enc_hook=str)
    except UnicodeEncodeError as broken:
        remedy = "the text was cut or decoded wrongly before it came here: send it whole, as UTF-8"
        problem = f"half of a surrogate pair at character {broken.start + 1}"
        return Refusal(code=Code.UNICODE, field="text", problem=problem, remedy=remedy)
    except (TypeError, ValueError, OverflowError, RecursionError) as failed:
        problem = f"it cannot be written as JSON ({type(failed).__name__})"
        return Refusal(
            code=Code.INVALID, field="message", problem=problem, remedy="give texts, numbers and lists of texts"
        )


def _plain(value: Any) -> Any:
    """Return a value that a message may have as JSON says it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
