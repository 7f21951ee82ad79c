"""Sweep: what lost its nudge is nudged again; a mere backlog is not."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

from tests.integration.conftest import Workers, taken
from tests.nudges import nudges_of
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.producer.nudge import NUDGE_SIZE
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
QUICK = {"sweep_seconds": 0.5, "lost_nudge_seconds": 1}


def swept(client: redis.Redis) -> int:
    return sum(int(client.hget(keys.TALLY, f"swept:{lane}") or 0) for lane in keys.LANES)


def test_a_nudge_that_was_lost_with_its_producer_is_replaced(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """Accepted, and the producer died before it published: the empty lane gives it away."""
    messages = [producer.send(f"27999500{n:03d}", "Hello").id for n in range(10)]
    nudges_of(client).lose(3)
    workers.start(**QUICK)
    for message in messages:
        until(message, Status.SENT, Status.DELIVERED)
    assert 10 == swept(client)
    assert {1} == {len(entries) for entries in taken(sandbox).values()}


def test_a_lost_nudge_is_found_by_the_lane_s_order_while_the_lane_is_busy(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """Messages that were queued later are served: the lane has passed the one without a nudge."""
    lost = producer.send("27999500001", "Hello").id
    nudges_of(client).lose(3)
    workers.start(**QUICK)
    deadline = time.monotonic() + 15
    number = 0
    while producer.status(lost).status is Status.QUEUED and time.monotonic() < deadline:
        number += 1
        producer.send(f"279995{number:05d}", "News")
        time.sleep(0.05)
    until(lost, Status.SENT, Status.DELIVERED)
    assert 1 == swept(client)


def test_a_backlog_that_waits_for_the_rate_or_for_a_hold_is_not_nudged_again(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Waiting is not a loss: however long it lasts, each message keeps its one nudge."""
    answers = producer.send_many({"to": f"279995{n:05d}", "text": "News"} for n in range(1_500))
    workers.start(**QUICK, parts_per_second=40)
    workers.start(**QUICK, parts_per_second=40)
    wait_until(lambda: client.zcard(keys.QUEUED[3]) < 1_350, what="several sweeps at the allowed rate")
    client.hset(keys.HOLDS, "account", '{"code":"","cause":"test","since":0,"until":0}')
    held_from = time.monotonic()
    wait_until(lambda: time.monotonic() - held_from > 4, what="several sweeps under a hold")
    assert 0 == swept(client)

    nudged = sum(nudges_of(client).depth(lane) for lane in keys.LANES)
    assert nudged <= -(-1_500 // NUDGE_SIZE)
    client.hdel(keys.HOLDS, "account")
    assert len(answers) == 1_500
