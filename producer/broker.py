"""Broker: the Celery configuration that the two ends of a lane must share."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from producer import keys
from producer.settings import Settings


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
        broker_transport_options=_transport_options(settings),
        broker_pool_limit=settings.redis_connections,
    )
    app.conf.update(more)
    return app


def _queues() -> tuple[Queue, ...]:
    exchange = Exchange("sms", type="direct")
    return tuple(Queue(keys.queue(lane), exchange, routing_key=keys.queue(lane)) for lane in keys.LANES)


def _transport_options(settings: Settings) -> dict[str, Any]:
    if not settings.broker.startswith(("redis://", "rediss://", "unix://")):
        return {}
    return {
        "priority_steps": [0],
        "queue_order_strategy": "worker.lanes:LaneOrder",
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
