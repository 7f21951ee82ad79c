"""Wire: one HTTP session per process, which records whether a request left before it failed."""

from __future__ import annotations

import zlib
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import aiohttp
from aiohttp import hdrs

from threelane.worker.gateway.connection import WITHOUT_BODY, Connector, Conversation
from threelane.worker.gateway.outcome import LONGEST_RETRY_AFTER_SECONDS, AttemptOutcome, OutcomeKind

MAX_ANSWER = 1 << 20  # bytes; a longer response is unreadable
IDLE_SECONDS = 15.0
_ABSURD_SECONDS = 30 * 24 * 3600.0  # a Retry-After beyond this is an error of the server
_GZIP = zlib.MAX_WBITS | 16
_MOST_DIGITS = 12


@dataclass(slots=True)
class Trace:
    """The connection that one request got, if it got any, and the wait that its response asks for."""

    conversation: Conversation | None = field(default=None)
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP response; ``retry_after_seconds`` is 0 if the gateway requests no wait.

    Without an announced end (neither a length nor chunks) the body may be cut: only a text that is complete in itself
    counts then.
    """

    status: int
    body: bytes
    retry_after_seconds: float = 0.0
    has_end: bool = True


@dataclass(slots=True)
class Departure:
    """Whether a request of one call got a connection: from then on it may have left."""

    has_left: bool = False


class BrokenReply(Exception):
    """The response is not certain to be whole; the text is why."""


_CURRENT: ContextVar[Trace] = ContextVar("current_request")
_DEPARTURE: ContextVar[Departure | None] = ContextVar("departure", default=None)


def watch_departure() -> Departure:
    """Return the departure of the requests that this task, and the tasks it starts, make from now on."""
    departure = Departure()
    _DEPARTURE.set(departure)
    return departure


def requested_wait_seconds() -> float:
    """Return the wait that the last response of the current task asks for, or 0."""
    trace = _CURRENT.get(None)
    return trace.retry_after_seconds if trace else 0.0


class _Connector(Connector):
    """Records that a request got a connection; aiohttp's own traces cost a tenth of a request."""

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        departure = _DEPARTURE.get()
        if departure is not None:
            departure.has_left = True
        _CURRENT.get().conversation = connection.protocol  # type: ignore[assignment]  # the connector makes no other
        return connection


class Wire:
    """Sends requests and never repeats a POST; follows no redirects, and rejects responses above a megabyte."""

    def __init__(self, timeout_seconds: float) -> None:
        """Open the session; call it on the event loop."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            connector=_Connector(limit=0, ttl_dns_cache=60, keepalive_timeout=IDLE_SECONDS),
            auto_decompress=False,  # aiohttp does not notice that a packed body is cut
            headers={hdrs.ACCEPT_ENCODING: "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> HttpReply | AttemptOutcome:
        """Send a POST; returns the same as ``request``."""
        return await self.request("POST", url, headers, body)

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpReply | AttemptOutcome:
        """Send a request; returns the whole response, NOT_REACHED if it got no connection, or LOST if it failed later.

        UNREADABLE: a response with more octets after it, which may be another request's, or one that cannot be
        unpacked.  aiohttp may repeat a GET or DELETE once if a kept connection closes: both are idempotent.
        """
        trace = Trace()
        _CURRENT.set(trace)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await self._read(response, trace)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failed:
            kind = OutcomeKind.LOST if trace.conversation is not None else OutcomeKind.NOT_REACHED
            return AttemptOutcome(kind, text=type(failed).__name__)

    async def _read(self, response: aiohttp.ClientResponse, trace: Trace) -> HttpReply | AttemptOutcome:
        wait = trace.retry_after_seconds = _retry_after(response)
        try:
            body, has_end = await _whole(response)
        except BrokenReply as broken:
            return AttemptOutcome(OutcomeKind.UNREADABLE, text=str(broken), retry_after_seconds=wait)
        if trace.conversation is not None and trace.conversation.unrequested:
            trace.conversation.abandon()
            return AttemptOutcome(OutcomeKind.UNREADABLE, text="more than one response", retry_after_seconds=wait)
        return HttpReply(response.status, body, wait, has_end)

    def trusting(self, outcomes: list[AttemptOutcome]) -> list[AttemptOutcome]:
        """Return what was read from this task's last response; closes its connection if any of that is unreadable.

        The response may have been another request's, and then the next one on this connection would be, too.
        """
        conversation = _CURRENT.get().conversation
        if conversation is not None and any(one.kind is OutcomeKind.UNREADABLE for one in outcomes):
            conversation.abandon()
        return outcomes

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _whole(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Return the response body, and whether its end was announced; raises BrokenReply above a megabyte.

    A body that ends with its connection may have been cut anywhere.
    """
    headers, content = response.headers, response.content
    is_chunked = "chunked" in headers.get(hdrs.TRANSFER_ENCODING, "").lower()
    has_end = is_chunked or hdrs.CONTENT_LENGTH in headers or response.status in WITHOUT_BODY
    body = await content.readany()
    while not content.at_eof() and len(body) <= MAX_ANSWER:
        body += await content.readany()
    if len(body) > MAX_ANSWER:
        raise BrokenReply("a body of more than a megabyte")
    packed = headers.get(hdrs.CONTENT_ENCODING)
    return body if packed is None else _unpacked(body, packed.strip().lower()), has_end


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return an encoded body as it was before; raises BrokenReply if it is cut, too long, or in another encoding."""
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise BrokenReply("a body in an encoding that was not requested")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(body, MAX_ANSWER + 1)
    except zlib.error:
        raise BrokenReply("a body that cannot be unpacked") from None
    if not unpacker.eof or unpacker.unused_data or len(plain) > MAX_ANSWER:
        raise BrokenReply("a body that is cut, or more than a megabyte")
    return plain


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Return the wait that a rate limit or a server error requests."""
    if response.status != 429 and response.status < 500:
        return 0.0
    headers = response.headers
    return retry_after_seconds(headers.get(hdrs.RETRY_AFTER, ""), headers.get(hdrs.DATE, ""), time())


def retry_after_seconds(value: str, date: str, now: float) -> float:
    """Return the wait that a ``Retry-After`` requests, at most an hour; 0 if it is past, absurd or not one.

    It is a number of seconds, or a date that counts from the response's own ``Date``, if that has one: the server's
    clock may differ from ours, which is ``now``, in seconds.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value) if len(value) <= _MOST_DIGITS else _ABSURD_SECONDS + 1
    else:
        until, sent = _timestamp(value), _timestamp(date)
        seconds = 0.0 if until is None else until - (now if sent is None else sent)
    return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if 0 < seconds <= _ABSURD_SECONDS else 0.0


def _timestamp(date: str) -> float | None:
    """Return an HTTP date in Unix seconds, or None if it is not one."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
