"""In doubt: only the gateway knows, so the message is looked up; nothing is sent a second time on a guess."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.integration.api import needs_a_look_up
from tests.integration.conftest import Workers, kill, taken
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = pytest.mark.main_job
QUICK = {"doubt_delays_seconds": "0.3,0.5,0.7"}


@needs_a_look_up
def test_a_lost_answer_is_looked_up_and_adopted(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The gateway has it: status and charge are taken over, and there is no second SMS."""
    workers.start(**QUICK)
    message = producer.send("27999300101", "Hello").id
    found = until(message, Status.SENT, Status.DELIVERED)
    (entry,) = taken(sandbox)[message]
    assert (entry["id"], 800_000) == (found.gateway_id, found.charge_millionths)


@needs_a_look_up
def test_a_message_that_the_gateway_never_saw_is_sent_again_with_the_same_id(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The connection was cut before the request was handled: 104 at every look-up, then once more."""
    workers.start(**QUICK)
    message = producer.send("27999300201", "Hello").id
    found = until(message, Status.SENT, Status.DELIVERED)
    assert 1 == len(taken(sandbox)[message])
    assert 2 == found.attempts


@needs_a_look_up
def test_a_look_up_that_lags_is_not_proof(producer: Producer, sandbox: Running, workers: Workers, until: Until) -> None:
    """104 right after the loss, found later: adopted, since only 104 through the whole grace period counts."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 1.0})
    workers.start(**QUICK)
    message = producer.send("27999300101", "Hello").id
    until(message, Status.SENT, Status.DELIVERED)
    assert 1 == len(taken(sandbox)[message])


@needs_a_look_up
def test_a_look_up_that_fails_changes_nothing(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """An unreadable answer to the look-up neither proves nor disproves: it is looked up again."""
    sandbox.control("POST", "faults", {"do": "html_502", "command": "querymsg", "times": 5})
    workers.start(**QUICK)
    message = producer.send("27999300101", "Hello").id
    until(message, Status.SENT, Status.DELIVERED)
    assert 1 == len(taken(sandbox)[message])


@needs_a_look_up
def test_a_message_whose_answers_are_all_lost_is_sent_twice_at_most(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The gateway accepts it and never finds it: one resend, then its outcome is unknown, and nobody sends it again."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 3_600.0})
    workers.start(**QUICK)
    message = producer.send("27999300100", "Hello").id
    found = until(message, Status.UNKNOWN)
    assert ("in_doubt_again", "gateway") == (found.code, found.owner)
    assert 2 == len(taken(sandbox)[message])


@needs_a_look_up
def test_an_internal_error_after_the_message_was_accepted_is_one_sms(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """It is looked up before its retry; one that was not accepted is retried as ever."""
    workers.start(retry_every_seconds=0.5, **QUICK)
    sandbox.control("POST", "faults", {"do": "code_after", "code": "901", "to": "27831230001"})
    message = producer.send("27831230001", "Hello").id
    until(message, Status.SENT, Status.DELIVERED)
    refused = producer.send("27999190102", "Hello").id
    found = until(refused, Status.SENT, Status.DELIVERED)
    assert (1, 1, 3) == (len(taken(sandbox)[message]), len(taken(sandbox)[refused]), found.attempts)


@needs_a_look_up
def test_the_caller_may_choose_that_a_doubtful_message_is_dropped(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """A code that comes twice, or late, may be worse than none."""
    workers.start(**QUICK)
    message = producer.send("27999300201", "Hello", on_doubt="drop").id
    found = until(message, Status.DEAD)
    assert ("in_doubt", "producer") == (found.code, found.owner)
    assert {} == taken(sandbox)


def test_the_caller_may_choose_that_a_doubtful_message_is_held(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """It stays in doubt, is looked up once a day, and is not sent."""
    workers.start(**QUICK)
    message = producer.send("27999300201", "Hello", on_doubt="hold").id
    day = 24 * 3600 * 1000

    def put_off() -> bool:
        score = client.zscore(keys.DOUBT[3], message)
        return bool(score and score - client.time()[0] * 1000 > day / 2)

    wait_until(put_off, what="the daily look-up")
    assert {} == taken(sandbox)


def test_a_receipt_that_arrives_meanwhile_settles_the_doubt(
    producer: Producer, reporting: Running, workers: Workers, until: Until
) -> None:
    """The network itself reports where the message is: no look-up is left to do."""
    workers.start(doubt_delays_seconds="600")
    message = producer.send("27999300101", "Hello").id
    until(message, Status.DELIVERED)
    assert 1 == len(taken(reporting)[message])


def test_the_answer_to_many_is_lost_and_no_second_sms_follows(
    producer: Producer, reporting: Running, workers: Workers, until: Until
) -> None:
    """One message of 60, or all that were in its request: receipts settle each, also during a look-up."""
    reporting.control("POST", "faults", {"do": "lose_answer"})
    workers.start(**QUICK)
    answers = producer.send_many({"to": f"27999{500000 + n}", "text": "Hello"} for n in range(60))
    for answer in answers:
        assert 1 == until(answer.id, Status.DELIVERED).attempts
    assert sorted(answer.id for answer in answers) == sorted(taken(reporting))
    assert {1} == {len(entries) for entries in taken(reporting).values()}


@needs_a_look_up
def test_a_worker_that_dies_in_the_middle_is_succeeded_by_a_look_up(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """Kill -9 after the request left: the lease runs out, the message is looked up and adopted."""
    timing = {"lease_seconds": 2, "gateway_timeout_seconds": 0.9}
    sandbox.control("POST", "faults", {"do": "slow", "seconds": 30})
    first = workers.start(**QUICK, **timing)
    message = producer.send("27999500001", "Hello").id
    wait_until(lambda: message in taken(sandbox))
    kill(first)
    workers.start(**QUICK, **timing)
    until(message, Status.SENT, Status.DELIVERED)
    assert 1 == len(taken(sandbox)[message])


@needs_a_look_up
@pytest.mark.slow
def test_a_message_that_kills_two_workers_is_not_sent_a_third_time(
    producer: Producer, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """Not a crash loop: after its look-ups it is put aside as worker_lost, for the operator."""
    timing = {"lease_seconds": 2, "gateway_timeout_seconds": 0.9, "doubt_delays_seconds": "0.2", "second_doubt": "dead"}
    message = producer.send("27999500001", "Hello").id
    with Running.start("--seed", "1") as silent:
        silent.control("POST", "faults", {"do": "slow_before", "seconds": 600, "times": None})
        for number in (1, 2):
            victim = workers.start(gateway_url=silent.url, **timing)
            wait_until(lambda number=number: _is_sending(producer, message, number), what=f"attempt {number}")
            kill(victim)
        workers.start(gateway_url=silent.url, **timing)
        found = until(message, Status.DEAD)
        assert {} == taken(silent)
    assert ("worker_lost", "operator") == (found.code, found.owner)
    assert b"2" == client.hget(keys.record(message), "lapses")


def _is_sending(producer: Producer, message: str, attempt: int) -> bool:
    found = producer.status(message)
    return bool(found and found.status is Status.SENDING and found.attempts == attempt)
