"""Probe: tries whether Redis accepts a write, once a second, and more often while it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.store import keys
from threelane.worker.process.duty import Context, Duty
from threelane.worker.process.refusals import REDIS

PROBE_SECONDS = 1.0
WAITING_SECONDS = 0.25  # after the pause of a failed round


async def _round(context: Context) -> bool:
    requested_at = context.clock.monotonic()
    try:
        async with asyncio.timeout(_limit_seconds(context.client)):
            await write(context.client)
    except TimeoutError:
        raise RedisTimeoutError("no answer to the probe") from None
    except RedisConnectionError as failed:
        REDIS.lost(failed)
        raise
    REDIS.accepted(requested_at)
    return False


async def write(client: redis.asyncio.Redis) -> None:
    """Send a write that changes nothing; raises RedisError if Redis accepts none."""
    await client.delete(keys.PROBE)


def _limit_seconds(client: redis.asyncio.Redis) -> float | None:
    """Return the time-out of one command, without the retry and the new connection that redis-py adds to it."""
    seconds: float | None = client.connection_pool.connection_kwargs.get("socket_timeout")
    return seconds


def _seconds(_: Context) -> float:
    return WAITING_SECONDS if REDIS.is_waiting else PROBE_SECONDS


DUTY: Duty[Any] = Duty(name="probe_redis", interval_seconds=_seconds, work=_round, needs_time=False, on_lane_1=True)
"""Of a worker."""
WEBHOOKS: Duty[Any] = Duty(name="webhooks_probe_redis", interval_seconds=_seconds, work=_round, needs_time=False)
"""Of a dispatcher of webhooks."""
