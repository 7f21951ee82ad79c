"""Fixtures shared by all tests: real servers, one set per test process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests import rabbit
from tests.nudges import OnRabbitMQ
from tests.of_redis import is_of_redis
from tests.servers import RedisServer, allow_repeats
from tests.watch import watching
from threelane import Producer, ProducerSettings
from threelane.sandbox.running import Running
from threelane.store import keys

# no test result depends on the speed of the machine
settings.register_profile("threelane", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("threelane")


def pytest_configure() -> None:
    """Fail once, at the start, when the requested broker is not installed."""
    if rabbit.wanted() and rabbit.script() is None:
        raise pytest.UsageError("THREELANE_TEST_BROKER=rabbitmq needs RabbitMQ: apt-get install rabbitmq-server")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what .ci/run repeats on the system's redis-server."""
    for item in items:
        if is_of_redis(item):
            item.add_marker(pytest.mark.redis)


@pytest.fixture(scope="session", autouse=True)
def _no_log_has_secrets_numbers_or_texts() -> Iterator[None]:
    """Check the logs of each test process and of its children at the end: tests/watch.py."""
    with watching() as watch:
        yield
    found = watch.found()
    assert not found, "\n".join(f"{kind} in {where}: ...{around}..." for where, kind, around in found)


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rabbit.RabbitServer | None]:
    """The broker of the test process, if it is RabbitMQ; every process finds it by THREELANE_BROKER_URL."""
    if not rabbit.wanted():
        yield None
        return
    server = rabbit.RabbitServer(tmp_path_factory.mktemp("rabbit")).start()
    os.environ["THREELANE_BROKER_URL"] = server.url
    yield server
    del os.environ["THREELANE_BROKER_URL"]
    server.stop()


@pytest.fixture(scope="session")
def redis_server(rabbit_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the whole test process; tests that kill Redis start their own."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def client(redis_server: RedisServer, rabbit_server: rabbit.RabbitServer | None) -> Iterator[redis.Redis]:
    """A client of an empty Redis; the broker is also empty."""
    client = redis.Redis(port=redis_server.port)
    client.flushall()
    allow_repeats(client)
    if rabbit_server:
        OnRabbitMQ(rabbit_server.url).empty()
    yield client
    client.close()


@pytest.fixture
def default_limits(client: redis.Redis) -> None:
    """The limits of an installation in which no operator changed any."""
    client.delete(keys.LIMITS)


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
    """A sandbox with an empty ledger, no faults and its initial settings."""
    before = running_sandbox.control("GET", "settings")
    running_sandbox.control("POST", "reset")
    yield running_sandbox
    running_sandbox.control("POST", "settings", before)
