"""Somebody who can write to Redis or the broker damages a record and the queues: it costs that message alone."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import amqp
import pytest
import redis

from tests import rabbit
from tests.integration.conftest import Workers, log_of, taken
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings
from threelane.producer import task_message
from threelane.sandbox.running import Running
from threelane.store import keys

MESSAGES = 1_000
WORKERS = 2
NUDGES = (
    b"not json",
    b"{}",
    b"[]",
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    json.dumps({"body": "eHg=", "headers": {"task": keys.TASK}, "properties": {"body_encoding": "base64"}}).encode(),
    json.dumps({"body": "e30=", "headers": {"task": "os.system"}, "properties": {}}).encode(),
    json.dumps({"body": None, "headers": {"task": keys.TASK, "eta": "x"}, "properties": None}).encode(),
    b"1" * 2_000_000,
)

ALONE: tuple[tuple[str, str | bytes], ...] = (
    ("body", "{garbage"),
    ("body", "{}"),
    ("body", b"{\xff}"),
    ("status", "garbage"),
    ("lane", "9"),
    ("accepted", "nan"),
    ("body", "garbage"),
)


class Broker(Protocol):
    """Where an attacker pushes entries."""

    url: str

    def poison(self) -> int:
        """Push poisoned entries to the lanes; returns how many."""


class OnRedis:
    """The lists of the lanes."""

    def __init__(self, client: redis.Redis) -> None:
        self.url = ""
        self._client = client

    def poison(self) -> int:
        for number, item in enumerate(NUDGES):
            self._client.lpush(keys.queue(1 + number % 3), item)
        return len(NUDGES)


class OnRabbitMQ:
    """The queues of the lanes, to which RabbitMQ takes any octets with any headers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def poison(self) -> int:
        headers: list[dict[str, Any]] = [{}, task_message.headers("x"), {"task": keys.TASK, "eta": "x", "retries": "y"}]
        every = [(item, one) for item in NUDGES for one in headers]
        with amqp.Connection(self.url.rpartition("@")[2].partition("/")[0]) as connection:
            channel = connection.channel()
            for number, (item, one) in enumerate(every):
                message = amqp.Message(item, application_headers=one, content_type="application/x-python-serialize")
                channel.basic_publish(message, routing_key=keys.queue(1 + number % 3))
        return len(every)


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest, client: redis.Redis, tmp_path: Path) -> Iterator[Broker]:
    if request.param == "redis":
        yield OnRedis(client)
        return
    if rabbit.script() is None:
        pytest.skip("RabbitMQ is not installed")
    (folder := tmp_path / "rabbit").mkdir()
    server = rabbit.RabbitServer(folder).start()
    yield OnRabbitMQ(server.url)
    server.stop()


def states(client: redis.Redis, ids: list[str]) -> Counter[str]:
    with client.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hget(keys.record(one), "status")
        return Counter((status or b"").decode() for status in pipe.execute())


