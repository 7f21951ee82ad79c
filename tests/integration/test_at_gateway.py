"""At the gateway: it keeps a message until its time, and stops it when a caller cancels, if its API can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, stored, wait_until
from tests.slow import also_slow
from threelane import Producer, ProducerSettings, Refused, Status
from threelane.producer.accept import Accepted
from threelane.producer.cancel import CancelResult
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import NO_CANCEL, AttemptOutcome, Cancellation, Known, LookUp, OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.receipt.late import late
from threelane.worker.receipt.stop import stop

Until = Callable[..., MessageStatus]
TO = "27999500001"
HOUR = 3600_000
ACCEPTED = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    assert stored(client) == 0
    with open_system(redis_server) as made:
        yield made


def at_gateway(producer: Producer, seconds: float, **fields: Any) -> Accepted:
    answer = producer.send(TO, "Later", delay=seconds, at_gateway=True, **fields)
    assert isinstance(answer, Accepted), answer
    return answer


def the_entry(sandbox: Running, one: str) -> dict[str, Any]:
    (entry,) = taken(sandbox)[one]
    return entry


@pytest.mark.parametrize("api", ["http", "one", *also_slow("rest", "xml")])
def test_the_gateway_keeps_it_and_a_cancel_stops_it_there(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, system: System, api: str
) -> None:
    """Sent at once with its time; 011 until then; stopped by delmsg, DELETE or delMsg, its charge given back.

    The One API has no such command: there the answer to a cancel is that it is too late.
    """
    workers.start(gateway=api, doubt_delays_seconds="0.2,60")
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=api, producer="shop")) as producer:
        answer = at_gateway(producer, 3600, client_message_id="order1")
        one = answer.id
        assert Status.QUEUED is answer.status
        assert 0 < answer.due_at
        until(one, Status.SENT)
        entry = the_entry(sandbox, one)
        assert ("011", 3600) == (entry["status"], pytest.approx(entry["scheduled_at"] - entry["taken_at"], abs=90))
        minute = 60 if api == "xml" else 1  # XML counts in minutes, so it is rounded up
        assert 0 <= entry["scheduled_at"] - answer.due_at // 1000 <= minute

        (result,) = producer.cancel([one])
        if api == "one":
            assert (CancelResult.TOO_LATE, "sent", "the gateway has it") == (result.answer, result.status, result.why)
            assert (Status.SENT, "011") == (until(one, Status.SENT).status, the_entry(sandbox, one)["status"])
            assert [] == system.outcomes(one)
            return
        assert (CancelResult.ASKED, "sent") == (result.answer, result.status)
        found = until(one, Status.CANCELLED)
    assert ("006", 0, 1) == (found.network_status, found.charge_millionths, found.attempts)
    assert ("006", "0") == (the_entry(sandbox, one)["status"], the_entry(sandbox, one)["charge"].rstrip("0.") or "0")
    (heard,) = system.outcomes(one)
    assert ("cancelled", "shop", "order1") == (heard["status"], heard["producer"], heard["client"])
    wait_until(lambda: not system.sync.exists(keys.STOPPING), what="the request to stop to be done with")
    assert not system.sync.exists(keys.AWAITING[3], keys.DUE[3])


@pytest.mark.parametrize("api", ["http", *also_slow("rest", "xml")])
def test_a_look_up_that_finds_scheduled_leaves_it_sent(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, system: System, api: str
) -> None:
    """The answer was lost; 011 means that the gateway has it, and its charge is given back when it is stopped."""
    sandbox.control("POST", "faults", {"do": "lose_answer", "times": 1})
    workers.start(gateway=api, doubt_delays_seconds="0.2,60")
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=api)) as producer:
        one = at_gateway(producer, 3600).id
        found = until(one, Status.SENT)
        assert found.gateway_id
        assert "011" == the_entry(sandbox, one)["status"]
        assert found.charge > 0
        look_up_at = system.sync.zscore(keys.AWAITING[3], one)
        assert look_up_at is not None
        assert look_up_at >= found.accepted_at + HOUR, "no look-up before its time"
        assert [CancelResult.ASKED] == [result.answer for result in producer.cancel([one])]
        assert 0 == until(one, Status.CANCELLED).charge
    tally = {name.decode(): int(count) for name, count in system.sync.hgetall(keys.TALLY).items()}
    assert 0 == tally["charged:3:"]
    assert 1 == len(taken(sandbox)[one])


def test_a_filter_requests_the_cancel_of_those_at_the_gateway(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """A whole batch: the worker stops each of them."""
    workers.start()
    ids = [at_gateway(producer, 3600, batch="b").id for _ in range(30)]
    for one in ids:
        until(one, Status.SENT)
    assert dict.fromkeys(ids, CancelResult.ASKED) == {
        result.id: result.answer for result in producer.cancel_all(batch="b")
    }
    for one in ids:
        until(one, Status.CANCELLED)
    assert {"006": 30} == sandbox.control("GET", "ledger?summary=1")["summary"]["by_status"]


def test_without_a_time_there_is_nothing_to_keep_it_for(producer: Producer) -> None:
    """Refused by the name of the field, as it was spelt."""
    for fields in ({"atGateway": "1"}, {"atGateway": True, "delay": 0}):
        (answer,) = producer.send_rows([{"to": TO, "text": "Later", **fields}])
        assert isinstance(answer, Refused)
        assert ("101", "atGateway") == (answer.code, answer.field)
    assert producer.send(TO, "Now", at_gateway=0).accepted


def test_late_counts_from_its_time(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """A message of lane 1 without a receipt is late so long after it was due, not after it was sent."""
    workers.start(late_after_seconds=1)
    answer = at_gateway(producer, 4, lane=1)
    until(answer.id, Status.SENT)

    def late_events() -> list[tuple[bytes, dict[bytes, bytes]]]:
        return [entry for entry in client.xrange(keys.EVENTS) if entry[1][b"type"] == b"late"]

    ((at, event),) = wait_until(late_events, what="the late event")
    assert answer.id.encode() == event[b"id"]
    assert answer.due_at + 500 <= int(at.split(b"-")[0])  # on a busy machine a worker's clock may be a little ahead
    assert the_entry(sandbox, answer.id)["taken_at"] * 1000 < answer.due_at


def test_a_message_at_the_gateway_is_sent_at_its_time(
    producer: Producer, reporting: Running, workers: Workers, until: Until
) -> None:
    """In a sandbox whose hour takes a moment; its receipt ends it as any other."""
    reporting.control("POST", "settings", {"schedule_scale": 0.0001})
    workers.start()
    one = at_gateway(producer, 3600).id
    assert Status.DELIVERED is until(one, Status.DELIVERED).status
    assert ["011", "008", "003", "004"] == [step["status"] for step in the_entry(reporting, one)["history"]]


# -- by hand, with a clock that is moved --


def test_everything_that_counts_from_delivery_counts_from_its_time(system: System) -> None:
    """When it is late, when it is looked up, and when its record expires."""
    draft = system.draft(delay=7200, at_gateway=True, lane=1)
    system.accept([draft])
    one, due = draft.message.id, draft.message.due_at
    system.attempt(one, ACCEPTED, lane=1)
    keeping = system.settings.keeping

    assert due == system.sync.zscore(keys.EXPECTED, one)
    assert due + keeping.first_poll == system.sync.zscore(keys.AWAITING[1], one)
    assert keeping.keep + 7200_000 - system.sync.pttl(keys.record(one)) < 60_000
    assert [] == system.run(late(system.client, keeping.late, due + keeping.late - 1))
    assert [one] == system.run(late(system.client, keeping.late, due + keeping.late))


class Stopping:
    """A gateway of which only the cancel, and the look-up after it, matter."""

    table = LEGACY

    def __init__(self, *answers: Cancellation, look_up: LookUp) -> None:
        self.answers = list(answers)
        self.look_up = look_up
        self.queried: list[str] = []

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Answer with the next of them."""
        self.queried.append(gateway_id)
        await asyncio.sleep(0)
        return self.answers.pop(0)

    async def status(self, gateway_id: str) -> LookUp:
        """Answer always the same."""
        assert gateway_id == self.queried[-1]
        return self.look_up


