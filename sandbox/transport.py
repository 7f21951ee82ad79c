"""The wire: sends a response, delayed, damaged or cut off by a fault."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from threelane.sandbox.faults import NOT_TAKEN, Do, RetryAfter, ScriptedFault
from threelane.sandbox.gateway import SandboxGateway

_UNREADABLE: Final = b"\x1f\x8b\x00 ~~ no known key here ~~ \xff\xfe"
_GATEWAY_ID: Final = re.compile(rb"\b[0-9a-f]{32}\b")
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER for no time: the close sends a RST
_GONE_EVERY_SECONDS: Final = 0.05


class HttpResponse(NamedTuple):
    """The complete response of an API, before transport faults apply."""

    body: bytes
    content_type: str = "text/html"
    status: int = 200


Handle = Callable[[], HttpResponse]
_Spoil = Callable[[SandboxGateway, web.Request, HttpResponse, ScriptedFault], Awaitable[web.StreamResponse]]
_NOTHING: Final = HttpResponse(b"")


async def carry(
    gateway: SandboxGateway, request: web.Request, handle: Handle, fault: ScriptedFault | None
) -> web.StreamResponse:
    """Handles a request and applies a transport fault to the response; a NOT_TAKEN fault skips the handler."""
    if fault is None:
        return await _answer(gateway, request, handle())
    if fault.do is Do.SLOW_BEFORE:
        await asyncio.sleep(fault.seconds)
    response = _NOTHING if fault.do in NOT_TAKEN else handle()
    return await _SPOIL[fault.do](gateway, request, response, fault)


async def _answer(gateway: SandboxGateway, _request: web.Request, response: HttpResponse) -> web.Response:
    """Returns the response after the usual latency."""
    await _wait_latency(gateway)
    return web.Response(body=response.body, status=response.status, content_type=response.content_type)


async def _wait_latency(gateway: SandboxGateway) -> None:
    settings = gateway.settings
    if settings.latency_ms or settings.latency_jitter_ms:
        jitter_ms = gateway.jitter.random() * settings.latency_jitter_ms
        await asyncio.sleep((settings.latency_ms + jitter_ms) / 1000)


async def _in_time(
    gateway: SandboxGateway, request: web.Request, response: HttpResponse, _fault: ScriptedFault
) -> web.StreamResponse:
    """Sends the response: what was to be delayed is late already."""
    return await _answer(gateway, request, response)


async def _slow(
    gateway: SandboxGateway, request: web.Request, response: HttpResponse, fault: ScriptedFault
) -> web.StreamResponse:
    """Sends the response late; the message was accepted at once."""
    await asyncio.sleep(fault.seconds)
    return await _answer(gateway, request, response)


async def _page(
    gateway: SandboxGateway, request: web.Request, _response: HttpResponse, fault: ScriptedFault
) -> web.StreamResponse:
    """Sends an HTML page, as a proxy, a load balancer or another site does."""
    http = HTTPStatus.BAD_GATEWAY if fault.do in (Do.HTML_502, Do.HTML_502_AFTER) else fault.http
    page = await _answer(gateway, request, HttpResponse(_html(http), status=http))
    if 300 <= http < 400:
        page.headers["Location"] = "/login"
    if fault.retry_after_seconds is not None:
        page.headers["Retry-After"] = _retry_after(fault.retry_after_seconds, fault.retry_after)
    return page


def _html(http: int) -> bytes:
    known = http in {status.value for status in HTTPStatus}
    title = f"{http} {HTTPStatus(http).phrase if known else 'Status'}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "</body>\r\n</html>\r\n"
    ).encode("ascii")


def _retry_after(seconds: int, form: RetryAfter) -> str:
    return str(seconds) if form is RetryAfter.SECONDS else formatdate(time.time() + seconds, usegmt=True)


async def _garbage(
    gateway: SandboxGateway, request: web.Request, _response: HttpResponse, _fault: ScriptedFault
) -> web.StreamResponse:
    """Sends text in no known form."""
    return await _answer(gateway, request, HttpResponse(_UNREADABLE))


async def _cut(
    _gateway: SandboxGateway, request: web.Request, _response: HttpResponse, _fault: ScriptedFault
) -> web.StreamResponse:
    """Closes the connection without a byte of the response."""
    if request.transport is not None:
        request.transport.abort()
    return _Octets()


async def _reset(
    _gateway: SandboxGateway, request: web.Request, _response: HttpResponse, _fault: ScriptedFault
) -> web.StreamResponse:
    """Resets the connection: the client receives a RST."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return _Octets()


