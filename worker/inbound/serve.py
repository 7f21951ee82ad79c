"""Serve: the callback door as a process."""

from __future__ import annotations

import asyncio
import signal

from aiohttp import web
from prometheus_client import start_http_server

from producer import logs
from producer.connect import connect_async
from worker.inbound.callbacks import Door
from worker.settings import CallbackSettings


def serve(settings: CallbackSettings) -> None:
    """Keep the door open until told to stop."""
    logs.configure(settings.log_level)
    server, _thread = start_http_server(settings.metrics_port, settings.metrics_host)
    logs.event("metrics", url=f"http://{settings.metrics_host}:{server.server_port}/metrics")
    asyncio.run(_serve(settings))


async def _serve(settings: CallbackSettings) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    client = connect_async(settings)
    runner = web.AppRunner(Door(settings, client).application(), access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.callbacks_host, settings.callbacks_port, backlog=1024).start()
        host, port = runner.addresses[0][:2]
        logs.event("callbacks", url=f"http://{host}:{port}/<secret>/status")
        await told.wait()
    finally:
        await runner.cleanup()
        await client.aclose()
