"""Wire: one HTTP session per process, which records whether a request left before it failed."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

MAX_ANSWER = 1 << 20  # bytes of a response that are read
IDLE_SECONDS = 15.0


@dataclass(slots=True)
class Trace:
    """Whether one request got a connection."""

    connected: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete HTTP response."""

    status: int
    body: bytes


_CURRENT: ContextVar[Trace] = ContextVar("current_request")


class _Connector(aiohttp.TCPConnector):
    """Records that a request got a connection; aiohttp's own traces cost a tenth of a request."""

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        _CURRENT.get().connected = True
        return connection


class Wire:
    """Sends requests and never repeats a POST; follows no redirects, and cuts responses at a megabyte."""

    def __init__(self, timeout_seconds: float) -> None:
        """Open the session; call it on the event loop."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            connector=_Connector(limit=0, ttl_dns_cache=60, keepalive_timeout=IDLE_SECONDS),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> HttpReply | AttemptOutcome:
        """Send a POST; returns the same as ``request``."""
        return await self.request("POST", url, headers, body)

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpReply | AttemptOutcome:
        """Send a request; returns the whole response, NOT_REACHED if it got no connection, or LOST if it failed later.

        aiohttp may repeat a GET or DELETE once if a kept connection closes: both are idempotent.
        """
        trace = Trace()
        _CURRENT.set(trace)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return HttpReply(response.status, await _whole(response.content))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failed:
            kind = OutcomeKind.LOST if trace.connected else OutcomeKind.NOT_REACHED
            return AttemptOutcome(kind, text=type(failed).__name__)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """Return the whole response body, or its first megabyte."""
    body = await content.readany()
    while not content.at_eof() and len(body) < MAX_ANSWER:
        body += await content.readany()
    return body[:MAX_ANSWER]
