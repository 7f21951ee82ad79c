"""Who goes first: a login code never waits behind a newsletter, and the newsletter still goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.request import urlopen

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import Workers, kill
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = pytest.mark.main_job
NEWS = {1: "A flood of codes", 3: "News"}  # so that the gateway's ledger shows the lane on any API


def _flood(producer: Producer, lane: int, number: int) -> None:
    answers = producer.send_many({"to": f"27999{500000 + n}", "text": NEWS[lane], "lane": lane} for n in range(number))
    assert all(answer.accepted for answer in answers)


def _before(sandbox: Running, message_id: str) -> int:
    """Return how many messages of lane 3 the sandbox took before the one."""
    entries = sandbox.control("GET", "ledger")["messages"]
    mine = next(entry["sequence"] for entry in entries if entry["client_id"] == message_id)
    return sum(1 for entry in entries if entry["text"] == NEWS[3] and entry["sequence"] < mine)


def test_a_login_code_goes_before_all_but_a_thousand_of_twenty_thousand_newsletters(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """One worker, a backlog in lane 3, and a message in lane 1 after it."""
    sandbox.control("POST", "settings", {"latency_ms": 20})
    _flood(producer, 3, 20_000)
    workers.start(parts_per_second=100_000)
    wait_until(lambda: client.zcard(keys.QUEUED[3]) < 19_500, what="lane 3 to move")
    waiting = int(client.zcard(keys.QUEUED[3]))
    code = producer.send("27999500001", "Your code is 4711", lane=1)
    until(code.id, Status.SENT, Status.DELIVERED)

    overtaken = waiting - (20_000 - _before(sandbox, code.id))
    assert overtaken <= 1_000
    assert waiting > 15_000


def test_a_login_code_is_sent_while_every_call_of_lane_3_hangs(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """A thread and some of the calls are kept for lane 1: it does not wait for the end of anybody's hundred."""
    worker = workers.start(
        parts_per_second=100_000, gateway_connections=8, gateway_timeout_seconds=50, lease_seconds=110
    )
    sandbox.control("POST", "settings", {"latency_ms": 40_000})
    _flood(producer, 3, 1_500)
    wait_until(lambda: int(client.zcard(keys.LEASES[3])) >= 600, what="all other threads to be busy with lane 3")
    code = producer.send("27999500001", "Your code is 4711", lane=1)
    wait_until(lambda: code.id in {one["client_id"] for one in sandbox.control("GET", "ledger")["messages"]})
    assert int(client.zcard(keys.AWAITING[3])) == 0, "nothing of lane 3 had ended"
    kill(worker)  # it would wait for its calls


def _claimed(worker: Child, lane: int) -> float:
    """Return how many messages of a lane a worker has claimed."""
    text = urlopen(worker.event("metrics")["url"]).read().decode()
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return sum(
        one.value for one in samples if one.name == "threelane_claimed_total" and one.labels["lane"] == str(lane)
    )


@pytest.mark.slow
def test_a_busy_worker_leaves_codes_to_a_reserved_one_and_takes_them_when_that_is_gone(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """The idle process is the quicker one; a code does not wait for one that does not live any more."""
    sandbox.control("POST", "settings", {"latency_ms": 300})
    reserved = workers.start("--lanes", "1", parts_per_second=100_000)
    assert [1] == reserved.event("started")["lanes"]
    _flood(producer, 3, 3_000)
    shared = workers.start(parts_per_second=100_000, threads=3, gateway_connections=8)
    wait_until(lambda: _claimed(shared, 3) >= 200, what="the shared worker to be busy")
    time.sleep(0.5)  # of its look at who else is there
    before = _claimed(shared, 1)
    for _ in range(5):
        producer.send("27999500001", "Code", lane=1)
    wait_until(lambda: _claimed(reserved, 1) == 5, what="the codes to be claimed")
    assert before == _claimed(shared, 1)

    kill(reserved)
    producer.send("27999500001", "Code", lane=1)
    wait_until(lambda: _claimed(shared, 1) == before + 1, what="the other to take it")
    assert client.zcard(keys.QUEUED[3]), "it was busy all the time"


@pytest.mark.slow
def test_lane_3_moves_while_lane_1_is_never_empty(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """The floor: a flood of codes slows the newsletters down, and does not stop them."""
    sandbox.control("POST", "settings", {"latency_ms": 10})
    _flood(producer, 3, 1_000)
    _flood(producer, 1, 6_000)
    workers.start(parts_per_second=100_000, gateway_connections=16)
    wait_until(lambda: not client.zcard(keys.QUEUED[1]), what="lane 1 to end")
    entries = sandbox.control("GET", "ledger")["messages"]
    last = max(entry["sequence"] for entry in entries if entry["text"] == NEWS[1])
    between = sum(1 for entry in entries if entry["text"] == NEWS[3] and entry["sequence"] < last)

    assert 100 <= between <= 1_000


def test_the_rate_is_kept_by_all_workers_together_and_lane_1_goes_first(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """Two workers share one bucket; a code that comes while it is empty goes before what waited."""
    workers.start(parts_per_second=50)
    workers.start(parts_per_second=50)
    _flood(producer, 3, 400)
    wait_until(lambda: client.zcard(keys.QUEUED[3]) < 330, what="two seconds' worth")
    code = producer.send("27999500001", "Your code is 4711", lane=1)
    until(code.id, Status.SENT, Status.DELIVERED)
    entries = sandbox.control("GET", "ledger")["messages"]
    times = sorted(entry["taken_at"] for entry in entries)
    burst = 50

    assert len(times) <= burst + 50 * (times[-1] - times[0]) + burst * 0.2 + 2
    assert _before(sandbox, code.id) < 330
    waiting = producer.statuses([one.decode() for one in client.zrange(keys.QUEUED[3], 0, -1)])
    assert {0} == {found.attempts for found in waiting if found and found.status is Status.QUEUED}


def test_a_paused_lane_waits_and_the_others_go_on(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """A hold may be of one lane; closing it leaves its backlog untouched on the broker."""
    client.hset(keys.HOLDS, "lane:3", '{"code":"","cause":"paused","since":0,"until":0}')
    workers.start()
    wait_until(lambda: client.hexists(keys.HOLDS, "lane:3"))
    slow = producer.send("27999500001", "News", lane=3)
    quick = producer.send("27999500002", "Code", lane=1)
    until(quick.id, Status.SENT, Status.DELIVERED)
    found = producer.status(slow.id)
    assert found
    assert (found.status, found.attempts) == (Status.QUEUED, 0)

    client.hdel(keys.HOLDS, "lane:3")
    until(slow.id, Status.SENT, Status.DELIVERED)
