"""A worker waits for what is away at its start, and ends with 0 only by a signal."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import Workers, log_of, taken, threelane_child
from tests.servers import RedisServer, free_port, wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that is not started yet."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def waiting(workers: Workers, own: RedisServer) -> Child:
    """A worker that waits for Redis."""
    workers.environment = workers.environment | {
        "THREELANE_REDIS_URL": own.url,
        "THREELANE_RUN_DIR": str(workers.folder / "run"),
    }
    child = threelane_child("worker", workers.folder, workers.environment)
    workers.children.append(child)
    child.event("waits_for_redis")
    return child


def announcement(workers: Workers) -> dict[str, str]:
    """Return what the first worker of the host announces."""
    file = Path(workers.environment["THREELANE_RUN_DIR"], "worker-1.json")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_a_worker_waits_for_redis_and_then_works(
    waiting: Child, own: RedisServer, workers: Workers, sandbox: Running
) -> None:
    """A host may start its workers before Redis; until then each says that it is not ready."""
    wait_until(lambda: "Redis does not answer" in announcement(workers)["not_ready"], what="the reason")
    own.start()
    waiting.event("started")
    with Producer(ProducerSettings(redis_url=own.url)) as producer:
        sent = producer.send("27831234567", "1", lane=1).id
    wait_until(lambda: sent in taken(sandbox), what="the code at the gateway")

    wait_until(lambda: announcement(workers)["not_ready"] == "", what="a ready worker")
    assert 1 == len([one for one in log_of(waiting) if one["event"] == "waits_for_redis"])


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGQUIT, signal.SIGINT)])
def test_a_worker_that_waits_ends_at_once_by_a_signal(waiting: Child, numbers: tuple[signal.Signals, ...]) -> None:
    """It has taken nothing; a container's first process would ignore the signal without a handler."""
    for number in numbers:
        waiting.process.send_signal(number)

    assert 0 == waiting.process.wait(20)
    assert "Traceback" not in waiting.log.read_text(encoding="utf-8")


def test_a_broker_that_is_away_at_start_is_waited_for(
    workers: Workers, producer: Producer, client: redis.Redis, sandbox: Running
) -> None:
    """The worker is not ready, and its looks send meanwhile; each reason is logged once."""
    away = f"amqp://127.0.0.1:{free_port()}//"
    child = workers.start(broker_url=away, worker_name="w")
    child.event("waits_for_broker")
    sent = producer.send("27831234567", "1", lane=1).id
    wait_until(lambda: sent in taken(sandbox), 60, what="the code at the gateway")
    wait_until(lambda: b"the broker does not answer" in (client.hget(keys.worker("w"), "not_ready") or b""))
    child.stop()

    assert 0 == child.process.returncode
    assert 1 == len([one for one in log_of(child) if one["event"] == "waits_for_broker"])


def test_an_error_that_a_worker_cannot_recover_from_is_a_sentence_and_not_code_0(
    workers: Workers, tmp_path: Path
) -> None:
    """A Redis without the command that fetches: a supervisor that restarts on failure must see a failure."""
    server = RedisServer(tmp_path, "--rename-command", "BRPOP", "").start()
    try:
        child = workers.start(redis_url=server.url)
        assert 3 == child.process.wait(60)
    finally:
        server.stop()
    log = child.log.read_text(encoding="utf-8")
    assert "threelane: the worker ends: " in log
    assert "Traceback" not in log
