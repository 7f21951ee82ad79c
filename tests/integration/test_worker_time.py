"""When: not before its time, and soon after it, also when the worker restarts in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis

from tests.integration.api import API
from tests.integration.conftest import Workers, kill, taken
from tests.servers import wait_until
from threelane import Producer, Refused, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = pytest.mark.main_job


def test_a_message_due_in_5_s_goes_not_before_and_then_without_further_cause(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """By the sandbox's clock, which is this machine's. The bench measures how late it goes."""
    workers.start()
    due = datetime.now(UTC) + timedelta(seconds=5)
    answer = producer.send("27999500001", "Later", deliver_at=due)
    until(answer.id, Status.SENT, Status.DELIVERED)
    (entry,) = taken(sandbox)[answer.id]

    assert entry["taken_at"] >= due.timestamp()


def test_7_days_and_a_minute_ahead_is_refused_with_120(producer: Producer) -> None:
    """The gateway's horizon is ours."""
    answer = producer.try_send("27999500001", "Later", deliver_at=datetime.now(UTC) + timedelta(days=7, minutes=1))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.field) == ("120", "deliver_at")


@pytest.mark.slow
def test_a_scheduled_message_outlives_the_only_worker(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Kill -9 while 1,000 wait; another worker finds them in the due set, and each is sent once."""
    first = workers.start()
    due = datetime.now(UTC) + timedelta(seconds=4)
    answers = producer.send_many({"to": f"2799950{n:04d}", "text": "Later", "deliver_at": due} for n in range(1_000))
    kill(first)
    assert client.zcard(keys.DUE[3]) == 1_000
    wait_until(lambda: time.time() > due.timestamp())
    workers.start()
    wait_until(lambda: sandbox.control("GET", "ledger?summary=1")["summary"]["messages"] >= 1_000)

    assert sorted(answer.id for answer in answers) == sorted(taken(sandbox))
    assert {1} == {len(entries) for entries in taken(sandbox).values()}


def test_a_message_past_its_validity_is_expired_and_not_sent_late(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """Validity is looked at before every attempt; here its end is moved, since the shortest is a minute."""
    answer = producer.send("27999500001", "Late", validity_period=1)
    client.hset(keys.record(answer.id), "expires", int(time.time() * 1000) - 1)
    workers.start()
    found = until(answer.id, Status.EXPIRED)

    assert found.attempts == 0
    assert taken(sandbox) == {}
    assert client.pttl(keys.record(answer.id)) > 0


def test_the_remaining_validity_is_passed_on(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The gateway counts from when it gets the message, so it gets the remaining validity."""
    workers.start()
    answer = producer.send("27999500001", "Soon", validity_period=30, delay=1)
    until(answer.id, Status.SENT, Status.DELIVERED)
    (entry,) = taken(sandbox)[answer.id]
    assert int(entry["options"][API.validity]) == 29
