"""Wire: the requests of the HTTP clients, and the parsers of the responses, with the same values as Producer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from itertools import islice
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from threelane.contract import message as messages
from threelane.contract.errors import Refused
from threelane.contract.fields import known_batch_name, named
from threelane.contract.refusal import Code, Refusal
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled, CancelResult
from threelane.producer.http.values import BatchMessages, BatchPage, CancelResults, MessageResults, Problem
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.pause import PauseResult
from threelane.producer.reschedule import Moved
from threelane.runtime.settings import InvalidSettings
from threelane.store.progress import Progress
from threelane.store.status import MessageStatus

FIRST = "0"  # the cursor of the first page; a page with it is the last one
BATCH = 1_000  # messages in a request; the API takes ten times as many
_REFUSING = frozenset({400, 403, 409, 413, 422})
_UNKNOWN = frozenset({404, 422})  # 422: not a valid id
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)  # ValueError: of UTF-8
_KEY = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9._-]{1,253}")
_SECONDS = re.compile(r"[0-9]{1,9}")


class ApiRequest(NamedTuple):
    """A request; ``is_repeatable``: sending it twice has the same effect as sending it once."""

    method: str
    path: str
    body: bytes = b""
    is_repeatable: bool = False


class ApiResponse(NamedTuple):
    """A response; ``retry_after`` in seconds and ``content_type`` are '' if it has none."""

    status: int
    retry_after: str
    body: bytes
    content_type: str = ""

    @property
    def is_problem(self) -> bool:
        """Return whether the body is a problem of Threelane: a proxy has other errors with the same status."""
        if self.content_type.partition(";")[0].strip().lower() != "application/problem+json":
            return False
        try:
            msgspec.json.decode(self.body, type=Problem)
        except _UNREADABLE:
            return False
        return True


class Address(NamedTuple):
    """The address of the API; ``host`` is ASCII, ``path`` is the prefix of its paths."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return the address as a URL without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}{self.path}"


def address(url: str) -> Address:
    """Parse the API's address; raises InvalidSettings, without the URL, which may contain a password."""
    try:
        return _address(url)
    except ValueError:
        raise InvalidSettings(
            "the URL is not an address of the HTTP API: give it as https://threelane.example:8080, without a user, a "
            "password or a query"
        ) from None


def headers(key: str) -> dict[str, str]:
    """Return the headers of every request; raises InvalidSettings, without the key."""
    if not _KEY.fullmatch(key):
        raise InvalidSettings(
            "the API key is empty or has a space, a line end or another character that is not printable ASCII: give "
            "the key alone"
        )
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def _address(url: str) -> Address:
    """Parse an address; raises ValueError for a URL that one of the HTTP libraries cannot use."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    is_plain = url.isprintable() and " " not in url and parts.path.isascii()
    if not is_plain or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError
    port = parts.port
    host = parts.hostname or ""
    return Address(is_tls, _host(host), (443 if is_tls else 80) if port is None else port, parts.path.rstrip("/"))


def _host(host: str) -> str:
    """Return a host in ASCII; raises ValueError for one that cannot be looked up."""
    if ":" in host:
        return str(ip_address(host))
    encoded = host.encode("idna").decode().lower()
    if not _HOST.fullmatch(encoded):
        raise ValueError
    return encoded


def batches(every: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield messages a thousand at a time."""
    remaining = iter(every)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def one(to: str, text: str | None, fields: Mapping[str, Any]) -> ApiRequest:
    """Return the request that sends one message; raises Refused for a value that JSON cannot have."""
    given = {"to": to, "text": text, **fields}
    message = {name: value for name, value in given.items() if value is not None}
    body = _encoded(message)
    if isinstance(body, Refusal):
        raise Refused.from_refusal(body)
    return ApiRequest("POST", "/v1/messages", body, _is_identified(message))


def many(batch: Sequence[Mapping[str, Any]]) -> tuple[ApiRequest, dict[int, Refused]]:
    """Return the request that sends a batch, and refusals, by position, of values that JSON cannot have."""
    bodies, refused = [], {}
    for position, message in enumerate(batch):
        body = _encoded(message)
        if isinstance(body, Refusal):
            refused[position] = Refused.from_refusal(body)
        else:
            bodies.append(body)
    whole = b'{"messages":[' + b",".join(bodies) + b"]}"
    return ApiRequest("POST", "/v1/messages/bulk", whole, all(map(_is_identified, batch))), refused


def status(message_id: str) -> ApiRequest:
    """Return the request for the status of a message."""
    return ApiRequest("GET", f"/v1/messages/{quote(message_id, safe='')}", is_repeatable=True)


def cancel(message_id: str) -> ApiRequest:
    """Return the request that cancels a message."""
    return ApiRequest("DELETE", f"/v1/messages/{quote(message_id, safe='')}", is_repeatable=True)


