"""The rate of all workers together holds, although each reads its own clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.system import System
from tests.servers import RedisServer
from threelane.worker.process.settings import WorkerSettings


@pytest.fixture(scope="module")
def system(redis_server: RedisServer) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    made = System(redis_server.port, loop, WorkerSettings(redis_url=redis_server.url, parts_per_second=100))
    yield made
    made.close()
    loop.close()


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(claims=st.lists(st.tuples(st.integers(0, 9), st.sampled_from((0, 20))), min_size=10, max_size=30))
@pytest.mark.slow
def test_the_rate_holds_when_clocks_differ(system: System, client: redis.Redis, claims: list[tuple[int, int]]) -> None:
    """Workers' clocks differ by milliseconds: a claim by a late one must not make the next one richer."""
    system.empty()
    began, given = system.now - claims[0][1], 0
    system.settings = system.settings.model_copy(update={"burst_seconds": 0.06})
    ids = []
    for number, (later, behind) in enumerate(claims):
        drafts = [system.draft() for _ in range(5)]
        system.accept(drafts)
        ids = [*ids[-10:], *(one.message.id for one in drafts)]
        system.now += later
        given += len(system.claim(3, ids, f"token{number}", behind).claimed)

    assert given <= system.settings.burst + (system.now - began) / 1000 * system.settings.parts_per_second
