"""What a code does to a message, seen from outside: a real worker, a real Redis, a sandbox over HTTP."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.integration.api import API
from tests.integration.conftest import Workers, attempts, log_of, taken
from tests.servers import typed, wait_until
from threelane import Accepted, Producer, Refused, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = pytest.mark.main_job


def _sent(producer: Producer, to: str, **fields: object) -> str:
    answer = producer.send(to, "Hello", **fields)  # type: ignore[arg-type]
    assert isinstance(answer, Accepted), answer
    return answer.id


def test_901_is_retried_after_waits_that_grow_and_sent_once(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """An internal error of the gateway passes: the message is late, not lost and not doubled."""
    workers.start()
    message = _sent(producer, "27999190102")
    found = until(message, Status.SENT)

    assert [attempt["code"] or "" for attempt in attempts(sandbox, message)] == ["901", "901", ""]
    assert len(taken(sandbox)[message]) == 1
    assert found.attempts == 3
    first, second = found.waits
    assert 0 < first < second
    assert [first, second] == [event["wait_seconds"] for event in workers.events("retried")]
    times = [attempt["at"] for attempt in attempts(sandbox, message)]
    noted_late = 0.5  # seconds; a busy sandbox may note when an attempt came later than the worker made it
    assert times[1] - times[0] >= first - noted_late
    assert times[2] - times[1] >= second - noted_late


def test_a_retry_rate_and_an_end_can_be_set_for_a_message(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """Every second for at most 2 s: three attempts at most, then a dead letter with the last code."""
    workers.start()
    message = _sent(producer, "27999190100", retry_every=1, stop_retrying_after=2.5)
    found = until(message, Status.DEAD)

    assert (1, 1)[: len(found.waits)] == found.waits
    assert found.code == API.code("901")
    assert found.owner == "gateway"
    assert 2 <= len(attempts(sandbox, message)) <= 3


def test_a_retry_rate_and_an_end_can_be_set_for_the_deployment(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The same by the environment, for messages without a value of their own."""
    workers.start(retry_every_seconds=0.2, stop_retrying_after_seconds=0.5)
    found = until(_sent(producer, "27999190100"), Status.DEAD)
    assert {0.2} == set(found.waits)


