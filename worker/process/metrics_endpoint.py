"""Metrics endpoint: /metrics of one process, or an exit with one sentence if it cannot be bound."""

from __future__ import annotations

import sys
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from threelane.runtime import logs
from threelane.runtime.exits import Exit


class Endpoint(Protocol):
    """The settings of a process that has metrics."""

    @property
    def metrics_host(self) -> str:
        """The host it listens on."""

    @property
    def metrics_port(self) -> int:
        """The port; 0 is any free one."""


def serve_or_exit(settings: Endpoint, registry: CollectorRegistry = REGISTRY) -> WSGIServer:
    """Serve /metrics and return the server; a host or port that cannot be bound ends the process with code 2.

    A process that went on without it could not be watched, and a worker that half started would take nudges.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, _thread = start_http_server(port, host, registry)
    except (OSError, UnicodeError) as failed:
        problem = f"{host}:{port} cannot be bound: {getattr(failed, 'strerror', None) or failed}"
        names = "THREELANE_METRICS_HOST, THREELANE_METRICS_PORT"
        print(f"threelane: {names}: {problem}; 0 is any free port", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None
    logs.event("metrics", url=f"http://{host}:{server.server_port}/metrics")
    return server
