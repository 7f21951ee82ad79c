"""Nudges are lost, refused or not taken: each code is claimed by the second look after it was due; none is swept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis

from tests import rabbit
from tests.integration.conftest import Workers, log_of, taken
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys

pytestmark = pytest.mark.slow

CODES = 200
FAULTY = "redis://127.0.0.1:1/0"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[rabbit.RabbitServer]:
    """A RabbitMQ of this test alone, whose memory alarm it sets."""
    if rabbit.script() is None:
        pytest.skip("no RabbitMQ here: apt-get install rabbitmq-server")
    server = rabbit.RabbitServer(tmp_path).start()
    yield server
    server.stop()


class Losing:
    """A broker that loses nudges at random on the way."""

    def __init__(self, broker: Any, share: float) -> None:
        self._broker, self._share, self._rng = broker, share, Random(7)
        self.lost: list[bytes] = []

    def publish(self, lane: int, bodies: Sequence[bytes], account: str = "") -> None:
        for body in bodies:
            if self._rng.random() < self._share:
                self.lost.append(body)
            else:
                self._broker.publish(lane, [body], account)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


def send_codes(producer: Producer, each: Callable[[], object] = lambda: None) -> list[str]:
    """Send the codes one after the other, as log-ins do; returns their ids."""
    codes: list[str] = []
    for number in range(CODES):
        codes.append(producer.send(f"279995{number:05d}", "Code", lane=1).id)
        each()
        threading.Event().wait(0.015)
    return codes


def looks_before_each_claim(worker: Child, client: redis.Redis, codes: Sequence[str]) -> list[int]:
    """Return for each code how many looks at lane 1 the worker made from when it was due to its claim."""
    queued = {code: int(client.hget(keys.record(code), "accepted") or 0) for code in codes}
    looks: list[int] = []
    counts: dict[str, int] = {}
    for line in log_of(worker):
        if line["event"] == "looked" and line["lane"] == 1:
            looks.append(line["now"])
        elif line["event"] == "claimed" and line["id"] in queued:
            counts[line["id"]] = sum(one > queued[line["id"]] for one in looks)
    return [counts[code] for code in codes]


def count(client: redis.Redis, name: str) -> int:
    return int(client.hget(keys.TALLY, name) or 0)


def all_taken(sandbox: Running, codes: Sequence[str]) -> bool:
    return taken(sandbox).keys() >= set(codes)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_codes_whose_nudges_are_lost_at_random_are_claimed_by_the_second_look(
    producer: Producer, workers: Workers, sandbox: Running, client: redis.Redis, share: float
) -> None:
    """Half or all of the nudges are lost while the lane is in use; each code arrives once."""
    worker = workers.start(log_level="DEBUG")
    wait_until(lambda: "1" in _lanes_of_the_worker(client), what="the worker to fetch")
    losing = producer.nudger._broker = Losing(producer.nudger._broker, share)  # type: ignore[assignment]
    codes = send_codes(producer)
    wait_until(lambda: all_taken(sandbox, codes), what="all codes at the gateway")
    wait_until(lambda: count(client, "found:1") >= len(losing.lost), what="the count of a look")

    assert 0.4 * CODES < len(losing.lost) <= CODES
    assert set() == {looks for looks in looks_before_each_claim(worker, client, codes) if looks > 2}
    assert (len(losing.lost), 0, 0) == (count(client, "found:1"), count(client, "swept:1"), count(client, "to:1:dead"))
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    print(f"{CODES} codes, {len(losing.lost)} nudges lost: all claimed by the second look, none swept")


def test_a_producer_without_its_broker_is_not_delayed_and_its_codes_are_claimed_by_the_second_look(
    redis_server: RedisServer,
    workers: Workers,
    sandbox: Running,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong THREELANE_BROKER_URL of one service: accepted, counted, and a second or two late."""
    worker = workers.start(log_level="DEBUG")
    wait_until(lambda: "1" in _lanes_of_the_worker(client), what="the worker to fetch")
    monkeypatch.setenv("THREELANE_BROKER_URL", FAULTY)
    with Producer(ProducerSettings(redis_url=redis_server.url)) as producer:
        codes = send_codes(producer)
        assert CODES == producer.unpublished
        assert count(client, "unpublished:1") > 0, "reported while it runs, not only when it ends"
    wait_until(lambda: all_taken(sandbox, codes), what="all codes at the gateway")
    wait_until(lambda: count(client, "found:1") >= CODES, what="the count of a look")

    assert set() == {looks for looks in looks_before_each_claim(worker, client, codes) if looks > 2}
    assert (CODES, CODES, 0) == tuple(count(client, name) for name in ("unpublished:1", "found:1", "swept:1"))


def test_codes_are_claimed_by_the_second_look_while_rabbitmq_has_its_memory_alarm_set(
    redis_server: RedisServer,
    workers: Workers,
    sandbox: Running,
    client: redis.Redis,
    node: rabbit.RabbitServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """RabbitMQ takes no nudge and answers no publisher; a send returns, since the alarm is reported, and is counted."""
    caplog.set_level(logging.INFO, "threelane")
    monkeypatch.setenv("THREELANE_BROKER_URL", node.url)
    worker = workers.start(log_level="DEBUG")
    wait_until(lambda: "1" in _lanes_of_the_worker(client), what="the worker to fetch")
    node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    with Producer(ProducerSettings(redis_url=redis_server.url, redis_timeout_seconds=20)) as producer:
        wait_until(
            lambda: not producer.nudger.publish(1, []) or not producer.nudger.publish(1, ["x"]), what="the alarm"
        )
        before = producer.unpublished
        codes = send_codes(producer)
        assert CODES == producer.unpublished - before
    wait_until(lambda: all_taken(sandbox, codes), what="all codes at the gateway")
    wait_until(lambda: count(client, "found:1") >= CODES, what="the count of a look")

    errors = {vars(one)["fields"]["error"] for one in caplog.records if one.message == "nudge_failed"}
    assert {"PublishRefused"} == errors, "a time-out would have held a caller"
    assert set() == {looks for looks in looks_before_each_claim(worker, client, codes) if looks > 2}
    assert (CODES, 0) == (count(client, "found:1"), count(client, "swept:1"))
    assert {1} == {len(entries) for entries in taken(sandbox).values()}


def test_while_the_broker_is_away_the_same_workers_go_on(
    redis_server: RedisServer, workers: Workers, sandbox: Running, client: redis.Redis, tmp_path: Path
) -> None:
    """A Redis for the nudges alone is killed: newsletters and codes are sent all the same, and none is swept."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = RedisServer(folder).start()
    try:
        settings = {"broker_url": broker.url}
        workers.start(**settings)
        wait_until(lambda: "1" in _lanes_of_the_worker(client), what="the worker to fetch")
        broker.kill()
        with Producer(ProducerSettings(redis_url=redis_server.url, **settings)) as producer:
            sent = [one.id for one in producer.send_many({"to": f"279996{n:05d}", "text": "News"} for n in range(500))]
            sent += send_codes(producer)
            wait_until(lambda: all_taken(sandbox, sent), what="all messages at the gateway")
    finally:
        broker.stop()

    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert (0, 0) == (count(client, "swept:1"), count(client, "swept:3"))


def _lanes_of_the_worker(client: redis.Redis) -> str:
    names: Any = client.zrange(keys.WORKERS, 0, -1)
    return " ".join((client.hget(keys.worker(name.decode()), "lanes") or b"").decode() for name in names)
