"""A message that makes our code fail costs itself alone: not its nudge, not a round, and not the worker."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import log_of
from tests.integration.test_adding_a_gateway import SECRET, Product
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings
from threelane.sandbox.running import Running
from threelane.store import keys

MESSAGES = 1_000
TEXT = "zanzibar"  # must not appear in a log or a story
DECLARATION = """
from dataclasses import replace

from threelane.gateways.{api} import GATEWAY as BASE

GATEWAY = replace(
    BASE, name="poisoned", credentials=(), account=(), callbacks={{}}, sandbox="",
    sender="threelane.gateways.poisoned.gateway:create",
)
"""
SENDER = """
from threelane.gateways.{api}.gateway import {base}


class Poisoned({base}):
    name = "poisoned"

    async def send(self, messages, now):
        for one in messages:
            if "before" in one.text:
                {{}}[one.text]
        answers = await super().send(messages, now)
        for one in messages:
            if "after" in one.text:
                {{}}[one.text]
        return answers


def create(settings, client):
    return Poisoned(settings, client)
"""
BASES = {"http": "HttpGateway", "xml": "XmlGateway"}


@pytest.fixture
def product(client: redis.Redis, redis_server: RedisServer, sandbox: Running, tmp_path: Path) -> Product:
    assert client.ping()
    credentials = {f"THREELANE_CLICKATELL_{name}": "sandbox" for name in ("API_ID", "USER", "PASSWORD")}
    settings = {
        "THREELANE_REDIS_URL": redis_server.url,
        "THREELANE_GATEWAY": "poisoned",
        "THREELANE_GATEWAY_URL": sandbox.url,
        "THREELANE_CALLBACK_SECRET": SECRET,
        "THREELANE_METRICS_PORT": "0",
        "THREELANE_PARTS_PER_SECOND": "5000",
        "THREELANE_DOUBT_DELAYS_SECONDS": "0.5,1",
        "COLUMNS": "200",
    }
    return Product(tmp_path, credentials | settings)


@pytest.fixture(params=["http", pytest.param("xml", marks=pytest.mark.slow)])
def poisoned(product: Product, request: pytest.FixtureRequest) -> Product:
    """The product with a gateway that raises for some texts, over an API of one and one of many messages a request."""
    files = {"__init__.py": DECLARATION, "gateway.py": SENDER}
    product.add(
        "poisoned", {name: text.format(api=request.param, base=BASES[request.param]) for name, text in files.items()}
    )
    return product


@pytest.fixture
def producer(redis_server: RedisServer) -> Iterator[Producer]:
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway="xml")) as made:
        yield made


def send(producer: Producer, texts: list[str], lane: int = 3) -> list[str]:
    messages: Any = [{"to": f"27999{500_000 + n}", "text": text, "lane": lane} for n, text in enumerate(texts)]
    answers: Any = producer.send_many(messages)
    return [answer.id for answer in answers]


def states(client: redis.Redis, ids: list[str]) -> Counter[str]:
    with client.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hget(keys.record(one), "status")
        return Counter((status or b"").decode() for status in pipe.execute())


def record(client: redis.Redis, message_id: str) -> dict[str, str]:
    found: Any = client.hgetall(keys.record(message_id))
    return {name.decode(): value.decode() for name, value in found.items()}


@pytest.mark.slow
def test_a_poison_message_among_a_thousand_is_one_dead_letter(
    poisoned: Product, producer: Producer, client: redis.Redis, sandbox: Running
) -> None:
    """999 are sent, the worker goes on, and the dead letter names the exception and its place, but no data."""
    texts = [f"{TEXT} {n}" for n in range(MESSAGES)]
    texts[417] += " before"
    with poisoned.running("worker") as worker:
        url = worker.event("metrics")["url"] if "metrics" in worker.log.read_text() else ""
        ids = send(producer, texts)
        wait_until(lambda: states(client, ids) == {"sent": 999, "dead": 1}, 60, "999 sent and one dead letter")
        assert worker.process.poll() is None
        metrics = urllib.request.urlopen(url).read().decode() if url else ""
    dead = record(client, ids[417])
    assert ("dead", "internal_error", "internal_error", "operator", "2", "2") == tuple(
        dead[name] for name in ("status", "code", "reason", "owner", "faults", "attempt")
    )
    assert dead["text"].startswith("KeyError at threelane.gateways.poisoned.gateway:")
    assert "2.000" == dead["waits"]
    assert 999 == len(sandbox.control("GET", "ledger")["messages"])
    assert TEXT not in worker.log.read_text() + dead["text"]
    assert [] == [one for one in log_of(worker) if one["event"] == "worker_failed"]
    if url:
        assert 'threelane_internal_errors_total{account="default",step="send"}' in metrics
    story = poisoned.prints("explain", ids[417])
    assert "KeyError" in str(story)
    assert "internal_error" == story["rule"]["code"]
    assert ids[417] in str(poisoned.prints("dead", "list", "--code", "internal_error"))
    doctor = poisoned.run("doctor")
    assert "internal_error" in doctor.stdout


@pytest.mark.slow
def test_after_the_fix_a_redriven_poison_message_is_sent(
    poisoned: Product, producer: Producer, client: redis.Redis
) -> None:
    """The operator's way back, with two attempts of its own."""
    with poisoned.running("worker") as worker:
        worker.event("started")
        (poison,) = send(producer, [f"{TEXT} before"])
        wait_until(lambda: states(client, [poison]) == {"dead": 1}, 30)
    file = poisoned.tree / "gateways" / "poisoned" / "gateway.py"
    file.write_text(file.read_text(encoding="utf-8").replace('"before"', '"no more"'), encoding="utf-8")
    with poisoned.running("worker") as worker:
        worker.event("started")
        assert 0 == poisoned.run("redrive", "internal_error").returncode
        wait_until(lambda: states(client, [poison]) == {"sent": 1}, 30)
    assert "faults" not in record(client, poison)