def move(message_id: str, deliver_at: datetime | str) -> ApiRequest:
    """Return the request that reschedules a message."""
    body = msgspec.json.encode({"deliver_at": _plain(deliver_at)})
    return ApiRequest("PATCH", f"/v1/schedules/{quote(message_id, safe='')}", body, is_repeatable=True)


def batch_list(producer: str | None, cursor: str) -> ApiRequest:
    """Return the request for a page of batches."""
    return _of_batches(None, "", producer, cursor=cursor, most=str(BATCH))


def batch(name: str, producer: str | None) -> ApiRequest:
    """Return the request for the progress of a batch; raises ValueError for a name that no batch can have."""
    return _of_batches(name, "", producer)


def batch_messages(name: str, producer: str | None, cursor: str) -> ApiRequest:
    """Return the request for a page of a batch's messages."""
    return _of_batches(name, "/messages", producer, cursor=cursor)


def pause_batch(name: str, producer: str | None) -> ApiRequest:
    """Return the request that pauses a batch."""
    return _of_batches(name, "/pause", producer, method="POST")


def resume_batch(name: str, producer: str | None) -> ApiRequest:
    """Return the request that resumes a batch."""
    return _of_batches(name, "/resume", producer, method="POST")


def cancel_batch(name: str, producer: str | None, cursor: str) -> ApiRequest:
    """Return the request that cancels a page of a batch's messages."""
    return _of_batches(name, "/cancel", producer, method="POST", cursor=cursor)


def _of_batches(name: str | None, what: str, producer: str | None, method: str = "GET", **query: str) -> ApiRequest:
    """Return a request for batches; each may be sent twice with the same effect."""
    named = query if producer is None else {"producer": producer, **query}
    path = "/v1/batches" if name is None else f"/v1/batches/{quote(known_batch_name(name), safe='')}{what}"
    return ApiRequest(method, f"{path}?{urlencode(named)}" if named else path, is_repeatable=True)


def accepted(response: ApiResponse) -> Accepted:
    """Return the result for one message; raises Refused or Unavailable."""
    if response.status not in (200, 201):
        raise _refused(response)
    found: Accepted = _value(response, Accepted)
    return found


def answers(response: ApiResponse, refused: Mapping[int, Refused], number: int) -> list[Answer] | None:
    """Return the answers for a batch, in order; None if the request was too long.  Raises Unavailable."""
    if response.status == 413 and number > 1:
        return None
    if response.status != 200:
        return [_refused(response)] * number
    verdicts: MessageResults = _value(response, MessageResults)
    given = [one.refusal.error if one.refusal else one.message for one in verdicts.verdicts]
    known = [one for one in given if one is not None]
    if not len(known) == len(given) == number - len(refused):
        raise Unavailable(
            f"HTTP 200 with {len(known)} results for {number - len(refused)} messages: not Threelane's API, or a proxy "
            "in front of it"
        )
    remaining = iter(known)
    return [refused.get(position) or next(remaining) for position in range(number)]


def stands(response: ApiResponse) -> MessageStatus | None:
    """Return the status of a message, None if its id is unknown; raises Unavailable."""
    if response.status in _UNKNOWN and response.is_problem:
        return None
    if response.status != 200:
        fail(response)
    found: MessageStatus = _value(response, MessageStatus)
    return found


def cancelled(message_id: str, response: ApiResponse) -> Cancelled:
    """Return the result of a cancel; raises Unavailable."""
    if response.status in _UNKNOWN and response.is_problem:
        return Cancelled(message_id, CancelResult.UNKNOWN)
    if response.status == 409:
        problem = _value(response, Problem)
        return Cancelled(message_id, CancelResult.TOO_LATE, problem.state, problem.detail)
    if response.status not in (200, 202):
        fail(response)
    body: Cancelled = _value(response, Cancelled)
    return body


def moved(response: ApiResponse) -> Moved:
    """Return the new time of a message; raises Refused or Unavailable."""
    if response.status != 200:
        raise _refused(response, {404})
    found: Moved = _value(response, Moved)
    return found


def listed(response: ApiResponse) -> BatchPage:
    """Return a page of batches; raises Unavailable."""
    found: BatchPage = _known(response, BatchPage)
    return found


def progress(response: ApiResponse) -> Progress | None:
    """Return how far a batch is, None if it is unknown; raises Unavailable."""
    found: Progress | None = _known_or_none(response, Progress)
    return found


def paused(response: ApiResponse) -> PauseResult | None:
    """Return the result of a pause, None if the batch is unknown; raises Unavailable."""
    found: PauseResult | None = _known_or_none(response, PauseResult)
    return found


def resumed(response: ApiResponse) -> PauseResult:
    """Return the result of a resume; an unknown batch was not paused.  Raises Unavailable."""
    return paused(response) or PauseResult(messages=0, since=0)


