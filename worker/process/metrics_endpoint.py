"""Metrics endpoint: /metrics of one process, or an exit with one sentence if it cannot be bound."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, NoReturn, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app

from threelane.runtime import logs
from threelane.runtime.exits import Exit

MOST_CONNECTIONS = 16  # at once; Prometheus needs one
RETRY_SECONDS = 0.5  # after no connection could be accepted
MOST_SECONDS = 30.0  # of one connection
PORTS = (9464, *range(9468, 9564))
"""Where a worker without a set port listens: the first free one.  9465 to 9467 are of the other processes."""
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}


class Endpoint(Protocol):
    """The settings of a process that has metrics."""

    @property
    def metrics_host(self) -> str:
        """The host it listens on."""

    @property
    def metrics_port(self) -> int | None:
        """The port; 0 is any free one, None the first free one of ``PORTS``."""


def serve_or_exit(settings: Endpoint, registry: CollectorRegistry = REGISTRY) -> WSGIServer:
    """Serve /metrics and return the server; a host or port that cannot be bound ends the process with code 2.

    A process that went on without it could not be watched, and a worker that half started would take nudges.
    """
    host, port = settings.metrics_host, settings.metrics_port
    server = _bind(host, PORTS if port is None else [port], registry)
    logs.event("metrics", url=f"http://{host}:{server.server_port}/metrics")
    return server


def target_of(settings: Endpoint, server: WSGIServer) -> str:
    """Return host and port at which a process on the same host reaches the endpoint."""
    return f"{reachable(settings.metrics_host)}:{server.server_port}"


def reachable(host: str) -> str:
    """Return the host, as in a URL, at which a process on the same host reaches what listens on ``host``."""
    return _ANY.get(host) or (f"[{host}]" if ":" in host else host)


def _bind(host: str, ports: Sequence[int], registry: CollectorRegistry) -> WSGIServer:
    for port in ports:
        try:
            return _serve(host, port, registry)
        except (OSError, UnicodeError) as failed:
            if getattr(failed, "errno", None) == errno.EADDRINUSE and port != ports[-1]:
                continue
            _end(host, ports, failed)
    raise AssertionError  # there is at least one port


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each connection on a thread, and closes the oldest one for a connection beyond the limit."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._open: dict[socket.socket, float] = {}  # since when; the oldest first
        self._changing = threading.Lock()

    def get_request(self) -> Any:
        """Accept a connection; without a descriptor, wait instead of trying again at once."""
        try:
            return super().get_request()
        except OSError:
            with self._changing:
                self._shut_oldest()
            time.sleep(RETRY_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changing:
            if len(self._open) >= MOST_CONNECTIONS:
                self._shut_oldest()
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changing:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close what takes too long: called twice a second."""
        with self._changing:
            while self._open and next(iter(self._open.values())) < time.monotonic() - MOST_SECONDS:
                self._shut_oldest()

    def _shut_oldest(self) -> None:
        if self._open:
            oldest = next(iter(self._open))
            del self._open[oldest]
            with suppress(OSError):  # its thread reads the end, and closes it
                oldest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or is too slow, is no error."""


class _Handler(WSGIRequestHandler):
    timeout = 5.0  # of one read

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


def _serve(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    family, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0::4]
    kind = type("_ServerOfFamily", (_Server,), {"address_family": family})
    server: WSGIServer = make_server(str(address[0]), port, make_wsgi_app(registry), kind, _Handler)
    threading.Thread(target=server.serve_forever, name="threelane-metrics", daemon=True).start()
    return server


def _end(host: str, ports: Sequence[int], failed: OSError | UnicodeError) -> NoReturn:
    names, reason = "THREELANE_METRICS_HOST, THREELANE_METRICS_PORT", getattr(failed, "strerror", None) or failed
    if len(ports) > 1 and getattr(failed, "errno", None) == errno.EADDRINUSE:
        problem = f"no port of {host} is free, neither {ports[0]} nor any from {ports[1]} to {ports[-1]}"
    else:
        problem = f"{host}:{ports[0]} cannot be bound: {reason}"
    print(f"threelane: {names}: {problem}; set another one, or port 0 for any free one", file=sys.stderr)
    raise SystemExit(Exit.USAGE) from None