STOPPED = Cancellation(True, "006")
FOUND = LookUp(Known.FOUND, "g" * 32, "006", 0)


def kept(system: System) -> str:
    """Return a message that waits at the gateway for an hour, and that somebody cancelled."""
    draft = system.draft(delay=3600, at_gateway=True)
    system.accept([draft])
    system.attempt(draft.message.id, ACCEPTED)
    assert [CancelResult.ASKED] == [result.answer for result in system.cancel([draft.message.id])]
    return draft.message.id


def request_stop(system: System, gateway: Stopping) -> int:
    return system.run(stop(system.client, gateway, system.settings, system.now))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "look_up",
    [
        FOUND,
        LookUp(Known.FAILED, text="lost"),
        LookUp(Known.NOT_FOUND),
        LookUp(Known.NO_STATUS, "g" * 32, "001", 0),
        LookUp(Known.FOUND, "g" * 32, "011", 800_000),
    ],
    ids=lambda look_up: f"{look_up.known} {look_up.status}",
)
def test_a_stopped_message_stays_stopped_after_any_look_up(system: System, look_up: LookUp) -> None:
    """It may lag behind; a message that still waits there is not charged yet."""
    one = kept(system)
    assert 1 == request_stop(system, Stopping(STOPPED, look_up=look_up))
    seen = system.glance([one])

    assert Status.CANCELLED is seen.status(one)
    assert 0 == int(seen.records[one].get("charge", "0"))
    assert 0 == request_stop(system, Stopping(look_up=FOUND))
    assert ["cancelled"] == [event["status"] for event in system.outcomes(one)]


@pytest.mark.parametrize(
    "no_answer",
    [
        Cancellation.unanswered(AttemptOutcome(OutcomeKind.LOST)),
        Cancellation.unanswered(AttemptOutcome(OutcomeKind.NOT_REACHED)),
        Cancellation(None, text="<html>"),
        Cancellation(False, code="901", text="internal error"),
        Cancellation(False, code="001", text="authentication failed"),
    ],
    ids=str,
)
def test_a_request_to_stop_that_got_no_answer_is_made_again(system: System, no_answer: Cancellation) -> None:
    """In half a minute; the caller's answer was that the stop is requested from the gateway."""
    one, gateway = kept(system), Stopping(no_answer, STOPPED, look_up=FOUND)
    assert 1 == request_stop(system, gateway)
    assert 0 == request_stop(system, gateway)
    assert Status.SENT is system.glance([one]).status(one)
    system.now += 30_000
    assert 1 == request_stop(system, gateway)
    assert Status.CANCELLED is system.glance([one]).status(one)


@pytest.mark.parametrize(
    "refused",
    [Cancellation(False, "003"), Cancellation(False, code="103", text="unknown"), NO_CANCEL],
    ids=str,
)
def test_after_a_no_the_gateway_gets_no_second_request(system: System, refused: Cancellation) -> None:
    """It has gone on, or is not known there: its receipt decides."""
    one = kept(system)
    request_stop(system, Stopping(refused, look_up=FOUND))

    assert Status.SENT is system.glance([one]).status(one)
    assert not system.sync.exists(keys.STOPPING)


def test_two_workers_send_one_request(system: System) -> None:
    """Both see it at the same moment."""
    kept(system)
    gateway = Stopping(STOPPED, STOPPED, look_up=FOUND)

    async def both() -> None:
        stops = (stop(system.client, gateway, system.settings, system.now) for _ in range(2))  # type: ignore[arg-type]
        await asyncio.gather(*stops)

    system.run(both())
    assert 1 == len(gateway.queried)


def test_no_stop_is_requested_for_a_message_that_went_meanwhile(system: System) -> None:
    """Its time came before a worker did."""
    kept(system)
    system.now += HOUR
    gateway = Stopping(look_up=FOUND)
    request_stop(system, gateway)

    assert [] == gateway.queried
    assert not system.sync.exists(keys.STOPPING)
