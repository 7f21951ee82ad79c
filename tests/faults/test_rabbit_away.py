"""RabbitMQ is killed, frozen or emptied: callers notice nothing, and every accepted message is sent once."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator

import amqp
import pytest
import redis

from tests.faults.test_kill_at_each_step import Dying, dying
from tests.faults.test_redis_away import Caller, at_rest, our_tracebacks
from tests.integration.conftest import Workers, taken
from tests.nudges import OnRabbitMQ
from tests.rabbit import ONLY_THERE, RabbitServer
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.producer.nudge import NUDGE_SIZE
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

__all__ = ["dying"]
Until = Callable[..., MessageStatus]
pytestmark = ONLY_THERE
SETTINGS = {
    "doubt_delays_seconds": "0.3,0.5",
    "sweep_seconds": 0.5,
    "lost_nudge_seconds": 1,
    "lease_seconds": 5,
    "gateway_timeout_seconds": 2,
}
LONGEST_CALL_SECONDS = 10


@pytest.fixture
def node(client: redis.Redis, rabbit_server: RabbitServer) -> Iterator[RabbitServer]:
    """The RabbitMQ of the test process; a test that harms it repairs it, since it takes seconds to start."""
    assert client.ping()
    yield rabbit_server
    rabbit_server.thaw()
    assert rabbit_server.is_alive()


def killed_and_started_again(server: RabbitServer) -> None:
    """Kill -9, and three seconds of nothing."""
    server.kill()
    _let_pass(3)
    server.start()


def frozen(server: RabbitServer) -> None:
    """Connections are taken and nothing is answered for five seconds."""
    server.freeze()
    _let_pass(5)
    server.thaw()


def emptied(server: RabbitServer) -> None:
    """Kill -9, and its disk is gone: no queue is left, and no nudge."""
    server.kill()
    shutil.rmtree(server.folder / "data")
    server.start()


@pytest.mark.parametrize("harm", [killed_and_started_again, frozen, emptied])
def test_an_outage_makes_messages_late_and_neither_lost_nor_doubled(
    node: RabbitServer,
    redis_server: RedisServer,
    workers: Workers,
    sandbox: Running,
    harm: Callable[[RabbitServer], None],
) -> None:
    """Accepted is what Redis has: callers go on all the time, and the same workers send on afterwards."""
    for _ in range(2):
        workers.start(**SETTINGS)
    caller = Caller(ProducerSettings(redis_url=redis_server.url))
    try:
        wait_until(lambda: len(taken(sandbox)) > 100, what="the first messages")
        harm(node)
        before = len(taken(sandbox))
        wait_until(lambda: len(taken(sandbox)) > before + 50, what="sending after the outage")
    finally:
        caller.stop()

    assert [] == caller.raised
    assert (0, set()) == (caller.outages, caller.unsure)
    assert caller.longest < LONGEST_CALL_SECONDS
    wait_until(lambda: taken(sandbox).keys() >= caller.accepted, 60, what="every accepted message at the gateway")
    wait_until(lambda: at_rest(redis_server, caller.accepted), what="every record to be at rest")
    assert caller.accepted == taken(sandbox).keys()
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert [None, None] == [child.process.poll() for child in workers.children]
    assert [] == our_tracebacks(workers)


def test_a_backlog_of_nudges_outlives_a_kill(producer: Producer, node: RabbitServer) -> None:
    """What the broker confirmed is on its disk; otherwise all of a backlog would have to wait for the sweep."""
    producer.send_many({"to": f"27999{500000 + one}", "text": "News"} for one in range(500))
    for one in range(5):
        producer.send(f"27999{600000 + one}", "Code", lane=1)
    node.kill()
    node.start()

    assert {1: 5, 2: 0, 3: -(-500 // NUDGE_SIZE)} == producer.nudger.depths()


def test_a_nudge_is_published_on_a_connection_from_before_a_restart(producer: Producer, node: RabbitServer) -> None:
    """A login code of a quiet night would otherwise wait for the sweep, since the restart was not noticed."""
    producer.send("27999500001", "Code", lane=1)
    node.kill()
    node.start()
    producer.send("27999500002", "Code", lane=1)

    assert 2 == OnRabbitMQ(node.url).depth(1)


def test_a_rabbitmq_that_hangs_does_not_hold_a_caller(redis_server: RedisServer, node: RabbitServer) -> None:
    """The message is accepted before its nudge is tried, and the sweep does the rest."""
    accepted: list[str] = []
    with Producer(ProducerSettings(redis_url=redis_server.url, redis_timeout_seconds=0.5)) as producer:
        accepted.append(producer.send("27999500001", "Code", lane=1).id)
        node.freeze()
        call = threading.Thread(target=lambda: accepted.append(producer.send("27999500002", "Code", lane=1).id))
        call.start()
        call.join(15)
        node.thaw()
        in_time = len(accepted)
        call.join()

    assert 2 == in_time


def test_messages_held_by_a_dead_worker_go_to_another_at_once(
    producer: Producer, workers: Workers, dying: Dying, client: redis.Redis, until: Until
) -> None:
    """Kill -9 with a nudge in hand: its connection ends with it, and no sweep is needed."""
    message = producer.send("27999500001", "Code", lane=1).id
    dying.die_at("before_the_claim")
    workers.start()
    until(message, Status.SENT, Status.DELIVERED)

    assert [] == workers.events("swept")


def test_a_deleted_queue_is_declared_again(
    producer: Producer, workers: Workers, sandbox: Running, client: redis.Redis, until: Until
) -> None:
    """With what was in it; the worker that fetched from it goes on."""
    client.hset(keys.HOLDS, "lane:3", '{"code":"","cause":"paused","since":0,"until":0}')
    worker = workers.start(**SETTINGS)
    lost = producer.send("27999600001", "News", lane=3).id
    _delete_queues(os.environ["THREELANE_BROKER_URL"])
    client.hdel(keys.HOLDS, "lane:3")
    for message in (lost, producer.send("27999500001", "Code", lane=1).id):
        until(message, Status.SENT, Status.DELIVERED, seconds=40)

    assert worker.process.poll() is None
    assert {1} == {len(entries) for entries in taken(sandbox).values()}


def _delete_queues(url: str) -> None:
    with amqp.Connection(url.rpartition("@")[2].partition("/")[0]) as connection:
        for lane in keys.LANES:
            connection.channel().queue_delete(keys.queue(lane))


def _let_pass(seconds: float) -> None:
    """Let an outage last this long."""
    threading.Event().wait(seconds)
