"""At the gateway: it keeps a message until its time, and stops it when a caller cancels, if its API can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.house import House, a_house
from tests.servers import RedisServer, wait_until
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
def house(client: redis.Redis, redis_server: RedisServer) -> Iterator[House]:
    assert client.dbsize() == 0
    with a_house(redis_server) as made:
        yield made


def at_gateway(producer: Producer, seconds: float, **said: Any) -> Accepted:
    answer = producer.send(TO, "Later", delay=seconds, at_gateway=True, **said)
    assert isinstance(answer, Accepted), answer
    return answer


def the_entry(sandbox: Running, one: str) -> dict[str, Any]:
    (entry,) = taken(sandbox)[one]
    return entry


@pytest.mark.parametrize("api", ["http", "rest", "xml", "one"])
def test_the_gateway_keeps_it_and_a_cancel_stops_it_there(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, house: House, api: str
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

        (told,) = producer.cancel([one])
        if api == "one":
            assert (CancelResult.TOO_LATE, "sent", "the gateway has it") == (told.answer, told.status, told.why)
            assert (Status.SENT, "011") == (until(one, Status.SENT).status, the_entry(sandbox, one)["status"])
            assert [] == house.outcomes(one)
            return
        assert (CancelResult.ASKED, "sent") == (told.answer, told.status)
        found = until(one, Status.CANCELLED)
    assert ("006", 0, 1) == (found.network_status, found.charge_millionths, found.attempts)
    assert ("006", "0") == (the_entry(sandbox, one)["status"], the_entry(sandbox, one)["charge"].rstrip("0.") or "0")
    (heard,) = house.outcomes(one)
    assert ("cancelled", "shop", "order1") == (heard["status"], heard["producer"], heard["client"])
    wait_until(lambda: not house.sync.exists(keys.STOPPING), what="the request to stop to be done with")
    assert not house.sync.exists(keys.AWAITING, keys.DUE)


@pytest.mark.parametrize("api", ["http", "rest", "xml"])
def test_a_look_up_that_says_scheduled_leaves_it_sent(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, house: House, api: str
) -> None:
    """The answer was lost; 011 says that the gateway has it, and its charge is given back when it is stopped."""
    sandbox.control("POST", "faults", {"do": "lose_answer", "times": 1})
    workers.start(gateway=api, doubt_delays_seconds="0.2,60")
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=api)) as producer:
        one = at_gateway(producer, 3600).id
        found = until(one, Status.SENT)
        assert found.gateway_id
        assert "011" == the_entry(sandbox, one)["status"]
        assert found.charge > 0
        ask_at = house.sync.zscore(keys.AWAITING, one)
        assert ask_at is not None
        assert ask_at >= found.accepted_at + HOUR, "no receipt is asked for before its time"
        assert [CancelResult.ASKED] == [told.answer for told in producer.cancel([one])]
        assert 0 == until(one, Status.CANCELLED).charge
    tally = {name.decode(): int(count) for name, count in house.sync.hgetall(keys.TALLY).items()}
    assert 0 == tally["charged:3:"]
    assert 1 == len(taken(sandbox)[one])


def test_a_filter_asks_for_those_that_wait_at_the_gateway(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """A whole batch: the worker stops each of them."""
    workers.start()
    ids = [at_gateway(producer, 3600, batch="b").id for _ in range(30)]
    for one in ids:
        until(one, Status.SENT)
    assert dict.fromkeys(ids, CancelResult.ASKED) == {told.id: told.answer for told in producer.cancel_all(batch="b")}
    for one in ids:
        until(one, Status.CANCELLED)
    assert {"006": 30} == sandbox.control("GET", "ledger?summary=1")["summary"]["by_status"]


def test_without_a_time_there_is_nothing_to_keep_it_for(producer: Producer) -> None:
    """Refused by the name of the field, as it was spelt."""
    for said in ({"atGateway": "1"}, {"atGateway": True, "delay": 0}):
        (answer,) = producer.send_rows([{"to": TO, "text": "Later", **said}])
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

    def told() -> list[tuple[bytes, dict[bytes, bytes]]]:
        return [entry for entry in client.xrange(keys.EVENTS) if entry[1][b"type"] == b"late"]

    ((at, said),) = wait_until(told, what="the late event")
    assert answer.id.encode() == said[b"id"]
    assert answer.due_at + 500 <= int(at.split(b"-")[0])  # on a busy machine a worker's clock may be a little ahead
    assert the_entry(sandbox, answer.id)["taken_at"] * 1000 < answer.due_at


def test_what_the_gateway_keeps_is_sent_when_its_time_comes(
    producer: Producer, reporting: Running, workers: Workers, until: Until
) -> None:
    """In a sandbox whose hour takes a moment; its receipt ends it as any other."""
    reporting.control("POST", "settings", {"schedule_scale": 0.0001})
    workers.start()
    one = at_gateway(producer, 3600).id
    assert Status.DELIVERED is until(one, Status.DELIVERED).status
    assert ["011", "008", "003", "004"] == [step["status"] for step in the_entry(reporting, one)["history"]]


# -- by hand, with a clock that is moved --


def test_everything_that_counts_from_delivery_counts_from_its_time(house: House) -> None:
    """When it is late, when the gateway is asked for it, and when it is forgotten."""
    draft = house.draft(delay=7200, at_gateway=True, lane=1)
    house.accept([draft])
    one, due = draft.message.id, draft.message.due_at
    house.attempt(one, ACCEPTED, lane=1)
    keeping = house.settings.keeping

    assert due + keeping.late == house.sync.zscore(keys.LATE, one)
    assert due + keeping.first_poll == house.sync.zscore(keys.AWAITING, one)
    assert keeping.keep + 7200_000 - house.sync.pttl(keys.record(one)) < 60_000
    assert [] == house.run(late(house.client, due + keeping.late - 1))
    assert [one] == house.run(late(house.client, due + keeping.late))


class Stopping:
    """A gateway of which only the cancel, and the look-up after it, matter."""

    table = LEGACY

    def __init__(self, *answers: Cancellation, look_up: LookUp) -> None:
        self.answers = list(answers)
        self.look_up = look_up
        self.asked: list[str] = []

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Answer with the next of them."""
        self.asked.append(gateway_id)
        await asyncio.sleep(0)
        return self.answers.pop(0)

    async def status(self, gateway_id: str) -> LookUp:
        """Answer always the same."""
        assert gateway_id == self.asked[-1]
        return self.look_up


