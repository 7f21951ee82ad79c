"""The wire: sends a response, delayed, damaged or cut off by a fault."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web

from threelane.sandbox.faults import Do, ScriptedFault
from threelane.sandbox.gateway import SandboxGateway

_BAD_GATEWAY: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
_UNREADABLE: Final = b"\x1f\x8b\x00 ~~ no known key here ~~ \xff\xfe"


class HttpResponse(NamedTuple):
    """The complete response of an API, before transport faults apply."""

    body: bytes
    content_type: str = "text/html"
    status: int = 200


Handle = Callable[[], HttpResponse]


async def carry(
    gateway: SandboxGateway, request: web.Request, handle: Handle, fault: ScriptedFault | None
) -> web.StreamResponse:
    """Handles a request and applies a transport fault to the response; a NOT_TAKEN fault skips the handler."""
    match fault and fault.do:
        case None:
            response = handle()
        case Do.CUT_BEFORE:
            return _cut(request)
        case Do.HTML_502:
            response = HttpResponse(_BAD_GATEWAY, status=502)
        case Do.GARBAGE_BEFORE:
            response = HttpResponse(_UNREADABLE)
        case Do.LOSE_ANSWER:
            handle()
            return _cut(request)
        case Do.CUT_MIDDLE:
            return _cut_middle(request, handle())
        case Do.HTML_502_AFTER:
            handle()
            response = HttpResponse(_BAD_GATEWAY, status=502)
        case Do.GARBAGE:
            handle()
            response = HttpResponse(_UNREADABLE)
        case Do.SLOW_BEFORE:
            await asyncio.sleep(fault.seconds if fault else 0)
            response = handle()
        case _:  # slow: the message is accepted at once, only the response is late
            response = handle()
            await asyncio.sleep(fault.seconds if fault else 0)
    settings = gateway.settings
    if settings.latency_ms or settings.latency_jitter_ms:
        jitter_ms = gateway.jitter.random() * settings.latency_jitter_ms
        await asyncio.sleep((settings.latency_ms + jitter_ms) / 1000)
    return web.Response(body=response.body, status=response.status, content_type=response.content_type)


def _cut(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a byte of the response."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # never sent: the connection is closed


def _cut_middle(request: web.Request, response: HttpResponse) -> web.StreamResponse:
    """Announces the full length of the response, writes half of it and closes the connection."""
    head = (
        f"HTTP/1.1 {response.status} OK\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n\r\n"
    )
    if request.transport is not None:
        request.transport.write(head.encode("ascii") + response.body[: len(response.body) // 2])
        request.transport.close()
    return web.Response()  # never sent: the connection is closed
