"""threelane check on a Redis in each state that stops or endangers messages, with the right to see it and without."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.servers import RedisServer, free_port, stored, typed
from threelane.contract.refusal import Owner
from threelane.store import keys

LEAST = "on >secret ~tl:* ~sms.* resetchannels +@all -@dangerous -@admin"
PRIMARY = "set THREELANE_REDIS_URL to the primary; after a failover, does the host name lead to the new one?"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, "--maxmemory", "1gb").start()
    yield server
    server.kill()


@pytest.fixture
def admin(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=own_redis.port) as client:
        yield client


def _check(environment: dict[str, str], url: str) -> tuple[int, list[dict[str, str]]]:
    completed = typed("check", "--json", environment=environment | {"THREELANE_REDIS_URL": url})
    assert "Traceback" not in completed.stderr
    found = json.loads(completed.stdout)
    return completed.returncode, [one for one in found if one["what"] == "Redis"]


def test_a_sound_redis_is_written_and_read_and_nothing_is_left(
    own_redis: RedisServer, admin: redis.Redis, base_environment: dict[str, str]
) -> None:
    """A Redis that answers PING may still refuse every message."""
    code, found = _check(base_environment, own_redis.url)

    assert 0 == code
    assert ["ok"] * 2 == [one["grade"] for one in found]
    assert "accepts writes" == found[1]["detail"]
    assert 0 == stored(admin)


STATES: dict[str, tuple[Callable[[redis.Redis], object], str, str]] = {
    "replica": (lambda admin: admin.replicaof("127.0.0.1", "9"), "is a replica: it accepts no writes", PRIMARY),
    "too few replicas": (
        lambda admin: admin.config_set("min-replicas-to-write", 1),
        "Redis has fewer replicas than min-replicas-to-write and accepts no writes (NOREPLICAS)",
        "start the replicas, or lower that setting",
    ),
    "eviction": (
        lambda admin: admin.config_set("maxmemory-policy", "allkeys-lru"),
        "may evict records (allkeys-lru)",
        "set maxmemory-policy noeviction",
    ),
    "no persistence": (
        lambda admin: admin.config_set("appendonly", "no"),
        "has no append-only file",
        "set appendonly yes: see deploy/redis.conf",
    ),
    "password": (
        lambda admin: admin.config_set("requirepass", "another"),
        "Redis requires a password, and THREELANE_REDIS_URL has none (NOAUTH)",
        "add the user or password",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_named_once_with_owner_and_remedy(
    own_redis: RedisServer, admin: redis.Redis, base_environment: dict[str, str], state: str
) -> None:
    """The first line that an operator reads is the cause, not one of its effects."""
    bring_about, detail, step = STATES[state]
    bring_about(admin)
    code, found = _check(base_environment, own_redis.url)
    errors = [(one["detail"], one["step"], one["owner"]) for one in found if one["grade"] == "error"]

    assert [(detail, step, Owner.OPERATOR)] == errors
    assert 2 == code


def test_a_redis_at_its_memory_ceiling_is_an_error(
    own_redis: RedisServer, admin: redis.Redis, base_environment: dict[str, str]
) -> None:
    """It accepts the writes of workers, so that they drain it, and no message."""
    admin.config_set("maxmemory", "100kb")
    admin.execute_command(f"ACL SETUSER least {LEAST}")
    completed = typed("check", "--json", environment=base_environment | {"THREELANE_REDIS_URL": own_redis.url})
    (found,) = [one for one in json.loads(completed.stdout) if one["what"] == "memory"]

    assert (2, "error") == (completed.returncode, found["grade"])
    assert found["detail"].endswith("of its memory limit; intake stops at 90%")

    unseen = base_environment | {"THREELANE_REDIS_URL": own_redis.url.replace("//", "//least:secret@")}
    listed = json.loads(typed("check", "--json", environment=unseen).stdout)
    assert ["Redis is at its memory ceiling (OOM)"] == [one["detail"] for one in listed if one["what"] == "memory"]


def test_a_cluster_is_named(tmp_path: Path, base_environment: dict[str, str]) -> None:
    """Its answer to a write is CLUSTERDOWN or MOVED, which sounds like an outage."""
    bus = str(free_port())  # by default 10,000 above the port, which may not exist
    server = RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus, "--maxmemory", "1gb").start()
    try:
        code, found = _check(base_environment, server.url)
    finally:
        server.kill()
    assert ["runs as a cluster"] == [one["detail"] for one in found if one["grade"] == "error"]
    assert 2 == code


def test_a_user_without_rights_learns_what_was_not_seen(
    own_redis: RedisServer, admin: redis.Redis, base_environment: dict[str, str]
) -> None:
    """INFO is dangerous to Redis; what needs no right is still checked."""
    admin.execute_command("ACL", "SETUSER", "least", *LEAST.split())
    url = own_redis.url.replace("redis://", "redis://least:secret@")
    code, found = _check(base_environment, url)

    assert 0 == code
    assert ["ok", "ok", "warning"] == [one["grade"] for one in found]
    assert "the user may not run INFO: not seen are memory, persistence, replication" == found[2]["detail"]
    admin.replicaof("127.0.0.1", "9")
    code, found = _check(base_environment, url)
    assert ["is a replica: it accepts no writes"] == [one["detail"] for one in found if one["grade"] == "error"]
    assert 2 == code


def test_a_user_that_may_not_write_our_keys_is_named(
    own_redis: RedisServer, admin: redis.Redis, base_environment: dict[str, str]
) -> None:
    """Its PING is answered, and each message would be refused."""
    admin.execute_command("ACL", "SETUSER", "reader", *f"on >secret %R~{keys.PREFIX}* +@all".split())
    code, found = _check(base_environment, own_redis.url.replace("redis://", "redis://reader:secret@"))
    errors = [one for one in found if one["grade"] == "error"]

    assert ["compare the ACL of the user with deploy/redis-users.acl"] == [one["step"] for one in errors]
    assert 2 == code


def test_a_broker_that_accepts_no_writes_is_named(
    own_redis: RedisServer, admin: redis.Redis, base_environment: dict[str, str]
) -> None:
    """It answers, and takes no nudge."""
    admin.replicaof("127.0.0.1", "9")  # type: ignore[no-untyped-call]
    environment = base_environment | {"THREELANE_BROKER_URL": own_redis.url}
    completed = typed("check", "--json", environment=environment)
    (broker,) = [one for one in json.loads(completed.stdout) if one["what"] == "broker, Redis"]

    assert 2 == completed.returncode
    assert "replica" in broker["detail"]
    assert "THREELANE_BROKER_URL" in broker["step"]
