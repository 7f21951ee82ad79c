"""Stopping and dying: messages under way end or are in doubt; the rest is left to others."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
import redis

from tests.integration.conftest import Workers, kill, log_of, taken
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = pytest.mark.main_job


def test_sigterm_ends_the_calls_under_way_and_leaves_the_rest_to_others(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Nothing new is claimed, nothing is left in doubt, and the next worker sends the rest, once."""
    sandbox.control("POST", "settings", {"latency_ms": 300})
    answers = producer.send_many({"to": f"27999500{n:03d}", "text": "Hello"} for n in range(900))
    first = workers.start(gateway_connections=20)
    wait_until(lambda: len(sandbox.control("GET", "ledger")["messages"]) >= 20)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(20) == 0

    assert client.exists(*keys.LEASES.values()) == 0
    assert client.exists(*keys.DOUBT.values()) == 0
    done = len(taken(sandbox))
    assert done + int(client.zcard(keys.QUEUED[3])) == 900
    assert {"draining", "stopped"} <= {line["event"] for line in log_of(first)}

    sandbox.control("POST", "settings", {"latency_ms": 0})
    workers.start()
    wait_until(lambda: len(taken(sandbox)) == 900, what="the rest")
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert sorted(answer.id for answer in answers) == sorted(taken(sandbox))


def test_a_lost_answer_leaves_the_message_in_doubt_and_is_not_followed_by_a_second_sms(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """The gateway took it and its answer was lost: only the gateway knows, so nothing is guessed."""
    workers.start()
    answer = producer.send("27999300101", "Hello")
    found = until(answer.id, Status.IN_DOUBT)
    assert (found.code, found.reason) == ("lost", "answer_lost")
    assert len(taken(sandbox)[answer.id]) == 1
    assert client.zcard(keys.DOUBT[3]) == 1


def test_a_worker_that_dies_in_the_middle_of_a_call_leaves_the_message_in_doubt(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The lease runs out, another worker finds it, and does not send again."""
    first = workers.start(lease_seconds=3, gateway_timeout_seconds=1.4)
    sandbox.control("POST", "settings", {"latency_ms": 60_000})
    answer = producer.send("27999500001", "Hello")
    until(answer.id, Status.SENDING)
    kill(first)
    sandbox.control("POST", "settings", {"latency_ms": 0})
    workers.start(lease_seconds=3, gateway_timeout_seconds=1.4)
    found = until(answer.id, Status.IN_DOUBT)
    assert (found.code, found.reason) == ("lapsed", "lease_ran_out")


def test_a_worker_that_cannot_reach_the_gateway_claims_nothing_and_is_not_ready(
    producer: Producer, workers: Workers, client: redis.Redis
) -> None:
    """Its login has no answer: the message keeps its place, without an attempt, for a worker that is logged in."""
    child = workers.start(gateway_url="http://127.0.0.1:9", worker_name="away")
    answer = producer.send("27999500001", "Hello")
    wait_until(lambda: b"login" in (client.hget(keys.worker("away"), "not_ready") or b""), what="its report")
    (waits,) = wait_until(lambda: workers.events("waits_for_login"), what="its log")
    assert "the connection is refused, or no route leads there" in waits["problem"]  # a summary, and no traceback
    assert "Traceback" not in child.log.read_text(encoding="utf-8")
    assert waits["problem"] in child.event("started")["state"]
    found = producer.status(answer.id)
    assert found
    assert (Status.QUEUED, 0) == (found.status, found.attempts)
