"""Metrics endpoint: /metrics of one process, or an exit with one sentence if it cannot be bound."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from threelane.runtime import logs
from threelane.runtime.exits import Exit

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
    host = settings.metrics_host
    return f"{_ANY.get(host) or (f'[{host}]' if ':' in host else host)}:{server.server_port}"


def _bind(host: str, ports: Sequence[int], registry: CollectorRegistry) -> WSGIServer:
    for port in ports:
        try:
            return start_http_server(port, host, registry)[0]
        except (OSError, UnicodeError) as failed:
            if getattr(failed, "errno", None) == errno.EADDRINUSE and port != ports[-1]:
                continue
            _end(host, ports, failed)
    raise AssertionError  # there is at least one port


def _end(host: str, ports: Sequence[int], failed: OSError | UnicodeError) -> NoReturn:
    names, reason = "THREELANE_METRICS_HOST, THREELANE_METRICS_PORT", getattr(failed, "strerror", None) or failed
    if len(ports) > 1 and getattr(failed, "errno", None) == errno.EADDRINUSE:
        problem = f"no port of {host} is free, neither {ports[0]} nor any from {ports[1]} to {ports[-1]}"
    else:
        problem = f"{host}:{ports[0]} cannot be bound: {reason}"
    print(f"threelane: {names}: {problem}; set another one, or port 0 for any free one", file=sys.stderr)
    raise SystemExit(Exit.USAGE) from None
