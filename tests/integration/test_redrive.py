"""Dead letters go back to their lanes: each once, and only while they are worth sending."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.integration.api import needs_a_look_up
from tests.integration.conftest import Workers, taken
from tests.integration.test_callbacks import attempted
from tests.nudges import nudges_of
from tests.servers import RedisServer, stored, typed
from threelane import Producer, ProducerSettings, Status
from threelane.producer.nudge import Nudger
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.find import Filter
from threelane.store.status import MessageStatus
from threelane.worker.dead.redrive import redrive
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

Until = Callable[..., MessageStatus]
TOO_LONG = AttemptOutcome(OutcomeKind.REFUSED, code="113", text="Too many parts")


def dead(producer: Producer, redis_server: RedisServer, number: int, outcome: AttemptOutcome = TOO_LONG) -> list[str]:
    """Return ids of messages that the gateway refused, as a worker leaves them; no nudge is left of them."""
    answers = producer.send_many({"to": f"27999{500000 + n}", "text": "Hello"} for n in range(number))
    ids = [answer.id for answer in answers]
    attempted(redis_server.url, ids, outcome)
    with redis.Redis(port=redis_server.port) as client:
        for lane in keys.LANES:
            nudges_of(client).lose(lane)
        assert number <= client.zcard(keys.DEAD)
    return ids


def nudged(client: redis.Redis) -> int:
    """Return how many ids the nudges on the broker carry."""
    return sum(map(len, nudges_of(client).waiting(3)))


def test_two_that_redrive_at_once_put_each_dead_letter_back_once(
    producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """An operator and a script, or an operator who is impatient."""
    ids = dead(producer, redis_server, 200)
    now = int(time.time() * 1000)
    start = threading.Barrier(2)
    results: list[Counter[str]] = []

    def operator() -> None:
        nudger = Nudger(ProducerSettings(redis_url=redis_server.url))
        with redis.Redis(port=redis_server.port) as own:
            start.wait()
            results.append(redrive(own, nudger, Filter(code="113"), now))
        nudger.close()

    operators = [threading.Thread(target=operator) for _ in range(2)]
    for one in operators:
        one.start()
    for one in operators:
        one.join(30)

    assert Counter(redriven=200, expired=0) == results[0] + results[1] + Counter(redriven=0, expired=0)
    assert (0, 200) == (client.zcard(keys.DEAD), client.zcard(keys.QUEUED[3]))
    assert sorted(ids) == sorted(one.decode() for one in client.zrange(keys.QUEUED[3], 0, -1))
    assert (b"200", 200) == (client.hget(keys.TALLY, "redriven:3"), nudged(client))
    assert {-1} == {client.pttl(keys.record(one)) for one in ids}  # work to be done is not forgotten


def test_only_the_requested_code_is_redriven(
    producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """The others have reasons of their own."""
    routes = dead(producer, redis_server, 3)
    credits = dead(producer, redis_server, 2, AttemptOutcome(OutcomeKind.REFUSED, code="302"))
    result = redrive(client, producer.nudger, Filter(code="302"), int(time.time() * 1000))
    assert {"redriven": 2, "expired": 0} == result
    assert sorted(routes) == sorted(one.decode() for one in client.zrange(keys.DEAD, 0, -1))
    assert sorted(credits) == sorted(one.decode() for one in client.zrange(keys.QUEUED[3], 0, -1))


def test_dead_letters_past_their_validity_stay_dead(
    producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """A code of last week is useless; the end of its validity already counts as past."""
    ids = dead(producer, redis_server, 30)
    now = int(time.time() * 1000)
    for one, expires in zip(ids, [now - 1] * 5 + [now] * 5 + [now + 1] * 20, strict=True):
        client.hset(keys.record(one), "expires", expires)
    assert {"redriven": 20, "expired": 10} == redrive(client, producer.nudger, Filter(code="113"), now)
    assert [Status.DEAD] * 10 + [Status.QUEUED] * 20 == [one.status for one in producer.statuses(ids) if one]
    assert {True} == {client.pttl(keys.record(one)) > 0 for one in ids[:10]}
    assert {"redriven": 0, "expired": 10} == redrive(client, producer.nudger, Filter(code="113"), now)


@pytest.mark.parametrize("code", ["113", "999", ""])
def test_without_dead_letters_of_the_code_nothing_happens(producer: Producer, client: redis.Redis, code: str) -> None:
    """No nudge, and no count."""
    assert {"redriven": 0, "expired": 0} == redrive(client, producer.nudger, Filter(code=code), int(time.time() * 1000))
    assert 0 == stored(client)


@pytest.mark.main_job
def test_messages_that_two_operators_redrive_at_once_are_sent_once(
    producer: Producer,
    redis_server: RedisServer,
    client: redis.Redis,
    sandbox: Running,
    workers: Workers,
    until: Until,
) -> None:
    """1,000 dead letters, two processes, and a worker that runs: each goes out once, expired ones not at all.

    They are paced so that one is still at it when the other begins.
    """
    ids = dead(producer, redis_server, 1_000)
    late = ids[:20]
    for one in late:
        client.hset(keys.record(one), "expires", 1)
    workers.start()
    command = [sys.executable, "-m", "threelane", "dead", "redrive", "--code", "113", "--a-second", "500", "--json"]
    environment = os.environ | workers.environment
    operators = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(one.communicate(timeout=60)[0]) for one in operators]
    assert 980 == sum(one["redriven"] for one in results), results
    assert {20} == {one["expired"] for one in results}
    for one in ids[20:]:
        until(one, Status.SENT)
    assert sorted(ids[20:]) == sorted(taken(sandbox))
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert {Status.DEAD} == {one.status for one in producer.statuses(late) if one}
    again = typed("redrive", "113", environment=workers.environment)
    assert "0 redriven, 20 past their validity, which stay dead\n" == again.stdout


@pytest.mark.main_job
@needs_a_look_up
def test_a_receipt_for_a_dead_letter_keeps_it_from_being_sent_again(
    producer: Producer, client: redis.Redis, sandbox: Running, workers: Workers, until: Until, endpoint: str
) -> None:
    """The network reports that it arrived after all: it is delivered, and redrive finds nothing to send."""
    sandbox.control(
        "POST", "settings", {"callback_url": endpoint, "gateway_after_seconds": 4, "handset_after_seconds": 4.5}
    )
    workers.start(doubt_delays_seconds="0.2,0.3")
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 3})
    message = producer.send("27999300101", "Hello", on_doubt="drop").id
    assert "in_doubt" == until(message, Status.DEAD).code
    until(message, Status.DELIVERED)
    assert "0 redriven" in typed("redrive", "in_doubt", environment=workers.environment).stdout
