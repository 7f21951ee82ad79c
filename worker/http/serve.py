"""Serve: the HTTP API as a process."""

from __future__ import annotations

import logging
import socket

import redis
import uvicorn

from producer import logs
from producer.client import Producer
from producer.connect import connect
from producer.settings import ApiSettings
from worker.http.app import create

BACKLOG = 1024
GRACE_SECONDS = 10  # for requests that are under way when the process is told to end


def serve(settings: ApiSettings) -> None:
    """Answer requests until told to stop."""
    logs.configure(settings.log_level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    listening = listen(settings)
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.api_tls_cert else "http"
    client = connect(settings)
    try:
        with Producer(settings) as producer:
            server = uvicorn.Server(config(settings, producer, client))
            logs.event("api", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
            server.run(sockets=[listening])
    finally:
        client.close()
        listening.close()


def config(settings: ApiSettings, producer: Producer, client: redis.Redis) -> uvicorn.Config:
    """Return how uvicorn is to serve."""
    logging.getLogger("uvicorn.access").disabled = True  # it would write addresses with what is asked for in them
    return uvicorn.Config(
        create(settings, producer, client),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",  # it limits the length of headers
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.api_tls_cert,
        ssl_keyfile=settings.api_tls_key,
    )


def listen(settings: ApiSettings) -> socket.socket:
    """Return a socket on which callers may knock from now on."""
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listening = socket.create_server((settings.api_host, settings.api_port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening
