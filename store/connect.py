"""Connect: Redis clients that wait for a free connection, fail within seconds, and retry a command once."""

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
from threelane.runtime.settings import Settings

PAUSE_SECONDS = 0.05  # before the retry of a command
_PAUSE = ConstantBackoff(PAUSE_SECONDS)
_NAME = signature(redis.ConnectionPool.get_connection).parameters["command_name"]
_NAMED = ("EVALSHA",) if _NAME.default is Parameter.empty else ()  # required by redis-py before 5.3, deprecated after


def connect(settings: Settings) -> redis.Redis:
    """Return a client that threads may share."""
    pool = redis.BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(), retry=Retry(_PAUSE, 1), **_options(settings)
    )
    return redis.Redis.from_pool(pool)


def connect_async(settings: Settings) -> redis.asyncio.Redis:
    """Return a client for one event loop."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(), retry=AsyncRetry(_PAUSE, 1), **_options(settings)
    )
    return redis.asyncio.Redis.from_pool(pool)


def take_connection(pool: Any) -> Any:
    """Return a connection of the pool for exclusive use, until it is released."""
    return pool.get_connection(*_NAMED)


def _options(settings: Settings) -> dict[str, Any]:
    address = settings.redis_url.get_secret_value()
    keepalive = {} if address.startswith("unix://") else {"socket_keepalive": True}
    return {
        "timeout": settings.redis_timeout_seconds,  # for a free connection
        "max_connections": settings.redis_connections,
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.redis_timeout_seconds,
        "health_check_interval": 25,
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],  # redis-py 5 has no default
        **keepalive,
        **tls.options(settings, address),
    }
