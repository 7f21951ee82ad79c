"""The rate of all workers together holds, although each reads its own clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.house import House
from tests.servers import RedisServer
from threelane.worker.process.settings import WorkerSettings


@pytest.fixture(scope="module")
def house(redis_server: RedisServer) -> Iterator[House]:
    loop = asyncio.new_event_loop()
    made = House(redis_server.port, loop, WorkerSettings(redis_url=redis_server.url, parts_per_second=100))
    yield made
    made.close()
    loop.close()


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(claims=st.lists(st.tuples(st.integers(0, 9), st.sampled_from((0, 20))), min_size=10, max_size=30))
def test_the_rate_holds_when_clocks_differ(house: House, client: redis.Redis, claims: list[tuple[int, int]]) -> None:
    """Workers' clocks differ by milliseconds: a claim by a late one must not make the next one richer."""
    house.empty()
    began, given = house.now - claims[0][1], 0
    house.settings = house.settings.model_copy(update={"burst_seconds": 0.06})
    ids = []
    for number, (later, behind) in enumerate(claims):
        drafts = [house.draft() for _ in range(5)]
        house.accept(drafts)
        ids = [*ids[-10:], *(one.message.id for one in drafts)]
        house.now += later
        given += len(house.claim(3, ids, f"token{number}", behind).claimed)

    assert given <= house.settings.burst + (house.now - began) / 1000 * house.settings.parts_per_second
