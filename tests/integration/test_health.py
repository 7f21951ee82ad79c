"""Health: a worker that does not consume is found out, though it answers a ping."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import redis

from tests.integration.conftest import Workers
from tests.nudges import nudges_of
from tests.servers import RedisServer, freeze, typed, wait_until
from threelane import Producer
from threelane.store import keys


def _health(workers: Workers, name: str = "w1") -> tuple[int, str]:
    completed = typed("health", "--worker", name, environment=workers.environment)
    return completed.returncode, completed.stdout + completed.stderr


def _local(workers: Workers, *words: str) -> tuple[int, str]:
    completed = typed("health", *words, environment=workers.environment)
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


def test_a_worker_that_stands_still_is_found_out_by_its_own_host(
    producer: Producer, workers: Workers, client: redis.Redis
) -> None:
    """A stopped process does not answer for itself, however fresh its last report in Redis is."""
    child = workers.start(worker_name="w1")
    wait_until(lambda: 0 == _local(workers, "--ready")[0], what="the worker to be ready")
    client.hset(keys.worker("w1"), "not_ready", "of the last heartbeat")
    assert 0 == _local(workers, "--ready")[0]  # as /ready: the worker's own report is newer
    freeze(child.process)
    try:
        code, printed = _local(workers)
    finally:
        os.kill(child.process.pid, signal.SIGCONT)
    assert 5 == code
    assert f"worker w1 (process {child.process.pid}) does not answer" in printed


def test_each_worker_of_a_host_answers_for_itself(producer: Producer, workers: Workers) -> None:
    """One that stands still beside a healthy one had the host's name, too, and passed as healthy."""
    for name in ("w1", "w2"):
        workers.start(worker_name=name)
    freeze(workers.children[1].process)
    try:
        code, printed = _local(workers)
        of_one = _health(workers, "w1")
    finally:
        os.kill(workers.children[1].process.pid, signal.SIGCONT)
    assert 5 == code
    assert ["w2"] == [name for name in ("w1", "w2") if f"worker {name} (process" in printed]
    assert 0 == of_one[0]


def test_a_frozen_redis_restarts_no_worker(tmp_path: Path, base_environment: dict[str, str]) -> None:
    """Liveness passes with a sentence, readiness fails with the code of an outage, and both read once."""
    server = RedisServer(tmp_path).start()
    workers = Workers(tmp_path, base_environment | {"THREELANE_REDIS_URL": server.url})
    try:
        workers.start(worker_name="w1")
        wait_until(lambda: 0 == _local(workers, "--ready")[0], what="the worker to be ready")
        assert server.process
        freeze(server.process)
        code, printed = _local(workers)
        assert 0 == code
        assert "a restart would not help" in printed
        assert 3 == _local(workers, "--ready")[0]
        server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: 0 == _local(workers, "--ready")[0], what="the worker to be ready again")
    finally:
        if server.process:
            server.process.send_signal(signal.SIGCONT)
        workers.stop()
        server.kill()


def test_a_redis_that_is_away_restarts_no_worker(tmp_path: Path, base_environment: dict[str, str]) -> None:
    """Also while workers reconnect."""
    server = RedisServer(tmp_path).start()
    workers = Workers(tmp_path, base_environment | {"THREELANE_REDIS_URL": server.url})
    try:
        workers.start(worker_name="w1")
        server.kill()
        assert 0 == _local(workers)[0]
        assert 3 == _local(workers, "--ready")[0]
    finally:
        workers.stop()
        server.kill()


def test_a_worker_that_may_not_send_is_live_and_not_ready(
    producer: Producer, workers: Workers, client: redis.Redis
) -> None:
    """A wrong address or refused credentials: no restart would help."""
    child = workers.start(worker_name="w1", gateway_url=f"{workers.environment['THREELANE_GATEWAY_URL']}/elsewhere")
    producer.send("27999500001", "Hello", lane=1)
    wait_until(lambda: client.hget(keys.worker("w1"), "fault"), what="the report of its fault")
    assert 0 == _local(workers)[0]
    code, printed = _local(workers, "--ready", "--json")
    assert 5 == code
    with pytest.raises(HTTPError, match="503") as ready:
        urlopen(child.event("metrics")["url"].replace("/metrics", "/ready"))
    reasons = json.loads(ready.value.read())["reasons"]
    assert any("is not Clickatell's" in reason for reason in reasons)
    assert [f"worker w1 is not ready: {reason}" for reason in reasons] == json.loads(printed)["reasons"]


def test_an_unknown_worker_and_a_missing_redis_are_distinguished(
    producer: Producer, workers: Workers, client: redis.Redis
) -> None:
    """Each has its own exit code and its own way out; a host without workers is unhealthy, too."""
    assert 5 == _health(workers, "nobody")[0]
    away = {"THREELANE_REDIS_URL": "redis://127.0.0.1:9/0"}
    completed = typed("health", "--worker", "nobody", environment=away)
    assert 3 == completed.returncode
    assert "Traceback" not in completed.stderr
    assert 5 == typed("health", environment=away).returncode
    named = workers.environment | {"THREELANE_WORKER_NAME": "elsewhere"}
    client.hset(keys.worker("elsewhere"), mapping={"beat": int(time.time() * 1000), "lanes": "1,2,3"})
    assert 5 == typed("health", environment=named).returncode  # it looks at this host alone
    assert 0 == typed("health", "--worker", "elsewhere", environment=named).returncode


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
    assert b"1" == client.hget(keys.worker("lane1"), "serves")
    assert 0 == producer.status(slow).attempts


def test_a_worker_reports_when_it_fetched_last(producer: Producer, workers: Workers, client: redis.Redis) -> None:
    """Also a nudge with nothing left to claim: it consumes, and is healthy."""
    workers.start(worker_name="w")

    def fetched() -> int:
        return int(client.hget(keys.worker("w"), "fetched") or 0)

    before = wait_until(fetched, what="a report")
    producer.nudger.publish(3, ["0" * 32])
    wait_until(lambda: fetched() > before, what="a report of the fetch")