async def _hang(
    _gateway: SandboxGateway, request: web.Request, _response: HttpResponse, _fault: ScriptedFault
) -> web.StreamResponse:
    """Sends nothing until the client gives up."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - no event shows it
        await asyncio.sleep(_GONE_EVERY_SECONDS)
    return _Octets()


async def _cut_middle(
    _gateway: SandboxGateway, _request: web.Request, response: HttpResponse, _fault: ScriptedFault
) -> web.StreamResponse:
    """Announces the full length of the response, writes half of it and closes the connection."""
    return _cut_after(len(response.body) // 2, response)


async def _cut_at(
    gateway: SandboxGateway, _request: web.Request, response: HttpResponse, fault: ScriptedFault
) -> web.StreamResponse:
    """Writes the first octets of the body and closes the connection; without a length, this looks complete."""
    octets = gateway.damage.randrange(max(1, len(response.body))) if fault.octets is None else fault.octets
    await _wait_latency(gateway)
    return _cut_after(octets, response, announced=fault.announced)


def _cut_after(octets: int, response: HttpResponse, announced: bool = True) -> web.StreamResponse:
    length = len(response.body) if announced else None
    return _Octets(_head(response, length) + response.body[:octets], closes=True)


async def _unasked(
    gateway: SandboxGateway, request: web.Request, response: HttpResponse, fault: ScriptedFault
) -> web.StreamResponse:
    """Sends the response, and then the same with other ids, which no request asked for; a refusal stays alone."""
    await _wait_latency(gateway)
    first = _head(response, len(response.body)) + response.body
    body = _GATEWAY_ID.sub(lambda _: f"{gateway.damage.getrandbits(128):032x}".encode(), response.body)
    if body == response.body:
        return _Octets(first)
    second = _head(response, len(body)) + body
    if not fault.seconds:
        return _Octets(first + second)
    asyncio.get_running_loop().call_later(fault.seconds, _write, request.transport, second)
    return _Octets(first)


def _write(transport: asyncio.Transport | None, octets: bytes) -> None:
    if octets and transport is not None and not transport.is_closing():
        transport.write(octets)


def _head(response: HttpResponse, length: int | None) -> bytes:
    """Returns the status line and the headers; without a length, the body ends with the connection."""
    ends = "Connection: close" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 {response.status} OK\r\nContent-Type: {response.content_type}\r\n{ends}\r\n\r\n".encode("ascii")


class _Octets(web.StreamResponse):
    """A response of exactly these octets, none by default, after which the connection may close."""

    def __init__(self, octets: bytes = b"", closes: bool = False) -> None:
        super().__init__()
        self._octets = octets
        self._closes = closes

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Writes the octets in one piece."""
        is_open = request.transport is not None and not request.transport.is_closing()
        self._keep_alive = is_open and request.keep_alive and not self._closes
        if is_open:
            _write(request.transport, self._octets)
        if self._closes and request.transport is not None:
            request.transport.close()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes nothing more."""


_SPOIL: Final[dict[Do, _Spoil]] = {
    Do.LOSE_ANSWER: _cut,
    Do.CUT_BEFORE: _cut,
    Do.CUT_MIDDLE: _cut_middle,
    Do.SLOW: _slow,
    Do.SLOW_BEFORE: _in_time,
    Do.HTML_502: _page,
    Do.HTML_502_AFTER: _page,
    Do.GARBAGE: _garbage,
    Do.GARBAGE_BEFORE: _garbage,
    Do.PAGE: _page,
    Do.PAGE_AFTER: _page,
    Do.RESET: _reset,
    Do.RESET_AFTER: _reset,
    Do.HANG: _hang,
    Do.HANG_AFTER: _hang,
    Do.CUT_AT: _cut_at,
    Do.UNASKED: _unasked,
    Do.HIDE: _cut,
}
"""What each transport fault does with the response; NOT_TAKEN faults have none."""
