"""Guard: wraps every request with security headers, one log line, and a clean answer if our code fails."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect

from threelane.contract.refusal import Owner
from threelane.interfaces.api.problem import MEDIA_TYPE, stop
from threelane.interfaces.api.service import LEASE
from threelane.runtime import logs
from threelane.runtime.connections import CURRENT
from threelane.runtime.deadline import arrive

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
PROBES = ("live", "ready")  # not worth a line each
SLICE = 64 * 1024
YEAR_OF_TLS = "max-age=31536000"


class Guard:
    """Wraps the application."""

    def __init__(self, app: App) -> None:
        """Guard this."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        arrive()  # from now on it may wait for a thread

        async def safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", YEAR_OF_TLS)
            await _in_slices(send, message)

        connection = CURRENT.get()
        if connection:
            connection.request = asyncio.current_task()
        try:
            await self._app(scope, receive, safely)
        except ClientDisconnect:
            status = status or 499
        except asyncio.CancelledError:
            if not (connection and connection.is_lost):
                raise
            status = status or 499
            await _disconnected(receive)
        except Exception as failed:
            _log_failure(failed)
            if not status:
                await _send_internal_error(safely)
        finally:
            if connection:
                connection.request = None
            if LEASE in scope:
                scope[LEASE].release()
        _log(scope, status, time.monotonic() - began)


async def _disconnected(receive: Receive) -> None:
    """Return once the server knows that the connection is lost, and expects no response."""
    task = asyncio.current_task()
    if task:
        task.uncancel()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _in_slices(send: Send, message: Message) -> None:
    """Send a long body in slices: its memory stays with the request until the client has read it."""
    body = message.get("body", b"")
    while len(body) > SLICE:
        await send({**message, "body": body[:SLICE], "more_body": True})
        body = body[SLICE:]
        message = {**message, "body": body}
    await send(message)


def _log(scope: Scope, status: int, seconds: float) -> None:
    """Log one line with the name of the operation, never its URL, which may hold ids, names and queries."""
    asked = getattr(scope.get("endpoint"), "__name__", "nothing")
    level = logging.DEBUG if asked in PROBES and status < 400 else logging.INFO
    more = {"key": scope["threelane.key"]} if "threelane.key" in scope else {}
    logs.event("request", level=level, asked=asked, status=status, ms=round(seconds * 1000, 1), **more)


def _log_failure(failed: Exception) -> None:
    """Log where it failed, never the exception's text, which may hold a number or a message."""
    place = traceback.extract_tb(failed.__traceback__)[-1]
    where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
    logs.event("api_failed", level=logging.ERROR, error=type(failed).__name__, where=where)


async def _send_internal_error(send: Send) -> None:
    problem = stop(500, "internal error; the log has the place", owner=Owner.OPERATOR, remedy="report it").problem
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