def test_122_is_a_dead_letter_and_the_number_is_refused_from_then_on(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """A number that opted out gets no further attempt: neither by the worker nor at accept."""
    workers.start()
    found = until(_sent(producer, "27999112200"), Status.DEAD)
    assert (found.code, found.owner, found.reason) == (API.code("122"), "recipient", "opted_out")

    again = producer.try_send("+27 999 112 200", "Hello again")
    assert isinstance(again, Refused)
    assert (again.code, again.field, again.owner) == (API.code("122"), "to", "recipient")
    assert taken(sandbox) == {}


def test_a_message_that_waits_for_a_number_that_opts_out_is_not_sent(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The list is looked at again inside claim: the opt-out may come while a message waits."""
    waiting = [_sent(producer, "27999112200") for _ in range(20)]
    workers.start(gateway_connections=1)
    for message in waiting:
        assert until(message, Status.DEAD).code == API.code("122")
    tried = sum(len(attempts(sandbox, message)) for message in waiting)
    later = _sent_unchecked(producer, "27999112200")
    assert later is None
    assert tried <= 20


def _sent_unchecked(producer: Producer, to: str) -> str | None:
    answer = producer.try_send(to, "Hello")
    return answer.id if isinstance(answer, Accepted) else None


def test_301_holds_the_account_and_a_top_up_and_resume_deliver_the_rest(
    producer: Producer, reporting: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """No credit has the operator as its owner: nothing behind the refused ones is tried, and nothing is lost.

    Those that were refused are dead letters, or on the One API, whose code 20 speaks of the account alone, wait too.
    """
    connections = 4
    reporting.control("POST", "credit", {"set": "0"})
    answers = producer.send_many({"to": f"2799950{n:04d}", "text": "Hello"} for n in range(500))
    messages = [answer.id for answer in answers]
    workers.start(gateway_connections=connections, threads=2, on_credit="ask")
    wait_until(lambda: client.hexists(keys.HOLDS, "account"), what="the hold")
    wait_until(lambda: not client.exists(*keys.LEASES.values()), what="calls under way to end")
    time.sleep(0.5)  # the time in which a worker that ignores the hold would go on

    tried = {one["client_id"] for one in reporting.control("GET", "attempts")["attempts"]}
    assert 1 <= len(tried) <= connections * API.batch
    found = {one.id: one for one in producer.statuses(messages) if one}
    assert {(API.without_credit, API.code("301"), "operator")} == {
        (found[one].status, found[one].code, found[one].owner) for one in tried
    }
    waiting = [one for one in found.values() if one.status is Status.QUEUED]
    dead = [one for one in found.values() if one.status is Status.DEAD]
    assert len(tried | {one.id for one in waiting}) == 500 == len(dead) + len(waiting)
    assert {0} == {one.attempts for one in waiting}

    reporting.control("POST", "credit", {"set": "1000"})
    wait_until(lambda: not client.hexists(keys.HOLDS, "account"), what="the balance to be read")
    resumed = typed("resume", "--redrive", API.code("301"), environment=workers.environment)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{len(dead)} redriven" in resumed.stdout
    for message in messages:
        until(message, Status.DELIVERED)
    assert sorted(messages) == sorted(taken(reporting))
    assert {1} == {len(entries) for entries in taken(reporting).values()}


@pytest.mark.skipif(not API.names_the_end_of_a_limit, reason="code 43 names no time: see test_worker_one.py")
def test_130_sends_nothing_before_its_time(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The account's limit names the moment at which it ends; until then another request is useless."""
    sandbox.control("POST", "faults", {"do": "code", "code": "130", "seconds": 4})
    workers.start(gateway_connections=1)
    messages = [_sent(producer, f"27999500{n:03d}") for n in range(50)]
    for message in messages:
        found = until(message, Status.SENT, Status.DELIVERED)
        assert found.attempts == 1  # a hold spends no attempt
    accepted = [entry["taken_at"] for entries in taken(sandbox).values() for entry in entries]
    refused = [one for one in sandbox.control("GET", "attempts")["attempts"] if one["code"] == "130"]

    assert len(refused) == 1
    ends = int(refused[0]["answer"].split()[-1])  # the text names it
    assert ends >= refused[0]["at"] + 3
    assert min(accepted) >= ends
    assert len(accepted) == 50


def test_each_message_of_a_nudge_has_its_own_end(
    producer: Producer, reporting: Running, workers: Workers, until: Until
) -> None:
    """Where many travel in one request too: a refused one spoils no other."""
    workers.start()
    odd = {"27999110500": Status.DEAD, "27999112200": Status.DEAD, "27999190101": Status.DELIVERED}
    numbers = [f"27999{500000 + n}" for n in range(60)] + [*odd]
    answers = producer.send_many({"to": to, "text": "Hello"} for to in numbers)
    ids = {to: answer.id for to, answer in zip(numbers, answers, strict=True)}
    found = {to: until(ids[to], odd.get(to, Status.DELIVERED)) for to in numbers}

    assert [API.code("105"), API.code("122")] == [found[to].code for to in odd if odd[to] is Status.DEAD]
    assert sorted(one.id for one in found.values() if one.status is Status.DELIVERED) == sorted(taken(reporting))
    assert {1} == {len(entries) for entries in taken(reporting).values()}
    assert {1: 62, 2: 1} == Counter(one.attempts for one in found.values())


def test_a_code_that_no_table_lists_is_a_dead_letter_and_an_alarm(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """A new code must not be guessed at silently: the message stops, and there is an alarm."""
    child = workers.start()
    found = until(_sent(producer, "27999177700"), Status.DEAD)
    assert (found.code, found.reason, found.owner) == ("777", "unlisted_code", "operator")
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["messages"] == 0

    from urllib.request import urlopen

    page = urlopen(child.event("metrics")["url"]).read().decode()
    assert 'threelane_alarms_total{account="default",code="xxx",owner="operator"} 1.0' in page


def test_each_dead_letter_has_one_log_line_with_its_owner(producer: Producer, workers: Workers, until: Until) -> None:
    """An operator who reads the log sees the owner."""
    child = workers.start()
    message = _sent(producer, "27999110500")
    until(message, Status.DEAD)
    wait_until(lambda: [line for line in log_of(child) if line["event"] == "dead"])
    (line,) = [line for line in log_of(child) if line["event"] == "dead"]
    assert (API.code("105"), "producer", message) == (line["code"], line["owner"], line["id"])
