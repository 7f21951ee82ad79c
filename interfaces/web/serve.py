"""Serve: the HTTP API as a process."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import redis
import uvicorn

from threelane.interfaces.web.app import create
from threelane.producer.client import Producer
from threelane.runtime import logs, variables
from threelane.runtime.ending import ENDING, on_stop
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ApiSettings
from threelane.store.connect import connect
from threelane.worker.gateway import tables

BACKLOG = 1024
IDLE_SECONDS = 75  # longer than proxies keep a connection open, so that they close it
GRACE_SECONDS = 10  # for requests in progress when the process has to stop
END_SECONDS = 15.0  # after the stop signal, at most


class Server(uvicorn.Server):
    """Uvicorn, with a deadline for its end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's names
        """Stop at a stop signal."""
        ENDING.begin(END_SECONDS)
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Keep our handlers: at a second signal uvicorn would cut requests off, and raise the signal again."""
        on_stop(self.handle_exit)
        yield


def serve(settings: ApiSettings) -> None:
    """Serve requests until a stop signal."""
    tables.each_or_exit()  # the history of a message needs them
    logs.configure(settings.log_level)
    variables.warn()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    listening = listen_or_exit(settings)
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.api_tls_cert else "http"
    client = connect(settings)
    try:
        with Producer(settings) as producer:
            server = Server(load_or_exit(config(settings, producer, client)))
            logs.event("api", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
            server.run(sockets=[listening])
    finally:
        client.close()
        listening.close()


def config(settings: ApiSettings, producer: Producer, client: redis.Redis) -> uvicorn.Config:
    """Return the configuration of uvicorn."""
    logging.getLogger("uvicorn.access").disabled = True  # it would log URLs, which may contain numbers
    return uvicorn.Config(
        create(settings, producer, client),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",  # it limits the length of headers
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
    try:
        return listen(settings)
    except OSError as failed:
        where = f"{settings.api_host}:{settings.api_port}"
        problem = f"cannot listen on {where}: {failed.strerror or failed}"
        print(f"threelane: THREELANE_API_HOST and THREELANE_API_PORT: {problem}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


def listen(settings: ApiSettings) -> socket.socket:
    """Return a listening socket."""
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listening = socket.create_server((settings.api_host, settings.api_port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening
