"""The wire: carries out an answer, late, damaged or cut off where a fault says so."""

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


class HttpAnswer(NamedTuple):
    """What an API says: complete, before anything on the wire can damage it."""

    body: bytes
    content_type: str = "text/html"
    status: int = 200


Handle = Callable[[], HttpAnswer]


async def carry(
    gateway: SandboxGateway, request: web.Request, handle: Handle, fault: ScriptedFault | None
) -> web.StreamResponse:
    """Handles a request and answers it as the fault has it; those of NOT_TAKEN never reach the handler."""
    match fault and fault.do:
        case None:
            answer = handle()
        case Do.CUT_BEFORE:
            return _cut(request)
        case Do.HTML_502:
            answer = HttpAnswer(_BAD_GATEWAY, status=502)
        case Do.GARBAGE_BEFORE:
            answer = HttpAnswer(_UNREADABLE)
        case Do.LOSE_ANSWER:
            handle()
            return _cut(request)
        case Do.CUT_MIDDLE:
            return _cut_middle(request, handle())
        case Do.HTML_502_AFTER:
            handle()
            answer = HttpAnswer(_BAD_GATEWAY, status=502)
        case Do.GARBAGE:
            handle()
            answer = HttpAnswer(_UNREADABLE)
        case Do.SLOW_BEFORE:
            await asyncio.sleep(fault.seconds if fault else 0)
            answer = handle()
        case _:  # slow: the message is taken at once, only its answer is late
            answer = handle()
            await asyncio.sleep(fault.seconds if fault else 0)
    settings = gateway.settings
    if settings.latency_ms or settings.latency_jitter_ms:
        jitter_ms = gateway.jitter.random() * settings.latency_jitter_ms
        await asyncio.sleep((settings.latency_ms + jitter_ms) / 1000)
    return web.Response(body=answer.body, status=answer.status, content_type=answer.content_type)


def _cut(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a byte of answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere: the connection is closed


def _cut_middle(request: web.Request, answer: HttpAnswer) -> web.StreamResponse:
    """Promises the whole answer, writes half of it and closes the connection."""
    head = (
        f"HTTP/1.1 {answer.status} OK\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
    )
    if request.transport is not None:
        request.transport.write(head.encode("ascii") + answer.body[: len(answer.body) // 2])
        request.transport.close()
    return web.Response()  # goes nowhere: the connection is closed
