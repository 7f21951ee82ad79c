"""Broker: the Celery application of a worker, independent of other applications' environment variables."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import click
from celery import Celery
from celery.backends.base import DisabledBackend
from celery.loaders.app import AppLoader
from click.core import ParameterSource
from kombu import Connection, Exchange, Queue

from threelane.runtime import tls
from threelane.runtime.settings import Settings
from threelane.store import keys
from threelane.worker.process import controller

HEARTBEAT_SECONDS = 10  # on RabbitMQ a worker reconnects after two without a heartbeat
NOT_OURS = {  # options of the ``celery`` command that would have no effect
    "broker": "THREELANE_BROKER_URL (or THREELANE_REDIS_URL) names the broker: leave -b out",
    "result_backend": "Threelane keeps no results: leave --result-backend out",
    "loader": "Threelane has its own loader: leave --loader out",
    "config": "Threelane is configured by THREELANE_... variables: leave --config out",
}


class Loader(AppLoader):
    """Reads no configuration module: CELERY_CONFIG_MODULE belongs to another application."""

    def read_configuration(self, env: str = "") -> dict[str, Any]:  # noqa: ARG002 - Celery's
        """Return an empty configuration."""
        return {}


class Application(Celery):
    """A Celery application that ignores all CELERY_... variables: they may belong to another application."""

    def __init__(self, broker: str) -> None:
        """Take the address of the broker."""
        self._address = broker
        super().__init__("threelane", broker=broker, loader=f"{__name__}:Loader", fixups=[])

    @cached_property
    def Worker(self) -> Any:
        """The class of worker processes."""
        return self.subclass_with_self(controller.Worker)

    def _get_backend(self) -> DisabledBackend:
        """Return no backend without looking for plugins, which opens files for each thread."""
        return DisabledBackend(app=self)

    def connection_for_read(self, url: str | None = None, **more: Any) -> Connection:  # noqa: ARG002 - Celery's
        """Return a connection to the configured broker; ignores what Celery found in the environment."""
        return super().connection_for_read(self._address, **more)

    def connection_for_write(self, url: str | None = None, **more: Any) -> Connection:  # noqa: ARG002 - Celery's
        """Return a connection to the configured broker; ignores what Celery found in the environment."""
        return super().connection_for_write(self._address, **more)


def refuse_options() -> None:
    """Exit if ``celery`` was started with an option that names another broker or configuration."""
    context = click.get_current_context(silent=True)
    for name, instead in NOT_OURS.items():
        if context and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            print(f"threelane: {instead}", file=sys.stderr)
            raise SystemExit(2)


def application(settings: Settings, account: str = "", **more: Any) -> Application:
    """Return a Celery application with the three lanes of an account as queues and no result backend."""
    app = Application(_address(settings.broker))
    app.conf.update(
        task_queues=_queues(settings, account),
        task_default_queue=keys.queue(3, account),
        task_create_missing_queues=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_enable_remote_control=False,
        worker_consumer=f"{controller.__name__}:Consumer",
        broker_connection_timeout=settings.redis_timeout_seconds,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=settings.redis_connections,
        **(_on_rabbitmq(settings) if settings.broker_kind == "RabbitMQ" else _on_redis(settings)),
    )
    app.conf.update(more)
    return app


def _address(url: str) -> str:
    """Return an address in kombu's form; the settings have socket addresses in redis-py's form."""
    if not url.startswith("unix://"):
        return url
    path, _, options = url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?virtual_host={dict(parse_qsl(options)).get('db', '0')}"


def _queues(settings: Settings, account: str) -> tuple[Queue, ...]:
    exchange = Exchange("sms", type="direct")
    arguments = settings.rabbit_queue_arguments if settings.broker_kind == "RabbitMQ" else {}
    names = (keys.queue(lane, account) for lane in keys.LANES)
    return tuple(Queue(name, exchange, routing_key=name, queue_arguments=arguments or None) for name in names)


def _on_rabbitmq(settings: Settings) -> dict[str, Any]:
    return {
        "broker_heartbeat": HEARTBEAT_SECONDS,
        "broker_use_ssl": tls.amqp_options(settings.broker) or None,
        "broker_channel_error_retry": True,  # declare a deleted queue again
        "worker_detect_quorum_queues": False,  # the limit of pushed messages does not matter: none is pushed
        "broker_transport_options": {"on_open": _Patience(settings.redis_timeout_seconds)},
    }


class _Patience:
    """Limits every wait for a response of RabbitMQ; py-amqp's own read timeout has no effect."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, connection: Any) -> None:
        connection.transport.sock.settimeout(self._seconds)

    def __json__(self) -> str:
        return f"{self._seconds} s"


def _on_redis(settings: Settings) -> dict[str, Any]:
    options = {
        "priority_steps": [0],
        "queue_order_strategy": "threelane.worker.fetch.lanes:LaneOrder",
        "brpop_timeout": 0.25,
        "max_connections": settings.redis_connections,
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.redis_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    }
    return {
        "broker_use_ssl": tls.options(settings, settings.broker) or None,
        "broker_transport_options": options,
    }