def test_a_message_at_which_the_code_fails_after_the_request_left_is_looked_up(
    poisoned: Product, producer: Producer, client: redis.Redis, sandbox: Running
) -> None:
    """It may have been sent: never again without proof, so the ledger has each message once."""
    texts = [f"{TEXT} {n}" for n in range(100)]
    texts[50] += " after"
    with poisoned.running("worker") as worker:
        worker.event("started")
        ids = send(producer, texts)
        wait_until(lambda: set(states(client, ids)) <= {"sent", "delivered"}, 40, "all to be found")
        assert worker.process.poll() is None
    ledger = sandbox.control("GET", "ledger")["messages"]
    assert 100 == len(ledger)
    faults = [one for one in log_of(worker) if one["event"] == "internal_error"]
    assert faults
    assert {True} == {one["left"] for one in log_of(worker) if one["event"] == "gateway_raised"}


@pytest.mark.slow
def test_a_worker_at_which_three_different_messages_fail_ends_with_an_error(
    poisoned: Product, producer: Producer, client: redis.Redis
) -> None:
    """Then its code is at fault, and its supervisor has to know; the messages wait for another worker."""
    with poisoned.running("worker") as worker:
        worker.event("started")
        (first,) = send(producer, [f"{TEXT} before"])
        wait_until(lambda: states(client, [first]) == {"dead": 1}, 30)
        assert worker.process.poll() is None, "one message that failed twice is one message"
        ids = send(producer, [f"{TEXT} before {n}" for n in range(2)])
        assert 70 == worker.process.wait(30)
    assert "three different messages failed" in worker.log.read_text()
    assert "worker_failed" in {one["event"] for one in log_of(worker)}
    assert {"scheduled": 2} == states(client, ids)


DAMAGES: dict[str, list[list[Any]]] = {
    "a body that is no JSON": [["HSET", "body", "{"]],
    "no body": [["HDEL", "body"]],
    "no validity": [["HDEL", "expires"]],
    "no recipient": [["HDEL", "to"]],
    "no time": [["HDEL", "accepted"]],
    "parts that are no number": [["HSET", "parts", "many"]],
    "attempts that are no number": [["HSET", "attempt", "x"]],
    "another type": [["DEL"], ["SET", "x"]],
}


def test_a_damaged_record_stops_no_other_message_of_its_nudge(
    workers: Any, client: redis.Redis, producer: Producer
) -> None:
    """Also if the script that claims them fails at it; each kind of damage is in a nudge of its own."""
    damaged, others = {}, []
    for damage, commands in DAMAGES.items():
        ids = send(producer, [f"{TEXT} {n}" for n in range(50)])
        damaged[damage] = ids.pop(20)
        others += ids
        for command, *words in commands:
            client.execute_command(command, keys.record(damaged[damage]), *words)  # type: ignore[no-untyped-call]
    worker = workers.start(doubt_delays_seconds="0.5,1")
    wait_until(lambda: states(client, others) == {"sent": len(others)}, 40, "the others to be sent")
    for damage, one in damaged.items():
        wait_until(lambda one=one: states(client, [one]) == {"dead": 1}, 20, damage)
        assert ("damaged_record", "operator") == tuple(record(client, one)[name] for name in ("code", "owner")), damage
        assert client.zscore(keys.DEAD, one), damage
        assert not client.zscore(keys.QUEUED[3], one), damage
        noted = [line for line in log_of(worker) if line["event"] in ("damaged_record", "internal_error")]
        assert ["damaged_record"] == [line["event"] for line in noted if line["id"] == one], damage
    assert worker.process.poll() is None
