"""Serve: the callback endpoint as a process."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from threelane.interfaces.callbacks.endpoint import CallbackEndpoint
from threelane.interfaces.callbacks.protocol import CallbackProtocol
from threelane.runtime import descriptors, logs, variables
from threelane.runtime.connections import Closed, Connection, Connections, Limits, Listener
from threelane.runtime.ending import ENDING, stopped_event
from threelane.runtime.exits import Exit
from threelane.store.connect import connect_async
from threelane.worker.gateway import tables
from threelane.worker.process import metrics, metrics_endpoint
from threelane.worker.process.accounts import callback_accounts_or_exit
from threelane.worker.process.metrics_endpoint import serve_or_exit
from threelane.worker.process.settings import CallbackSettings
from threelane.worker.reply import words
from threelane.worker.reply.words import Words

GRACE_SECONDS = 5  # for requests in progress when the process has to stop
END_SECONDS = 15.0  # after the stop signal, at most
BACKLOG = 1024
IDLE_SECONDS = 75  # longer than proxies keep a connection open, so that they close it
LINGER_SECONDS = 2  # for the rest of a body that is not read


def serve(settings: CallbackSettings) -> None:
    """Serve callbacks until a stop signal."""
    logs.configure(settings.log_level)
    variables.warn()
    logging.getLogger("aiohttp.server").addFilter(_keep_secrets)
    known = words.load_or_exit(settings.words_file)
    descriptors.raise_limit()
    metrics.announce_alarms(*tables.each_or_exit())
    accounts = callback_accounts_or_exit(settings)
    serve_or_exit(settings)
    asyncio.run(_serve(settings, known, accounts))


async def _serve(settings: CallbackSettings, known: Words, accounts: Mapping[str, CallbackSettings]) -> None:
    stopping = stopped_event()
    client = connect_async(settings)
    endpoint = CallbackEndpoint(settings, client, known, accounts)
    runner = web.AppRunner(endpoint.application(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    listening = _listen_or_exit(settings)
    listener = Listener([listening], Connections("callbacks", limits(settings), count_closed), _protocol_of(runner))
    try:
        host, port = listening.getsockname()[:2]
        logs.event("callbacks", url=f"http://{host}:{port}/<secret>/status", accounts=",".join(accounts))
        await stopping.wait()
        ENDING.begin(END_SECONDS)
    finally:
        listener.close()
        listening.close()
        await runner.cleanup()
        await client.aclose()


def limits(settings: CallbackSettings) -> Limits:
    """Return the limits of connections: with a descriptor left for each connection to Redis and of /metrics."""
    reserved = settings.redis_connections + metrics_endpoint.MOST_CONNECTIONS
    most = descriptors.connections(settings.callbacks_connections, descriptors.limit(), reserved)
    of_one = settings.callbacks_connections_per_address or most
    return Limits(most, of_one, settings.callbacks_head_seconds, IDLE_SECONDS, settings.callbacks_head_seconds)


def count_closed(why: Closed) -> None:
    """Count a connection that the endpoint closed."""
    metrics.CLOSED.labels(why).inc()


def _protocol_of(runner: web.AppRunner) -> Callable[[Connection], CallbackProtocol]:
    server, loop = runner.server, asyncio.get_running_loop()
    assert server  # the runner is set up

    def make(connection: Connection) -> CallbackProtocol:
        return CallbackProtocol(
            server,
            connection,
            loop=loop,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            access_log=None,
        )

    return make


def _listen_or_exit(settings: CallbackSettings) -> socket.socket:
    """Return a listening socket, or end the process with one sentence."""
    try:
        family = socket.AF_INET6 if ":" in settings.callbacks_host else socket.AF_INET
        address = (settings.callbacks_host, settings.callbacks_port)
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as failed:
        problem = f"{settings.callbacks_host}:{settings.callbacks_port} cannot be bound: {failed}"
        print(f"threelane: THREELANE_CALLBACKS_HOST, THREELANE_CALLBACKS_PORT: {problem}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


def _keep_secrets(record: logging.LogRecord) -> bool:
    """Log only the kind of a malformed request: the text of such an error contains the path with the secret."""
    failed = record.exc_info[1] if record.exc_info else None
    if isinstance(failed, HttpProcessingError):
        logs.event("callback_refused", level=logging.WARNING, reason=f"not HTTP: {type(failed).__name__}")
    return not isinstance(failed, HttpProcessingError | web.RequestPayloadError)  # the endpoint has logged the latter
