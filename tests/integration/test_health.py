"""Health: a worker that does not consume is found out, though it answers a ping."""

from __future__ import annotations

import os
import signal
import time

import redis

from tests.integration.conftest import Workers
from tests.nudges import nudges_of
from tests.servers import typed, wait_until
from threelane import Producer
from threelane.store import keys


def _health(workers: Workers, name: str = "w1") -> tuple[int, str]:
    completed = typed("health", "--worker", name, environment=workers.environment)
    return completed.returncode, completed.stdout + completed.stderr


def test_a_worker_that_consumes_is_healthy(producer: Producer, workers: Workers, client: redis.Redis) -> None:
    """Also when idle."""
    workers.start(worker_name="w1")
    wait_until(lambda: client.exists(keys.worker("w1")), what="its first report")
    wait_until(lambda: client.hget(keys.worker("w1"), "lanes") == b"1,2,3", what="its lanes")
    assert 0 == _health(workers)[0]


def test_a_worker_that_fetches_nothing_while_its_lanes_hold_work_is_not(
    producer: Producer, workers: Workers, client: redis.Redis
) -> None:
    """Its loop beats and a ping is answered, yet a message waits for more than a minute."""
    minute_ago = int(time.time() * 1000) - 70_000
    producer.send("27999500001", "Hello", lane=2)
    nudges_of(client).lose(2)
    client.zadd(keys.QUEUED[2], {client.zrange(keys.QUEUED[2], 0, 0)[0]: minute_ago})
    report = {"beat": int(time.time() * 1000), "fetched": minute_ago, "lanes": "1,2,3"}
    client.hset(keys.worker("w1"), mapping=report)
    code, printed = _health(workers)
    assert 5 == code
    assert "lane 2" in printed

    client.hset(keys.HOLDS, "account", '{"code":"301","cause":"no_credit","since":0,"until":0}')
    assert 0 == _health(workers)[0]  # it does right not to fetch


def test_a_worker_whose_loop_stands_still_is_found_out(
    producer: Producer, workers: Workers, client: redis.Redis
) -> None:
    """A stopped process misses its beats."""
    child = workers.start(worker_name="w1")
    wait_until(lambda: client.exists(keys.worker("w1")), what="its first report")
    os.kill(child.process.pid, signal.SIGSTOP)
    client.hset(keys.worker("w1"), "beat", int(time.time() * 1000) - 30_000)
    try:
        code, printed = _health(workers)
    finally:
        os.kill(child.process.pid, signal.SIGCONT)
    assert 5 == code
    assert "not reported" in printed


def test_an_unknown_worker_and_a_missing_redis_are_distinguished(producer: Producer, workers: Workers) -> None:
    """Each has its own exit code and its own way out."""
    assert 5 == _health(workers, "nobody")[0]
    away = typed("health", environment={"THREELANE_REDIS_URL": "redis://127.0.0.1:9/0"})
    assert 3 == away.returncode
    assert "Traceback" not in away.stderr


def test_a_reserved_worker_fetches_its_lane_alone(producer: Producer, workers: Workers, client: redis.Redis) -> None:
    """A deployment adds workers for lane 1: they leave the others' backlog to the others."""
    import sys

    from threelane.demo.child import Child

    child = Child(
        "lane1",
        [sys.executable, "-m", "threelane", "worker", "--lanes", "1"],
        workers.folder / "lane1.log",
        workers.environment | {"THREELANE_WORKER_NAME": "lane1"},
    )
    workers.children.append(child)
    slow, quick = (producer.send("27999500001", "Hello", lane=lane).id for lane in (3, 1))
    wait_until(lambda: producer.status(quick).attempts, what="lane 1")
    wait_until(lambda: client.hget(keys.worker("lane1"), "lanes") == b"1", what="its lanes")
    assert 0 == producer.status(slow).attempts


def test_a_worker_reports_when_it_fetched_last(producer: Producer, workers: Workers, client: redis.Redis) -> None:
    """Also a nudge with nothing left to claim: it consumes, and is healthy."""
    workers.start(worker_name="w")

    def fetched() -> int:
        return int(client.hget(keys.worker("w"), "fetched") or 0)

    before = wait_until(fetched, what="a report")
    producer.nudger.publish(3, ["0" * 32])
    wait_until(lambda: fetched() > before, what="a report of the fetch")