STOPPED = Cancellation(True, "006")
FOUND = LookUp(Known.FOUND, "g" * 32, "006", 0)


def kept(house: House) -> str:
    """Return a message that waits at the gateway for an hour, and that somebody cancelled."""
    draft = house.draft(delay=3600, at_gateway=True)
    house.accept([draft])
    house.attempt(draft.message.id, ACCEPTED)
    assert [CancelResult.ASKED] == [told.answer for told in house.cancel([draft.message.id])]
    return draft.message.id


def ask_to_stop(house: House, gateway: Stopping) -> int:
    return house.run(stop(house.client, gateway, house.settings, house.now))  # type: ignore[arg-type]


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
def test_stopped_is_stopped_whatever_a_look_up_says(house: House, look_up: LookUp) -> None:
    """It may lag behind; the charge of a message that still waits there is no charge."""
    one = kept(house)
    assert 1 == ask_to_stop(house, Stopping(STOPPED, look_up=look_up))
    seen = house.glance([one])

    assert Status.CANCELLED is seen.status(one)
    assert 0 == int(seen.records[one].get("charge", "0"))
    assert 0 == ask_to_stop(house, Stopping(look_up=FOUND))
    assert ["cancelled"] == [told["status"] for told in house.outcomes(one)]


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
def test_a_request_to_stop_that_got_no_answer_is_made_again(house: House, no_answer: Cancellation) -> None:
    """In half a minute; the caller was told that the gateway is asked."""
    one, gateway = kept(house), Stopping(no_answer, STOPPED, look_up=FOUND)
    assert 1 == ask_to_stop(house, gateway)
    assert 0 == ask_to_stop(house, gateway)
    assert Status.SENT is house.glance([one]).status(one)
    house.now += 30_000
    assert 1 == ask_to_stop(house, gateway)
    assert Status.CANCELLED is house.glance([one]).status(one)


@pytest.mark.parametrize(
    "refused",
    [Cancellation(False, "003"), Cancellation(False, code="103", text="unknown"), NO_CANCEL],
    ids=str,
)
def test_a_gateway_that_says_no_is_not_asked_again(house: House, refused: Cancellation) -> None:
    """It has gone on, or is not known there: its receipt will tell."""
    one = kept(house)
    ask_to_stop(house, Stopping(refused, look_up=FOUND))

    assert Status.SENT is house.glance([one]).status(one)
    assert not house.sync.exists(keys.STOPPING)


def test_two_workers_ask_once(house: House) -> None:
    """Both see it at the same moment."""
    kept(house)
    gateway = Stopping(STOPPED, STOPPED, look_up=FOUND)

    async def both() -> None:
        ask = (stop(house.client, gateway, house.settings, house.now) for _ in range(2))  # type: ignore[arg-type]
        await asyncio.gather(*ask)

    house.run(both())
    assert 1 == len(gateway.asked)


def test_what_has_gone_meanwhile_is_not_asked_for(house: House) -> None:
    """Its time came before a worker did."""
    kept(house)
    house.now += HOUR
    gateway = Stopping(look_up=FOUND)
    ask_to_stop(house, gateway)

    assert [] == gateway.asked
    assert not house.sync.exists(keys.STOPPING)
