"""The exporter while Redis is frozen, away or refuses writes: a scrape ends, and says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

from tests.servers import RedisServer, freeze, wait_until
from threelane.operations.exporter import Fleet
from threelane.runtime.settings import Settings
from threelane.store.connect import connect


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture
def fleet(own_redis: RedisServer) -> Iterator[CollectorRegistry]:
    client = connect(Settings(redis_url=own_redis.url))
    registry = CollectorRegistry()
    registry.register(Fleet(client, most_seconds=1))
    yield registry
    client.close()


def scraped(registry: CollectorRegistry) -> dict[str, float]:
    """Return whether Redis is up and writable, and ``lanes``: how many series lanes have."""
    lines = [line.rpartition(" ") for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    lanes = sum(name.startswith("threelane_lane_depth") for name, _, _ in lines)
    return {name: float(value) for name, _, value in lines if name.endswith(("redis_up", "redis_writable"))} | {
        "lanes": lanes
    }


def test_a_frozen_redis_is_reported_as_down_and_is_read_again_when_it_goes_on(
    own_redis: RedisServer, fleet: CollectorRegistry
) -> None:
    """Prometheus gives up after 10 s, and then knows nothing: not even that Redis is the cause.

    The limit of a scrape is shorter than the time-out of Redis, so it is the limit that ends it.
    """
    up = {"threelane_redis_up": 1, "threelane_redis_writable": 1, "lanes": 3}
    wait_until(lambda: up == scraped(fleet), what="a reading within the limit")
    assert own_redis.process
    freeze(own_redis.process)
    for _ in range(2):
        assert {"threelane_redis_up": 0, "lanes": 0} == scraped(fleet)
    own_redis.process.send_signal(signal.SIGCONT)
    wait_until(lambda: up == scraped(fleet), what="a reading within the limit")


def test_a_redis_that_is_away_is_reported_as_down(own_redis: RedisServer, fleet: CollectorRegistry) -> None:
    """Its refusal comes at once."""
    own_redis.kill()
    assert {"threelane_redis_up": 0, "lanes": 0} == scraped(fleet)


def test_a_redis_that_refuses_writes_is_up_and_not_writable(own_redis: RedisServer, fleet: CollectorRegistry) -> None:
    """As after a failover, when the address still leads to the old primary; its lanes are still read."""
    with redis.Redis(port=own_redis.port) as client:
        client.replicaof("127.0.0.1", "9")
        assert {"threelane_redis_up": 1, "threelane_redis_writable": 0, "lanes": 3} == scraped(fleet)
        client.replicaof("NO", "ONE")
        client.config_set("min-replicas-to-write", 1)
        assert {"threelane_redis_up": 1, "threelane_redis_writable": 0, "lanes": 3} == scraped(fleet)
        client.config_set("min-replicas-to-write", 0)
        client.config_set("maxmemory", 1)  # workers still write
        assert {"threelane_redis_up": 1, "threelane_redis_writable": 1, "lanes": 3} == scraped(fleet)
