"""Connect: Redis clients that fail within one time-out in total, and retry a command once after a lost connection."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from threelane.runtime import tls
from threelane.runtime.deadline import Deadline
from threelane.runtime.settings import Settings
from threelane.store.bounded import BoundedRedis, Pause, open_client

PAUSE_SECONDS = 0.05  # before the retry of a command
_NAME = signature(redis.ConnectionPool.get_connection).parameters["command_name"]
_NAMED = ("EVALSHA",) if _NAME.default is Parameter.empty else ()  # required by redis-py before 5.3, deprecated after


def connect(settings: Settings) -> BoundedRedis:
    """Return a client that threads may share; each command ends within ``redis_timeout_seconds`` in total."""
    return connect_to(settings.redis_url.get_secret_value(), settings)


def connect_to(address: str, settings: Settings) -> BoundedRedis:
    """Return a client of another address, such as the broker's.

    A lost connection is retried once, since it may predate a restart of Redis; a time-out leaves no time for that.
    """
    deadline = Deadline(settings.redis_timeout_seconds)
    return open_client(address, deadline, retry=Retry(Pause(PAUSE_SECONDS, deadline), 1), **_options(settings, address))


def connect_async(settings: Settings) -> redis.asyncio.Redis:
    """Return a client for one event loop."""
    address = settings.redis_url.get_secret_value()
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        address,
        retry=AsyncRetry(ConstantBackoff(PAUSE_SECONDS), 1),
        timeout=settings.redis_timeout_seconds,  # for a free connection
        **_options(settings, address),
    )
    return redis.asyncio.Redis.from_pool(pool)


def take_connection(pool: Any) -> Any:
    """Return a connection of the pool for exclusive use, until it is released."""
    return pool.get_connection(*_NAMED)


def _options(settings: Settings, address: str) -> dict[str, Any]:
    keepalive = {} if address.startswith("unix://") else {"socket_keepalive": True}
    return {
        "max_connections": settings.redis_connections,
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.redis_timeout_seconds,
        "health_check_interval": 25,
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],  # redis-py 5 has no default
        **keepalive,
        **tls.options(settings, address),
    }
