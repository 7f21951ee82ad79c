"""A reserved worker's sign, and when others leave it lane 1."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio

from tests.servers import RedisServer
from threelane.store import keys
from threelane.worker.fetch import reserved

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("signed", "waits_ms", "kept_up"),
    [
        pytest.param(False, None, False, id="there is none"),
        pytest.param(True, None, True, id="nothing waits"),
        pytest.param(True, 250, True, id="it has not waited long"),
        pytest.param(True, 251, False, id="it is behind: hung, or too slow for the flood"),
    ],
)
def test_lane_1_is_left_to_it_while_it_keeps_up(
    client: redis.Redis, redis_server: RedisServer, signed: bool, waits_ms: int | None, kept_up: bool
) -> None:
    """What waits is looked at, too: a worker may live and yet do nothing."""

    async def decide() -> bool:
        async with redis.asyncio.Redis.from_url(redis_server.url) as async_client:
            if signed:
                await reserved.sign(async_client, "worker-1")
            return await reserved.keeps_up(async_client, NOW)

    if waits_ms is not None:
        client.zadd(keys.QUEUED[1], {"0" * 32: NOW - waits_ms, "1" * 32: NOW})
    assert kept_up == asyncio.run(decide())
    assert signed == (0 < client.pttl(keys.LANE_1_WORKER) <= reserved.SIGN_MS)
