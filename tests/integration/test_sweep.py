"""Sweep: finds what lost its nudge and no look claimed; a backlog is left alone, and each find is an alarm."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
import redis

from tests.integration.conftest import Workers
from tests.nudges import nudges_of
from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Producer
from threelane.producer.nudge import NUDGE_SIZE
from threelane.sandbox.running import Running
from threelane.store import keys, missing
from threelane.store.missing import RECENT_MS
from threelane.store.tally import Count
from threelane.worker.upkeep.sweep import sweep

QUICK = {"sweep_seconds": 0.5, "lost_nudge_seconds": 1}
EMPTY = dict.fromkeys(keys.LANES, 0)
BUSY = dict.fromkeys(keys.LANES, 1)


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server, lost_nudge_seconds=30) as made:
        made.empty()
        yield made


def accepted(system: System, number: int = 1) -> list[str]:
    drafts = [system.draft() for _ in range(number)]
    system.accept(drafts)
    return [one.message.id for one in drafts]


def swept(client: redis.Redis) -> int:
    return sum(int(client.hget(keys.TALLY, f"swept:{lane}") or 0) for lane in keys.LANES)


def test_an_empty_lane_shows_a_lost_nudge(system: System) -> None:
    """Accepted, the nudge was lost, and no worker looked: two sweeps with an empty lane find it."""
    messages = accepted(system, 10)
    assert {} == system.sweep(EMPTY)
    system.now += 31_000
    assert {3: sorted(messages)} == {lane: sorted(ids) for lane, ids in system.sweep(EMPTY).items()}
    assert 10 == swept(system.sync)


def test_the_order_of_a_busy_lane_shows_a_lost_nudge(system: System) -> None:
    """Messages that were queued later are served: the lane has passed the one without a nudge."""
    lost = accepted(system)
    for _ in range(3):
        system.now += 20_000
        system.claim(3, accepted(system), "token")
        found = system.sweep(BUSY)
    assert {3: lost} == found


def test_a_lane_on_hold_is_not_swept(system: System) -> None:
    """Nothing there may be claimed, so nothing shows that looks have failed; afterwards they claim it."""
    accepted(system)
    system.hold("lane:3", 0)
    system.sweep(EMPTY)
    system.now += 60_000
    assert {} == system.sweep(EMPTY)
    system.sync.delete(keys.HOLDS)
    assert {} == system.sweep(EMPTY), "looks have until the next sweep to claim it"
    assert {3: ["0" * 31 + "1"]} == system.sweep(EMPTY)


def test_nothing_is_swept_while_the_breaker_is_open(system: System) -> None:
    """No worker claims anything then, by nudges or by looks."""
    accepted(system)
    system.sweep(EMPTY)
    system.now += 60_000
    assert {} == system.run(sweep(system.client, EMPTY, system.settings, system.now, may_claim=False))


def test_a_message_that_is_swept_twice_raises_its_own_alarm(system: System, caplog: pytest.LogCaptureFixture) -> None:
    """Its new nudge was lost, too, and no worker has looked for a minute: that is no accident of the broker."""
    caplog.set_level(logging.INFO, "threelane")
    (message,) = accepted(system)
    for _ in range(3):
        system.sweep(EMPTY)
        system.now += 31_000

    levels = [(one.message, one.levelname) for one in caplog.records if one.message.startswith("swept")]
    again = [vars(one)["fields"] for one in caplog.records if one.message == "swept_again"]
    assert [("swept", "WARNING"), ("swept", "WARNING"), ("swept_again", "ERROR")] == levels
    assert [{"lane": 3, "messages": 1, "ids": [message]}] == again
    assert b"2" == system.sync.hget(keys.record(message), "sweeps")
    assert (b"2", b"1") == tuple(system.sync.hmget(keys.TALLY, ["swept:3", "swept_again:3"]))
    recent = missing.recent(system.sync.hgetall(keys.NUDGES), system.now)  # type: ignore[arg-type]
    assert [(Count.SWEPT, 3, 2), (Count.SWEPT_AGAIN, 3, 1)] == [one[:3] for one in recent]
    system.run(missing.forget(system.client, system.now + RECENT_MS))
    assert {} == system.sync.hgetall(keys.NUDGES)


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
