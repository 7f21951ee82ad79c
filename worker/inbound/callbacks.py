"""Callbacks: the door for Clickatell's status callbacks; it answers when the record is written, or not at all.

The addresses are ``/<secret>/status`` (HTTP, XML and REST API) and ``/<secret>/one`` (One API).  Anything that is not
2xx is repeated by the gateway, 8 times over 3 days, so a Redis that is away costs nothing but time.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import redis.asyncio
from aiohttp import BasicAuth, web
from redis.exceptions import RedisError

from producer import logs
from producer.clock import RedisClock
from producer.states import Status
from worker.inbound import one_events
from worker.policy.statuses import millionths, status_code
from worker.receipt import Receipt, receive
from worker.settings import CallbackSettings

MAX_BODY = 64 * 1024
_OUR_ID = re.compile(r"[0-9a-f]{32}")


class Door:
    """Answers the callbacks of one account."""

    def __init__(self, settings: CallbackSettings, client: redis.asyncio.Redis) -> None:
        """Guard the door with the secret, and with basic authentication if it is set."""
        self._settings = settings
        self._client = client
        self._clock = RedisClock()
        self._retention_ms = int(settings.retention_days * 24 * 3600 * 1000)

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{secret}/status", self.status)
        app.router.add_route("*", "/{secret}/one", self.one)
        app.router.add_get("/health", self.health)
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """Say that the door is open; a probe of the container, not of the gateway."""
        return web.Response(text="ok\n")

    async def status(self, request: web.Request) -> web.Response:
        """Take one status callback, by GET or as a form."""
        if request.method not in ("GET", "POST") or not self._is_known(request):
            return web.Response(status=404, text="not found\n")
        try:
            fields = await _fields(request)
        except ValueError as unreadable:
            return web.Response(status=400, text=f"{unreadable}\n")
        if not fields:
            return web.Response(text="ok\n")  # the gateway tries the address without parameters
        receipt = _receipt(fields)
        if isinstance(receipt, str):
            logs.event("receipt_refused", level=30, reason=receipt)
            return web.Response(status=400, text=f"{receipt}\n")
        return await self._receive([receipt])

    async def one(self, request: web.Request) -> web.Response:
        """Take the One API's events, as JSON."""
        if request.method not in ("GET", "POST") or not self._is_known(request):
            return web.Response(status=404, text="not found\n")
        body = await request.read()
        if not body.strip():
            return web.Response(text="ok\n")  # the address is tried without a body
        try:
            updates = one_events.read(body)
        except ValueError as wrong:
            logs.event("receipt_refused", level=30, reason=str(wrong))
            return web.Response(status=400, text=f"{wrong}\n")
        return await self._receive([receipt for receipt, _ in updates], [to for _, to in updates])

    async def _receive(
        self, receipts: Sequence[Receipt], states: Sequence[Status | None] | None = None
    ) -> web.Response:
        if not receipts:
            return web.Response(text="ok\n")
        try:
            if self._clock.is_stale():
                asked_at = self._clock.monotonic()
                self._clock.follow(await self._client.time(), asked_at)
            await receive(self._client, receipts, self._retention_ms, self._clock.now(), states)
        except (RedisError, OSError):
            return web.Response(status=503, text="not written down: send it again\n")
        return web.Response(text="ok\n")

    def _is_known(self, request: web.Request) -> bool:
        secret = self._settings.callback_secret.get_secret_value()
        known = hmac.compare_digest(request.match_info["secret"].encode(), secret.encode())
        if not self._settings.callback_user:
            return known
        try:
            given = BasicAuth.decode(request.headers.get("Authorization", ""), encoding="utf-8")
        except ValueError:
            return False
        password = self._settings.callback_password.get_secret_value()
        same_user = hmac.compare_digest(given.login.encode(), self._settings.callback_user.encode())
        return known and same_user and hmac.compare_digest(given.password.encode(), password.encode())


async def _fields(request: web.Request) -> Mapping[str, str]:
    """Return the parameters with their names in lower case, from the query and a form body together."""
    try:
        body = await request.read()  # more than client_max_size is answered with 413
        pairs = parse_qsl(request.query_string) + parse_qsl(body.decode("utf-8", errors="replace"), max_num_fields=50)
    except ValueError as unreadable:
        raise ValueError(str(unreadable) or "unreadable") from None
    if body.strip() and not pairs:
        raise ValueError("the body is no form")  # not the probe, which has none: a callback in another format
    return {name.lower(): value for name, value in pairs}


def _receipt(fields: Mapping[str, str]) -> Receipt | str:
    """Return the receipt, or what is wrong with it."""
    message_id = fields.get("climsgid", "")
    status = fields.get("status", "")
    if not _OUR_ID.fullmatch(message_id):
        return "cliMsgId is missing or not one of ours: 32 hexadecimal digits"
    if not re.fullmatch(r"[0-9A-Ca-c]{1,3}", status):
        return "status is missing or not a status code, such as 004"
    charge = millionths(fields["charge"]) if "charge" in fields else None
    if charge is None and fields.get("charge"):
        return "charge is not an amount, such as 0.800000"
    return Receipt(message_id, fields.get("apimsgid", "")[:64], status_code(status), charge)
