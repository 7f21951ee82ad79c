"""Lanes on RabbitMQ, which would push what it has: a worker takes what its free threads can serve, in lane order."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import redis

from tests.integration.conftest import Workers, log_of
from tests.nudges import OnRabbitMQ
from tests.rabbit import ONLY_THERE
from tests.servers import wait_until
from threelane import Accepted, Producer, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = ONLY_THERE
CODES = 20
NEWS = 60


@pytest.fixture
def nudges(client: redis.Redis) -> OnRabbitMQ:
    assert client.ping()
    return OnRabbitMQ(os.environ["THREELANE_BROKER_URL"])


def test_codes_go_before_a_backlog_of_newsletters_nudge_by_nudge(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, nudges: OnRabbitMQ
) -> None:
    """A queue knows nothing of the others: left to itself, RabbitMQ gives each the same."""
    sandbox.control("POST", "settings", {"latency_ms": 50})
    for one in range(NEWS):
        producer.send(f"27999{600000 + one}", "News", lane=3)
    workers.start(threads=1)
    wait_until(lambda: nudges.depth(3) < NEWS - 2, what="lane 3 to move")
    rows = [{"to": f"27999{500000 + one}", "text": "Code", "lane": 1} for one in range(CODES)]
    codes = {one.id for one in producer.send_rows(rows) if isinstance(one, Accepted)}  # at once, however slow a call is
    for code in codes:
        until(code, Status.SENT, Status.DELIVERED)
    entries = sandbox.control("GET", "ledger")["messages"]
    sequence = [entry["sequence"] for entry in entries if entry["client_id"] in codes]
    between = [one for one in entries if one["text"] == "News" and min(sequence) < one["sequence"] < max(sequence)]

    owed = int(CODES * 0.1)
    assert len(between) <= owed + 1
    assert nudges.depth(3) > NEWS // 3


def test_a_lane_on_hold_is_not_fetched(
    producer: Producer, workers: Workers, client: redis.Redis, until: Until, nudges: OnRabbitMQ
) -> None:
    """Its nudges stay where they are: no worker takes them and puts them back again and again."""
    client.hset(keys.HOLDS, "lane:3", '{"code":"","cause":"paused","since":0,"until":0}')
    workers.start()
    waiting = [producer.send(f"27999{600000 + one}", "News", lane=3).id for one in range(5)]
    for one in range(20):  # a look at the lanes after each
        code = producer.send(f"27999{500000 + one}", "Code", lane=1)
        until(code.id, Status.SENT, Status.DELIVERED)

    assert 5 == nudges.depth(3)
    assert 0 == nudges.seen_before(3)
    client.hdel(keys.HOLDS, "lane:3")
    for one in waiting:
        until(one, Status.SENT, Status.DELIVERED)


def test_a_worker_takes_no_more_than_its_threads_serve(
    producer: Producer, sandbox: Running, workers: Workers, nudges: OnRabbitMQ
) -> None:
    """What waits in a busy worker's hands is out of the reach of an idle one."""
    sandbox.control("POST", "settings", {"latency_ms": 5000})
    ids = [producer.send(f"27999{600000 + one}", "News", lane=3).id for one in range(10)]
    workers.start(threads=3)  # one is kept for lane 1
    wait_until(lambda: [Status.SENDING] * 2 == _begun(producer, ids), what="the other two to call")
    assert 8 == nudges.depth(3)

    sandbox.control("POST", "settings", {"latency_ms": 0})
    workers.start()
    wait_until(lambda: [Status.SENT] * 8 == _begun(producer, ids)[2:], what="the idle one to send what is left")
    assert 0 == nudges.depth(3)


def test_workers_of_one_host_share_the_work(producer: Producer, sandbox: Running, workers: Workers) -> None:
    """One process per core: they have one name, and RabbitMQ would give the queue of that name to the first alone."""
    sandbox.control("POST", "settings", {"latency_ms": 100})
    pair = [workers.start(threads=1), workers.start(threads=1)]
    ids = [producer.send(f"27999{600000 + one}", "News").id for one in range(30)]
    wait_until(lambda: [Status.SENT] * 30 == _begun(producer, ids), what="all to be sent")

    assert all(any(line["event"] == "sent" for line in log_of(child)) for child in pair)


def test_a_reserved_worker_fetches_its_lane_alone(
    producer: Producer, workers: Workers, until: Until, nudges: OnRabbitMQ
) -> None:
    """A nudge of another lane is never in its hands."""
    import sys

    from threelane.demo.child import Child

    words = [sys.executable, "-m", "threelane", "worker", "--lanes", "1"]
    workers.children.append(Child("lane1", words, workers.folder / "lane1.log", workers.environment))
    producer.send("27999600001", "News", lane=3)
    code = producer.send("27999500001", "Code", lane=1)
    until(code.id, Status.SENT, Status.DELIVERED)

    assert (1, 0) == (nudges.depth(3), nudges.seen_before(3))


def _begun(producer: Producer, ids: list[str]) -> list[Status]:
    """Return the states of those that were tried, in order."""
    return [found.status for found in producer.statuses(ids) if found and found.status is not Status.QUEUED]
