"""Broker: the Celery configuration that the two ends of a lane must share."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from threelane.runtime import tls
from threelane.runtime.settings import Settings
from threelane.store import keys

HEARTBEAT_SECONDS = 10  # on RabbitMQ a worker that hears nothing for two of these connects anew


def application(settings: Settings, **more: Any) -> Celery:
    """Return a Celery application that knows the three lanes and keeps nothing of its tasks' results."""
    app = Celery("threelane", broker=settings.broker)
    app.conf.update(
        task_queues=_queues(),
        task_default_queue=keys.queue(3),
        task_create_missing_queues=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_timeout=settings.redis_timeout_seconds,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=settings.redis_connections,
        **(_on_rabbitmq(settings) if settings.nudges_travel_by == "RabbitMQ" else _on_redis(settings)),
    )
    app.conf.update(more)
    return app


def _queues() -> tuple[Queue, ...]:
    exchange = Exchange("sms", type="direct")
    return tuple(Queue(keys.queue(lane), exchange, routing_key=keys.queue(lane)) for lane in keys.LANES)


def _on_rabbitmq(settings: Settings) -> dict[str, Any]:
    """Return what makes a nudge on RabbitMQ as safe as one on Redis.

    A nudge is only a hint, but one that is lost makes its messages as late as the sweep finds them, half a minute: too
    late for a login code.  So queues are durable and nudges persistent: they outlive a restart of the broker.  And each
    is confirmed: else what was written into a connection that is gone would count as published.
    """
    return {
        "task_default_delivery_mode": "persistent",
        "broker_heartbeat": HEARTBEAT_SECONDS,
        "worker_enable_remote_control": False,  # nobody uses it, and two workers of one name would lock each other out
        "broker_channel_error_retry": True,  # a queue that somebody deleted is declared again
        "task_publish_retry": True,  # once, since a connection of the pool may be from before a restart
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
        "broker_transport_options": {"confirm_publish": True, "on_open": _Patience(settings.redis_timeout_seconds)},
    }


class _Patience:
    """Bounds every wait for an answer of RabbitMQ; py-amqp's own timeout of reads is without effect."""

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
    by_network = settings.broker.startswith(("redis://", "rediss://"))
    return {
        "task_publish_retry": False,
        "broker_transport": "threelane.producer.transport:Transport" if by_network else None,
        "broker_use_ssl": tls.options(settings, settings.broker) or None,
        "broker_transport_options": options,
    }
