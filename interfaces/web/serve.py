"""Serve: the HTTP API as a process."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import redis
import uvicorn

from threelane.interfaces.web.app import create
from threelane.interfaces.web.ports import Ports
from threelane.interfaces.web.protocol import ApiProtocol
from threelane.producer.client import Producer
from threelane.runtime import descriptors, logs, variables
from threelane.runtime.connections import Connection, Connections, Limits, Listener
from threelane.runtime.ending import ENDING, on_stop
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ApiSettings
from threelane.store.connect import connect
from threelane.worker.gateway import tables

T = TypeVar("T")

BACKLOG = 1024
IDLE_SECONDS = 75  # longer than proxies keep a connection open, so that they close it
READER_SECONDS = 10.0  # for a response of which nothing is read
GRACE_SECONDS = 10  # for requests in progress when the process has to stop
END_SECONDS = 15.0  # after the stop signal, at most


class LimitedServer(uvicorn.Server):
    """Uvicorn, with limits for its connections."""

    def __init__(self, config: uvicorn.Config, settings: ApiSettings) -> None:
        """Serve by these settings."""
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections within the limits."""
        await super().startup(sockets=[])
        if self.should_exit:
            return
        connections = Connections("api", limits(self._settings))
        self.servers = [Listener(sockets or [], connections, self._protocol, self.config.ssl)]  # type: ignore[list-item]

    def _protocol(self, connection: Connection) -> ApiProtocol:
        return ApiProtocol(
            connection=connection,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )


class Server(LimitedServer):
    """The server of a process, with a deadline for its end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's names
        """Stop at a stop signal."""
        ENDING.begin(END_SECONDS)
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Keep our handlers: at a second signal uvicorn would cut requests off, and raise the signal again."""
        on_stop(self.handle_exit)
        yield


def limits(settings: ApiSettings) -> Limits:
    """Return the limits of connections: with a descriptor left for each connection to Redis and the broker."""
    reserved = 2 * settings.redis_connections
    most = descriptors.connections(settings.api_connections, descriptors.limit(), reserved)
    of_one = settings.api_connections_per_address or most
    reader_seconds = min(READER_SECONDS, settings.api_body_seconds)
    return Limits(most, of_one, settings.api_head_seconds, IDLE_SECONDS, reader_seconds)


def serve(settings: ApiSettings) -> None:
    """Serve requests until a stop signal."""
    tables.each_or_exit()  # the history of a message needs them
    logs.configure(settings.log_level)
    variables.warn()
    descriptors.raise_limit()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    listening, console = listen_or_exit(settings), listen_for_people_or_exit(settings)
    sockets = [one for one in (listening, console) if one]
    client = connect(settings)
    try:
        with Producer(settings) as producer:
            server = Server(load_or_exit(config(settings, producer, client, console)), settings)
            urls = {"url": _url(settings, listening)} | ({"console": _url(settings, console)} if console else {})
            logs.event("api", level=logging.INFO, **urls)
            server.run(sockets=sockets)
    finally:
        client.close()
        for one in sockets:
            one.close()


def config(
    settings: ApiSettings, producer: Producer, client: redis.Redis, console: socket.socket | None = None
) -> uvicorn.Config:
    """Return the configuration of uvicorn; ``console`` is the socket of the pages for people, if they have one."""
    app: Any = create(settings, producer, client)
    logging.getLogger("uvicorn.access").disabled = True  # it would log URLs, which may contain numbers
    return uvicorn.Config(
        Ports(app, console.getsockname()[1]) if console else app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http=ApiProtocol,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.api_tls_cert,
        ssl_keyfile=settings.api_tls_key,
    )


def load_or_exit(wanted: uvicorn.Config) -> uvicorn.Config:
    """Load the certificate and return the configuration; ends the process with an error if it cannot be loaded."""
    try:
        wanted.load()
    except (ssl.SSLError, OSError) as failed:
        print(f"threelane: THREELANE_API_TLS_CERT and THREELANE_API_TLS_KEY: {failed}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None
    return wanted


def listen_or_exit(settings: ApiSettings) -> socket.socket:
    """Return a listening socket; ends the process with an error if the address cannot be bound."""
    return _or_exit("API", settings.api_host, settings.api_port, lambda: listen(settings))


def listen_for_people_or_exit(settings: ApiSettings) -> socket.socket | None:
    """Return a listening socket of the console's port, if it has one; ends the process if it cannot be bound."""
    host = settings.console_host or settings.api_host
    return _or_exit("CONSOLE", host, settings.console_port, lambda: listen_for_people(settings))


def _or_exit(name: str, host: str, port: int | None, bind: Callable[[], T]) -> T:
    """Return what ``bind`` returns; ends the process with an error that names the settings if it fails."""
    try:
        return bind()
    except OSError as failed:
        problem = f"cannot listen on {host}:{port}: {failed.strerror or failed}"
        print(f"threelane: THREELANE_{name}_HOST and THREELANE_{name}_PORT: {problem}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


def listen_for_people(settings: ApiSettings) -> socket.socket | None:
    """Return a listening socket of the console's port, None if it has no port of its own or nothing to serve there."""
    if settings.console_port is None or not (settings.console or settings.docs):
        return None
    return _bound(settings.console_host or settings.api_host, settings.console_port)


def listen(settings: ApiSettings) -> socket.socket:
    """Return a listening socket."""
    return _bound(settings.api_host, settings.api_port)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening


def _url(settings: ApiSettings, listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"{'https' if settings.api_tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