def messages_of(response: ApiResponse) -> BatchMessages:
    """Return a page of a batch's messages, none if the batch is unknown; raises Unavailable."""
    found: BatchMessages | None = _known_or_none(response, BatchMessages)
    return found or BatchMessages([], FIRST)


def cancelled_of(response: ApiResponse) -> CancelResults:
    """Return the results for a page of a batch's messages, none if the batch is unknown; raises Unavailable."""
    found: CancelResults | None = _known_or_none(response, CancelResults)
    return found or CancelResults(cancelled=0, asked=0, too_late=0, not_retried=0)


def _known_or_none(response: ApiResponse, kind: Any) -> Any:
    """Return a value about a batch, None if the batch is unknown; raises Unavailable."""
    if response.status == 404 and response.is_problem:
        problem: Problem = _value(response, Problem)
        if problem.field == "path.batch":  # not a path that an earlier version of the API does not have
            return None
    return _known(response, kind)


def _known(response: ApiResponse, kind: Any) -> Any:
    if response.status != 200:
        fail(response)
    return _value(response, kind)


def lost(failed: Exception, *, sent: bool) -> Unavailable:
    """Return the exception for a request without a response."""
    if not sent:
        return Unavailable(f"the HTTP API cannot be reached ({type(failed).__name__}): nothing was sent")
    return Unavailable(
        f"the HTTP API's response was lost ({type(failed).__name__}): the request may have succeeded; retry with the "
        "same client message id, which never sends twice"
    )


def _refused(response: ApiResponse, also: set[int] | frozenset[int] = frozenset()) -> Refused:
    if response.status not in _REFUSING | also and not _is_limit(response):
        fail(response)
    problem: Problem = _value(response, Problem)
    code = str(Code.CLIENT_ID) if response.status == 404 else problem.code
    remedy = problem.remedy or problem.mend
    return Refused(code, problem.field, problem.detail, remedy, problem.owner, problem.id, _wait(response))


def _is_limit(response: ApiResponse) -> bool:
    """Return whether a message is over a limit; without a field, the rate of the key is used up."""
    if response.status != 429 or not response.is_problem:
        return False
    problem: Problem = _value(response, Problem)
    return bool(problem.field)


def _wait(response: ApiResponse) -> float:
    return float(response.retry_after) if _SECONDS.fullmatch(response.retry_after) else 0.0


def fail(response: ApiResponse) -> NoReturn:
    """Raise Unavailable for an API that cannot process the request now."""
    wait = _wait(response)
    try:
        problem = msgspec.json.decode(response.body, type=Problem)
    except _UNREADABLE:
        raise Unavailable(f"HTTP {response.status}: not Threelane's API, or a proxy in front of it") from None
    remedy = problem.remedy or problem.mend
    text = f"{problem.detail}; {remedy}" if remedy else problem.detail
    known: list[Answer] = [*problem.accepted, *(one.error for one in problem.refused)]
    raise Unavailable(text, known, problem.unsure, wait, problem.owner)


def _value(response: ApiResponse, kind: Any) -> Any:
    try:
        return msgspec.json.decode(response.body, type=kind)
    except _UNREADABLE:
        raise Unavailable(
            f"HTTP {response.status} with a body that is not Threelane's: check for a proxy in front of it"
        ) from None


def _is_identified(message: Mapping[str, Any]) -> bool:
    if not isinstance(message, Mapping):
        return True  # it is not sent
    names = (field.name for name, value in message.items() if value and (field := named(name)))
    return "client_message_id" in names


def _encoded(message: Mapping[str, Any]) -> bytes | Refusal:
    if not isinstance(message, Mapping):
        return messages.not_an_object(message)
    try:
        content = {name: _sent(name, value) for name, value in message.items()}
        refused = next((value for value in content.values() if isinstance(value, Refusal)), None)
        return refused or msgspec.json.encode(content, enc_hook=str)
    except UnicodeEncodeError as broken:
        remedy = "the text was cut or decoded wrongly before this call: send it whole, as UTF-8"
        problem = f"half of a surrogate pair at character {broken.start + 1}"
        return Refusal(code=Code.UNICODE, field="text", problem=problem, remedy=remedy)
    except (TypeError, ValueError, OverflowError, RecursionError) as failed:
        problem = f"it cannot be encoded as JSON ({type(failed).__name__})"
        return Refusal(
            code=Code.INVALID, field="message", problem=problem, remedy="give strings, numbers and lists of strings"
        )


def _sent(name: Any, value: Any) -> Any:
    """Return the value of a field as JSON has it; one that JSON lacks is refused as by a producer without the API."""
    if _is_json(value):
        return _plain(value)
    field = named(name)
    if isinstance(value, Iterator):
        value = list(value)
    parsed = field.parse(value, name) if field else None
    return parsed if isinstance(parsed, Refusal) else _plain(value) if field else None


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(one) for name, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float)


def _plain(value: Any) -> Any:
    """Return a value of a message as JSON has it."""
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
