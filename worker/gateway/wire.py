"""Wire: one HTTP session per process, and the one question that decides everything: had the request left?"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

MAX_ANSWER = 1 << 20  # octets of an answer that are read
IDLE_SECONDS = 15.0


@dataclass(slots=True)
class Trace:
    """What is known of one request: whether a connection was had for it."""

    connected: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer that came whole."""

    status: int
    body: bytes


_ASKING: ContextVar[Trace] = ContextVar("asking")


class _Connector(aiohttp.TCPConnector):
    """Notes that a connection was had; aiohttp's own traces cost a tenth of a request."""

    async def connect(self, *given: Any, **named: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*given, **named)
        _ASKING.get().connected = True
        return connection


class Wire:
    """Sends requests and never repeats a POST; redirects are not followed, answers are cut at a megabyte."""

    def __init__(self, timeout_seconds: float) -> None:
        """Make the session; to be called on the event loop."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            connector=_Connector(limit=0, ttl_dns_cache=60, keepalive_timeout=IDLE_SECONDS),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> HttpReply | AttemptOutcome:
        """Post; returns what ``request`` does."""
        return await self.request("POST", url, headers, body)

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpReply | AttemptOutcome:
        """Ask; returns the whole answer, or NOT_REACHED before a connection was had, or LOST after.

        GET and DELETE may be repeated, once, when a kept connection ends under them: they change nothing twice.
        """
        trace = Trace()
        _ASKING.set(trace)
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
    """Return the answer when it has come to its end, in however many pieces, or its first megabyte."""
    body = await content.readany()
    while not content.at_eof() and len(body) < MAX_ANSWER:
        body += await content.readany()
    return body[:MAX_ANSWER]
