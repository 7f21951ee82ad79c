"""Serve: the callback endpoint as a process."""

from __future__ import annotations

import asyncio
import logging
import sys

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from threelane.interfaces.callbacks.endpoint import CallbackEndpoint
from threelane.runtime import logs, variables
from threelane.runtime.ending import ENDING, stopped_event
from threelane.runtime.exits import Exit
from threelane.store.connect import connect_async
from threelane.worker.gateway import tables
from threelane.worker.process import metrics
from threelane.worker.process.metrics_endpoint import serve_or_exit
from threelane.worker.process.settings import CallbackSettings
from threelane.worker.reply import words
from threelane.worker.reply.words import Words

GRACE_SECONDS = 5  # for requests in progress when the process has to stop
END_SECONDS = 15.0  # after the stop signal, at most


def serve(settings: CallbackSettings) -> None:
    """Serve callbacks until a stop signal."""
    logs.configure(settings.log_level)
    variables.warn()
    logging.getLogger("aiohttp.server").addFilter(_keep_secrets)
    known = words.load_or_exit(settings.words_file)
    metrics.announce_alarms(*tables.each_or_exit())
    serve_or_exit(settings)
    asyncio.run(_serve(settings, known))


async def _serve(settings: CallbackSettings, known: Words) -> None:
    stopping = stopped_event()
    client = connect_async(settings)
    endpoint = CallbackEndpoint(settings, client, known)
    runner = web.AppRunner(endpoint.application(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        await _listen_or_exit(runner, settings)
        host, port = runner.addresses[0][:2]
        logs.event("callbacks", url=f"http://{host}:{port}/<secret>/status")
        await stopping.wait()
        ENDING.begin(END_SECONDS)
    finally:
        await runner.cleanup()
        await client.aclose()


async def _listen_or_exit(runner: web.AppRunner, settings: CallbackSettings) -> None:
    """Listen for callbacks, or end the process with one sentence."""
    try:
        await web.TCPSite(runner, settings.callbacks_host, settings.callbacks_port, backlog=1024).start()
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
