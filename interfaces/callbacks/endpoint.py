"""Callbacks: the endpoint for Clickatell's receipts and replies; it acknowledges a callback once Redis has stored it.

The addresses are those that gateways declare: ``/<secret>/status`` and ``/<secret>/mo`` (HTTP, XML and REST API:
statuses and replies, either takes both), ``/<secret>/platform`` (Platform APIs), ``/<secret>/one`` (One API).  The same
number means different things in the families, so the address decides and not the content.  Anything that is not 2xx is
repeated by the gateway, 8 times over 3 days, so a Redis that is away costs nothing but time.

Each account has a secret of its own.  It decides the account in which a callback works: ids that two accounts share
never meet, and a status of a message that another account has changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import redis.asyncio
from aiohttp import web
from redis.exceptions import RedisError

from threelane.contract import gateways
from threelane.contract.accounts.account import stored
from threelane.interfaces.api.places import NoPlace
from threelane.interfaces.callbacks.batch import ReportBatcher
from threelane.interfaces.callbacks.body import BodyReader
from threelane.interfaces.callbacks.credentials import CHALLENGE, CallbackCredentials, Caller, Presented
from threelane.interfaces.callbacks.seldom import SeldomEvent
from threelane.producer.explanation import explain
from threelane.runtime import logs, tracing
from threelane.runtime.clock import RedisClock
from threelane.store import keys
from threelane.store.keys import Space, space_of
from threelane.store.replies import reply_of
from threelane.worker.inbound.media import KINDS
from threelane.worker.inbound.report import Foreign, Inbound
from threelane.worker.inbound.sieve import TooLong
from threelane.worker.process import metrics
from threelane.worker.process.settings import CallbackSettings
from threelane.worker.receipt.receipt import ReceiptResult
from threelane.worker.reply.near import NearStop
from threelane.worker.reply.reply import take
from threelane.worker.reply.words import Words

AWAY_SECONDS = 5  # before the gateway repeats, if the table of replies has no time for this outage
HEARD_MS = 5_000  # between two updates of the time of the last receipt
_METHODS = ("GET", "HEAD", "POST")
_REFUSED = {Presented.UNAUTHENTICATED: "missing", Presented.WRONG_PASSWORD: "wrong"}
"""What is challenged -> how its log event and its metric name it."""
_FOREIGN_LEVELS = {Foreign.OTHER_APPLICATION: 20, Foreign.OTHER_ACCOUNT: 30}  # the latter is an address entered wrongly
Reader = Callable[[bytes, bytes], Inbound]


def readers() -> dict[str, Reader]:
    """Return what reads each path, as gateways declare it; raises InvalidGateway."""
    return {
        path: gateways.resolve(one, f"reader of {path}", reference)
        for one in gateways.declared().values()
        for path, reference in one.callbacks.items()
    }


class CallbackEndpoint:
    """Serves the callbacks of all accounts."""

    def __init__(
        self,
        settings: CallbackSettings,
        client: redis.asyncio.Redis,
        words: Words,
        accounts: Mapping[str, CallbackSettings],
    ) -> None:
        """Require the secret of one of these accounts, and its basic authentication if it is set."""
        self._credentials = CallbackCredentials(accounts)
        self._refused_passwords = {
            presented: SeldomEvent(f"callback_password_{which}", level=30) for presented, which in _REFUSED.items()
        }
        self._bodies = BodyReader(settings.callbacks_head_seconds)
        self._client = client
        self._words = words
        self._near_stop = NearStop(settings.near_stop)
        self._confirmation = settings.stop_confirmation
        self._clock = RedisClock()
        self._spaces = {name: space_of(stored(name)) for name in accounts}
        tracer = tracing.tracer(enabled=settings.otel)
        self._reports = {
            space: ReportBatcher(client, settings.keeping, self._clock, tracer, space)
            for space in self._spaces.values()
        }
        self._heard_at = dict.fromkeys(self._reports, 0)
        self._problem = ""  # why nothing can be stored now

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application()
        for name, reader in readers().items():
            app.router.add_route("*", f"/{{secret}}/{name}", self._taking(name, reader))
            for whose in Foreign:  # 0 from the start: a counter that first appears as 1 shows no increase
                metrics.FOREIGN.labels(name, whose)
        for kind in KINDS:
            metrics.REPLY_MEDIA.labels(kind)
        for name in self._spaces:
            for which in _REFUSED.values():
                metrics.CALLBACK_PASSWORDS_REFUSED.labels(name, which)
        app.router.add_get("/health", self.health)
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """Report that the process is up; for probes of the container, not for the gateway."""
        return web.Response(text="ok\n")

    def _taking(self, path: str, read: Reader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        events = {whose: SeldomEvent("statuses_foreign", level=level) for whose, level in _FOREIGN_LEVELS.items()}

        def ignore(whose: Foreign, times: int, **fields: str) -> None:
            """Count and log what is acknowledged all the same: Clickatell would repeat it."""
            metrics.FOREIGN.labels(path, whose).inc(times)
            events[whose].count(self._clock.monotonic(), times, path=path, whose=whose, **fields)

        async def handle(request: web.Request) -> web.StreamResponse:
            account = self._account_or_stop(request)
            if isinstance(account, web.Response):
                return account
            if request.method == "HEAD":  # of a monitoring tool; it reports nothing, whatever its query is
                return web.Response(text="ok\n")
            body = await self._body(request)
            if isinstance(body, web.Response):
                return body
            query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")  # the octets as received
            try:
                inbound = read(query, body)
            except ValueError as wrong:
                return _refused(str(wrong))
            if inbound.foreign:
                ignore(Foreign.OTHER_APPLICATION, inbound.foreign, account=account)
            try:
                others = await self._take(inbound, self._spaces[account])
            except (RedisError, OSError) as failed:
                return self._not_stored(failed)
            if others:
                ignore(Foreign.OTHER_ACCOUNT, len(others), account=account, id=others[-1])
            self._problem = ""
            return _refused(inbound.problem) if inbound.problem else web.Response(text="ok\n")

        return handle

    def _account_or_stop(self, request: web.Request) -> str | web.Response:
        """Return the account of a callback, or the response to a request that is no callback of the gateway."""
        caller = self._credentials.match(request) if request.method in _METHODS else Caller(Presented.NOTHING)
        if caller.presented is Presented.GENUINE:
            return caller.account
        if caller.presented is Presented.NOTHING:
            return web.Response(status=404, text="not found\n")
        metrics.CALLBACK_PASSWORDS_REFUSED.labels(caller.account, _REFUSED[caller.presented]).inc()
        self._refused_passwords[caller.presented].count(self._clock.monotonic(), 1, account=caller.account)
        return web.Response(status=401, text="a user name and a password are required\n", headers=CHALLENGE)

    async def _body(self, request: web.Request) -> bytes | web.Response:
        """Return what is kept of the body, or the refusal of it."""
        if _is_ambiguous(request):
            return _refused("Transfer-Encoding must be chunked, with HTTP/1.1", close=True)
        try:
            return await self._bodies.read(request)
        except TimeoutError:
            return _refused("the body did not arrive in time", status=408, close=True)
        except NoPlace:
            return _refused("too many long bodies at once: send it again", status=503, retry_seconds=AWAY_SECONDS)
        except TooLong as wrong:
            return _refused(str(wrong), status=413)
        except ValueError as wrong:
            return _refused(str(wrong))
        except (web.RequestPayloadError, ConnectionError):
            return _refused("the body is truncated, or does not match its Content-Encoding")

    def _not_stored(self, failed: Exception) -> web.Response:
        """Make the gateway repeat a callback, and log once why."""
        reply = reply_of(failed)
        if reply:
            metrics.REFUSED.labels(reply.prefix).inc()
        problem = explain(failed) if isinstance(failed, RedisError) else reply.sentence if reply else str(failed)
        if problem != self._problem:
            logs.event("callbacks_not_stored", level=40, problem=problem, owner=reply.owner if reply else "operator")
        self._problem = problem
        wait = reply.retry_seconds if reply else AWAY_SECONDS
        return web.Response(status=503, text="not stored: send it again\n", headers={"Retry-After": str(wait)})

    async def _take(self, inbound: Inbound, space: Space) -> list[str]:
        """Store the reports and replies of a request; a probe has none and causes no write.

        Returns the ids of messages that another account has: their reports were ignored.
        """
        if self._clock.is_stale():
            asked_at = self._clock.monotonic()
            self._clock.follow(await self._client.time(), asked_at)
        for report in inbound.reports:
            if report.unlisted:
                metrics.ALARMS.labels("status", "operator").inc()
                logs.event("status_unlisted", level=40, id=report.id, network_status=report.network_status)
        results = await self._reports[space].receive(inbound.reports)
        if inbound.reports and (now := self._clock.now()) > self._heard_at[space] + HEARD_MS:
            self._heard_at[space] = now
            await self._client.set(keys.names(space).HEARD, now)  # for threelane doctor
        for reply in inbound.replies:
            now = self._clock.now()
            await take(self._client, reply, self._words, now, self._near_stop, self._confirmation, space)
        pairs = zip(inbound.reports, results, strict=True)
        return [one.id for one, result in pairs if result == ReceiptResult.OTHER_ACCOUNT]


def _is_ambiguous(request: web.Request) -> bool:
    """Return whether a proxy may see another end of the body (RFC 9112, 6.1 and 11.2)."""
    codings = request.headers.getall("Transfer-Encoding", [])
    return bool(codings) and ([one.strip().lower() for one in codings] != ["chunked"] or request.version < (1, 1))


def _refused(reason: str, *, status: int = 400, close: bool = False, retry_seconds: int = 0) -> web.Response:
    logs.event("callback_refused", level=30, reason=reason)
    response = web.Response(status=status, text=f"{reason}\n")
    if retry_seconds:
        response.headers["Retry-After"] = str(retry_seconds)
    if close:
        response.force_close()
    return response