def run(base_environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    environment = base_environment | {"COLUMNS": "400", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "threelane", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_one_damaged_record_and_poisoned_nudges_cost_one_message_of_a_thousand(
    broker: Broker,
    client: redis.Redis,
    redis_server: RedisServer,
    workers: Workers,
    sandbox: Running,
    base_environment: dict[str, str],
) -> None:
    """999 are sent once, none of them is in doubt, every worker lives, and doctor names the record."""
    settings: dict[str, Any] = {"broker_url": broker.url} if broker.url else {}
    children = [workers.start(**settings, metrics_port=0) for _ in range(WORKERS)]
    wait_until(lambda: all(any(e["event"] == "login_accepted" for e in log_of(one)) for one in children), 30)
    pushed = broker.poison()
    messages: Any = [{"to": f"27999{500_000 + n}", "text": f"m {n}", "lane": 1 + n % 3} for n in range(MESSAGES)]
    client.hset(keys.HOLDS, "account", '{"code":"by_hand","cause":"x","since":0,"until":0}')  # to damage it in time
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway="http", **settings)) as producer:
        admissions: Any = producer.send_many(messages)
        ids = [one.id for one in admissions]
        poisoned = ids[500]
        client.hset(keys.record(poisoned), mapping={"body": b"\x80{", "lane": "1e999"})
        client.hdel(keys.HOLDS, "account")
        pushed += broker.poison()
        others = [one for one in ids if one != poisoned]
        seen: Counter[str] = Counter()

        def are_sent() -> bool:
            found = states(client, others)
            seen.update(found)
            return set(found) <= {"sent", "delivered"}

        wait_until(are_sent, 60, "999 to be sent")
        wait_until(lambda: states(client, [poisoned]) == {"dead": 1}, 60, "the damaged one to be set aside")
        wait_until(lambda: sum(map(_dropped, children)) == pushed, 30, f"{pushed} nudges to be dropped")
        (one,) = [producer.send("27999777777", "after", lane=1)]
        wait_until(lambda: set(states(client, [one.id])) <= {"sent", "delivered"}, 30, "the workers to go on")

    assert 0 == seen["in_doubt"]
    sent = Counter(entry["client_id"] for entry in sandbox.control("GET", "ledger")["messages"])
    assert dict.fromkeys([*others, one.id], 1) == dict(sent)
    assert [None] * WORKERS == [child.process.poll() for child in children]
    assert len(workers.events("nudge_dropped")) <= 5 * WORKERS
    assert 1 == len([entry for entry in workers.events("damaged_record") if entry["id"] == poisoned])

    environment = base_environment | ({"THREELANE_BROKER_URL": broker.url} if broker.url else {})
    doctor = run(environment, "doctor")
    assert poisoned in doctor.stdout
    assert "damaged record: body, lane" in doctor.stdout
    wait_until(lambda: "dropped entries" in run(environment, "doctor").stdout, 30, "a heartbeat with what was dropped")
    assert poisoned in run(environment, "dead", "list").stdout
    assert "lane=1e999" in run(environment, "dead", "damage", poisoned).stdout
    assert 0 == run(environment, "explain", poisoned).returncode
    redriven = run(environment, "dead", "redrive", poisoned)
    assert "content is lost" in redriven.stdout + redriven.stderr
    assert "" == "".join(word for word in ("Traceback",) if word in doctor.stderr + redriven.stderr)


def test_damaged_records_alone_end_no_worker_of_an_idle_fleet(
    client: redis.Redis, redis_server: RedisServer, workers: Workers
) -> None:
    """Any number of them, with no success between them: they are no fault of the worker's code."""
    child = workers.start()
    client.hset(keys.HOLDS, "account", '{"code":"by_hand","cause":"x","since":0,"until":0}')
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway="http")) as producer:
        admissions: Any = [producer.send(f"2799960000{n}", "x", lane=1) for n in range(len(ALONE))]
        ids = [one.id for one in admissions]
        for one, (field, value) in zip(ids, ALONE, strict=True):
            client.hset(keys.record(one), field, value)
        client.hdel(keys.HOLDS, "account")
        wait_until(lambda: states(client, ids) == {"dead": len(ids)}, 60, "all to be set aside")
        after: Any = producer.send("27999777777", "after", lane=1)
        wait_until(lambda: set(states(client, [after.id])) <= {"sent", "delivered"}, 30, "the worker to go on")
    assert child.process.poll() is None
    assert [] == workers.events("worker_failed")


def test_a_queue_of_another_type_ends_no_worker_and_check_names_it(
    client: redis.Redis, producer: Producer, sandbox: Running, workers: Workers
) -> None:
    """Workers find the messages themselves, and fetch nudges again once the key is deleted."""
    for name in (keys.queue(1), "_kombu.binding.sms"):
        client.set(name, "of another program")
    child = workers.start()
    codes = [producer.send(f"2799970000{number}", "code", lane=1).id for number in range(5)]
    wait_until(lambda: set(taken(sandbox)) >= set(codes), what="the codes at the gateway")
    checked = run(workers.environment, "check")
    assert (1, 0) == (len(workers.events("queue_of_other_type")), len(workers.events("unrecoverable")))
    assert 2 == checked.stdout.count("is of another type")

    client.delete(keys.queue(1), "_kombu.binding.sms")
    assert "is of another type" not in run(workers.environment, "check").stdout
    code = producer.send("27999700009", "code", lane=1).id
    wait_until(lambda: code in taken(sandbox), what="the next code")
    assert child.process.poll() is None


def _dropped(child: Any) -> int:
    """Return how many entries a worker has dropped, by its metrics."""
    (url,) = {entry["url"] for entry in log_of(child) if entry["event"] == "metrics"}
    lines = urllib.request.urlopen(url, timeout=10).read().decode().splitlines()
    counts = [line.split() for line in lines if line.startswith("threelane_unreadable_nudges_total{")]
    return int(sum(float(count) for _, count in counts))
