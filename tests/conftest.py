"""What tests share: real servers, one set for each test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings

from producer import Producer, ProducerSettings
from sandbox.running import Running
from tests.servers import RedisServer

# no verdict of a test depends on how fast the machine is
settings.register_profile("threelane", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("threelane")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the whole test process; tests that kill Redis start one of their own."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    client = redis.Redis(port=redis_server.port)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def producer(client: redis.Redis, redis_server: RedisServer) -> Iterator[Producer]:
    """A producer on that Redis."""
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url)) as made:
        yield made


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Running]:
    with Running.start("--seed", "7") as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Running) -> Iterator[Running]:
    """A sandbox with an empty ledger, no faults and its settings as they were."""
    before = running_sandbox.control("GET", "settings")
    running_sandbox.control("POST", "reset")
    yield running_sandbox
    running_sandbox.control("POST", "settings", before)
