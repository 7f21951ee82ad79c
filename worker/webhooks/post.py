"""Post: one try to deliver one event to one webhook."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import NamedTuple

import aiohttp
from aiohttp import ClientError, ClientTimeout
from aiohttp.abc import ResolveResult

from threelane.contract import signature
from threelane.store.registry import Registration
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.addresses import RefusedAddress, is_public_name, public_socket

_KEPT_SECONDS = 3.0  # shorter than servers keep idle connections, so that posts seldom meet a closed one


class PostVerdict(StrEnum):
    """The result of a try; a metric label."""

    TAKEN = "taken"
    FAILED = "failed"
    REFUSED_ADDRESS = "refused_address"


class PostResult(NamedTuple):
    """A try's result, the HTTP status or 0, and why it failed, as text."""

    result: PostVerdict
    status: int = 0
    reason: str = ""


class PublicNames(aiohttp.ThreadedResolver):
    """The system's resolver, even if aiodns is installed, for names that are not those of an inner network."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises RefusedAddress for a name of an inner network."""
        if not is_public_name(host):
            raise RefusedAddress("not a public name")
        return await super().resolve(host, port, family)


def open_session(settings: WebhookSettings) -> aiohttp.ClientSession:
    """Return the HTTP session for posts; it limits no connections, since each courier limits its own."""
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=aiohttp.ThreadedResolver() if settings.webhook_private_addresses else PublicNames(),
        socket_factory=None if settings.webhook_private_addresses else public_socket,
        keepalive_timeout=_KEPT_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=ClientTimeout(total=settings.webhook_timeout_seconds),
        headers={"User-Agent": "threelane", "Content-Type": "application/json", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # a proxy could connect to refused addresses
    )


async def post(
    session: aiohttp.ClientSession, registration: Registration, event_id: str, body: bytes, now: int
) -> PostResult:
    """Post an event, signed at ``now`` (Unix time, s); never raises for a failure of the network or the receiver."""
    try:
        headers = signature.headers(registration.secrets(now * 1000), event_id, now, body)
        # only the status counts: of the body, only what arrived with the headers is read
        async with session.post(registration.webhook, data=body, headers=headers, allow_redirects=False) as response:
            return _judged(response.status)
    except TimeoutError:
        return PostResult(PostVerdict.FAILED, reason="no answer in time")
    except (ClientError, OSError, ValueError) as failed:
        return _failed(failed)


def _judged(status: int) -> PostResult:
    if 200 <= status < 300:
        return PostResult(PostVerdict.TAKEN, status)
    redirect = 300 <= status < 400
    return PostResult(
        PostVerdict.FAILED, status, f"{status}: redirects are not followed" if redirect else f"answered {status}"
    )


def _failed(failed: Exception) -> PostResult:
    if isinstance(failed, RefusedAddress) or isinstance(getattr(failed, "os_error", None), RefusedAddress):
        return PostResult(PostVerdict.REFUSED_ADDRESS, reason="its address is not a public one")
    if isinstance(failed, aiohttp.ClientConnectorDNSError):
        return PostResult(PostVerdict.FAILED, reason="its name leads nowhere")
    if isinstance(failed, aiohttp.ClientSSLError):
        return PostResult(PostVerdict.FAILED, reason="TLS failed")
    if isinstance(failed, aiohttp.ClientConnectorError):
        return PostResult(PostVerdict.FAILED, reason="no connection")
    return PostResult(PostVerdict.FAILED, reason=f"no answer ({type(failed).__name__})")
