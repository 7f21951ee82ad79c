"""Quorum queues: RabbitMQ drops what was requeued too often, so nudges that wait for the rate are never requeued."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import amqp
import pytest
import redis

from tests import rabbit
from tests.integration.conftest import Workers, taken
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import keys

pytestmark = [
    pytest.mark.skipif(rabbit.script() is None, reason="no RabbitMQ here: apt-get install rabbitmq-server"),
    pytest.mark.xdist_group("rabbit_quorum"),  # one node serves them all
]
LIMIT = 3  # RabbitMQ 4 has 20; a lower one shows a requeue sooner
A_SECOND = 20
MESSAGES = 150
SIZE = 25


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rabbit.RabbitServer]:
    made = rabbit.RabbitServer(tmp_path_factory.mktemp("rabbit")).start()
    wait_until(lambda: _limited(made), what="the policy")
    yield made
    made.stop()


def _limited(server: rabbit.RabbitServer) -> bool:
    """Set the limit; on a busy machine rabbitmqctl may not reach the node at first."""
    try:
        server.control("set_policy", "--apply-to", "queues", "limit", "^sms", f'{{"delivery-limit":{LIMIT}}}')
    except subprocess.CalledProcessError:
        return False
    return True


@pytest.fixture
def on_quorum(server: rabbit.RabbitServer, workers: Workers) -> Workers:
    """Workers whose queues are of the type quorum."""
    workers.environment = workers.environment | {
        "THREELANE_BROKER_URL": server.url,
        "THREELANE_RABBIT_QUEUE_TYPE": "quorum",
    }
    return workers


@pytest.fixture
def producer(client: redis.Redis, redis_server: RedisServer, server: rabbit.RabbitServer) -> Iterator[Producer]:
    assert client.ping()
    with amqp.Connection(f"127.0.0.1:{server.port}", connect_timeout=10) as connection:
        for lane in keys.LANES:
            connection.channel().queue_delete(keys.queue(lane))
    settings = ProducerSettings(
        redis_url=redis_server.url,
        broker_url=server.url,
        rabbit_queue_type="quorum",
        redis_timeout_seconds=30,  # a busy machine must not make the producer give a nudge up
    )
    with Producer(settings) as made:
        yield made


def test_a_lane_that_waits_for_the_rate_loses_no_nudge(
    producer: Producer, on_quorum: Workers, sandbox: Running, client: redis.Redis
) -> None:
    """Each nudge of 99 or 51 goes back dozens of times; one that is dropped would wait for a look or the sweep.

    On a busy machine a look takes a few messages that the lane has overtaken for a second, and never a whole nudge.
    """
    ids = {
        one.id for one in producer.send_many({"to": f"27999{500000 + one}", "text": "News"} for one in range(MESSAGES))
    }
    on_quorum.start(parts_per_second=A_SECOND, threads=4)
    wait_until(lambda: len(taken(sandbox)) == MESSAGES, 60, "all to be sent")

    assert ids == taken(sandbox).keys()
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert [] == on_quorum.events("swept")
    assert SIZE > sum(one["messages"] for one in on_quorum.events("found_without_nudge"))


def test_a_lane_that_waits_for_the_rate_keeps_its_order(
    producer: Producer, on_quorum: Workers, sandbox: Running
) -> None:
    """At the end of the lane a nudge would wait behind the whole backlog, each time that it is served in part."""
    ids = [
        producer.send_many({"to": f"27999{500000 + SIZE * nudge + one}", "text": "News"} for one in range(SIZE))
        for nudge in range(MESSAGES // SIZE)
    ]
    on_quorum.start(parts_per_second=A_SECOND, threads=2)
    wait_until(lambda: len(taken(sandbox)) == MESSAGES, 60, "all to be sent")
    sequence = {one: entries[0]["sequence"] for one, entries in taken(sandbox).items()}
    last_of_each = [max(sequence[one.id] for one in nudge) for nudge in ids]

    assert last_of_each[0] < MESSAGES / 2
    assert last_of_each[0] == min(last_of_each)


def test_queues_of_another_type_end_the_worker(
    producer: Producer, on_quorum: Workers, server: rabbit.RabbitServer, tmp_path: Path
) -> None:
    """The sentence names the queue and the setting."""
    wait_until(lambda: producer.nudger.publish(1, ["a"]), 30, "a nudge, which declares the queue")
    environment = on_quorum.environment | {"THREELANE_RABBIT_QUEUE_TYPE": "classic"}
    words = [sys.executable, "-m", "threelane", "worker"]
    on_quorum.children.append(worker := Child("worker", words, tmp_path / "worker.log", environment))
    wait_until(lambda: worker.process.poll() is not None, 60, "the worker to end")
    (sentence,) = [one for one in worker.log.read_text().splitlines() if one.startswith("threelane: ")]

    assert Exit.USAGE == worker.process.returncode
    assert "queue sms.1" in sentence
    assert "THREELANE_RABBIT_QUEUE_TYPE" in sentence


def test_celery_declares_no_queues_for_delays(
    producer: Producer, on_quorum: Workers, server: rabbit.RabbitServer
) -> None:
    """It would add 28 to each virtual host with quorum queues."""
    on_quorum.start()

    listed = server.control("list_queues", "--silent", "name", "type").split("\n")
    assert sorted(f"{keys.queue(lane)}\tquorum" for lane in keys.LANES) == sorted(filter(None, listed))
