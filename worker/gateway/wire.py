"""Wire: one HTTP session per process, and the one question that decides everything: had the request left?"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp

from worker.gateway.outcome import Kind, Outcome

MAX_ANSWER = 1 << 20  # octets of an answer that are read
IDLE_SECONDS = 15.0


@dataclass(slots=True)
class Trace:
    """What is known of one request: whether a connection was had for it."""

    connected: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that came whole."""

    status: int
    body: bytes


class Wire:
    """Sends requests and never repeats a POST; redirects are not followed, answers are cut at a megabyte."""

    def __init__(self, timeout_seconds: float) -> None:
        """Make the session; to be called on the event loop."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_connected)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=IDLE_SECONDS),
            trace_configs=[trace],
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Reply | Outcome:
        """Post; returns what ``request`` does."""
        return await self.request("POST", url, headers, body)

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> Reply | Outcome:
        """Ask; returns the whole answer, or NOT_REACHED before a connection was had, or LOST after.

        GET and DELETE may be repeated, once, when a kept connection ends under them: they change nothing twice.
        """
        trace = Trace()
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=trace
            ) as response:
                return Reply(response.status, await _whole(response.content))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failed:
            kind = Kind.LOST if trace.connected else Kind.NOT_REACHED
            return Outcome(kind, text=type(failed).__name__)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """Return the answer when it has come to its end, in however many pieces, or its first megabyte."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) >= MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER])


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
    context.trace_request_ctx.connected = True
