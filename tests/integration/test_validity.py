"""Validity: after it a message is not sent, for any cause of delay; the gateway gets the remaining validity."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, attempts, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, stored
from threelane import Producer, Status
from threelane.contract.message import Message
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.platform import gateway as platform
from threelane.gateways.rest import gateway as rest
from threelane.gateways.xml import gateway as xml
from threelane.producer.accept import Accepted
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import NOT_TRIED, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.send.settle import Settlement

Until = Callable[..., MessageStatus]
MINUTE, HOUR = 60_000, 3600_000
BUSY = AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error")
LOST = AttemptOutcome(OutcomeKind.LOST)


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    assert stored(client) == 0
    with open_system(redis_server, doubt_delays_seconds=(5,)) as made:
        yield made


def queued(system: System, **fields: Any) -> str:
    draft = system.draft(producer="shop", client_message_id="order1", **fields)
    system.accept([draft])
    return draft.message.id


def expires(system: System, message_id: str) -> None:
    """Run a worker once: nothing may be claimed, and the message ends once, with its event."""
    before = system.glance([message_id]).records[message_id]
    assert [] == list(system.claim(3, [message_id], "late").claimed)
    assert [] == list(system.claim(3, [message_id], "later").claimed)
    seen = system.glance([message_id])
    assert Status.EXPIRED is seen.status(message_id)
    assert before.get("attempt") == seen.records[message_id].get("attempt"), "an attempt was counted"
    assert str(system.now) == seen.records[message_id]["ended"]
    assert seen.expiring[message_id]
    assert [] == [members for members in seen.indexes.values() if message_id in members]
    (event,) = system.outcomes(message_id)
    assert ("expired", "shop", "order1") == (event["status"], event["producer"], event["client"])


def test_a_retry_whose_validity_ran_out_during_a_hold_is_expired(system: System) -> None:
    """Refused once, then the account stood still for an hour; its half hour is over."""
    message_id = queued(system, validity_period=30)
    system.attempt(message_id, BUSY)
    system.hold("account", system.now + HOUR)
    system.now += 30_000
    assert {3: [message_id]} == system.release()
    assert system.claim(3, [message_id], "held").held
    assert Status.QUEUED is system.glance([message_id]).status(message_id)
    system.now += HOUR
    expires(system, message_id)


@pytest.mark.parametrize(("late_ms", "is_sent"), [(-1, True), (0, False), (1, False)])
def test_it_ends_at_its_minute(system: System, late_ms: int, is_sent: bool) -> None:
    """To the millisecond, by the time of Redis."""
    message_id = queued(system, validity_period=30)
    system.now += 30 * MINUTE + late_ms
    if is_sent:
        assert [message_id] == [claimed.id for claimed in system.claim(3, [message_id], "token").claimed]
    else:
        expires(system, message_id)


def test_a_schedule_that_comes_late_is_still_valid_for_a_day(system: System) -> None:
    """The default counts from the delivery: all workers were away for 23 hours."""
    message_id = queued(system, delay=3600)
    system.now += 24 * HOUR
    system.release()
    assert [message_id] == [claimed.id for claimed in system.claim(3, [message_id], "token").claimed]


def test_a_schedule_that_comes_a_day_late_is_expired(system: System) -> None:
    """As the gateway would do with it."""
    message_id = queued(system, delay=3600)
    system.now += 25 * HOUR
    system.release()
    expires(system, message_id)


def test_no_retry_is_planned_behind_the_end(system: System) -> None:
    """It would only be expired then; its producer hears now that it was not sent, and of the code."""
    message_id = queued(system, validity_period=1)
    system.now += MINUTE - 1_000
    system.attempt(message_id, BUSY)
    (event,) = system.outcomes(message_id)

    assert ("dead", "901") == (event["status"], event["code"])


def test_a_doubt_that_outlasts_the_validity_is_not_sent_again(system: System) -> None:
    """The gateway never had it, and by the time that this is sure it is too late."""
    message_id = queued(system, validity_period=1)
    system.attempt(message_id, LOST)
    system.now += 2 * MINUTE
    assert {3: [message_id]} == system.start_look_up().answer({message_id: LookUp(Known.NOT_FOUND)})
    expires(system, message_id)


WIRES: list[tuple[Callable[[Message, int], Any], str]] = [
    (http.form, "validity"),
    (rest.order, "validityPeriod"),
    (xml.order, "validity"),
    (one.order, "validityPeriod"),
    (platform.order, "validityPeriod"),
]


@pytest.mark.parametrize(("write", "name"), WIRES, ids=["http", "rest", "xml", "one", "platform"])
def test_the_gateway_gets_the_remaining_validity(
    system: System, write: Callable[[Message, int], Any], name: str
) -> None:
    """Of two hours, 70 minutes after an hour's retries; a moment before the end, the one minute that the API allows."""
    message_id = queued(system, validity_period=120)
    system.attempt(message_id, BUSY)
    for waited, remains in ((50 * MINUTE, 70), (70 * MINUTE - 500, 1)):
        system.now += waited
        system.release()
        (claimed,) = system.claim(3, [message_id], f"token{remains}").claimed
        assert remains == int(write(claimed.message, system.now)[name])
        system.settle([Settlement(claimed, NOT_TRIED, system.judge(claimed, NOT_TRIED))])


@pytest.mark.parametrize(("write", "name"), WIRES, ids=["http", "rest", "xml", "one", "platform"])
def test_a_moved_message_is_sent_with_its_new_validity(
    system: System, write: Callable[[Message, int], Any], name: str
) -> None:
    """A day from its new time, as in the record."""
    message_id = queued(system, delay=600)
    system.move(message_id, system.now + 3 * HOUR)
    system.now += 3 * HOUR
    system.release()
    (claimed,) = system.claim(3, [message_id], "token").claimed
    assert 24 * 60 == int(write(claimed.message, system.now)[name])


def test_a_worker_expires_a_retry_that_a_hold_kept_too_long(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """The end of its validity is moved, since the shortest would take a minute; the next message goes."""
    workers.start(retry_every_seconds=2)
    answer = producer.send("27999190101", "Late", validity_period=30)  # 901, once
    assert isinstance(answer, Accepted)
    until(answer.id, Status.SCHEDULED, Status.IN_DOUBT)
    client.hset(keys.HOLDS, "account", '{"code":"301","cause":"test","since":0,"until":0}')
    assert 1 == until(answer.id, Status.QUEUED).attempts
    client.hset(keys.record(answer.id), "expires", int(time.time() * 1000) - 1)
    client.delete(keys.HOLDS)
    found = until(answer.id, Status.EXPIRED)
    following = producer.send("27999500001", "Next")
    until(following.id, Status.SENT, Status.DELIVERED)

    assert 1 == found.attempts == len(attempts(sandbox, answer.id))
    assert {following.id} == taken(sandbox).keys()
    (event,) = [event for _, event in client.xrange(keys.EVENTS) if event[b"id"] == answer.id.encode()]
    assert b"expired" == event[b"status"]
