"""At the gateway: it keeps a message until its time, and stops it when a caller cancels, if its API can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, stored, wait_until
from tests.slow import also_slow
from threelane import Producer, ProducerSettings, Refused, Status
from threelane.contract.refusal import Refusal
from threelane.gateways.http.gateway import HttpGateway, form
from threelane.gateways.one.gateway import OneGateway
from threelane.gateways.platform.gateway import PlatformGateway
from threelane.gateways.rest.gateway import RestGateway
from threelane.gateways.xml.gateway import XmlGateway
from threelane.producer.accept import Accepted, accept
from threelane.producer.cancel import CancelResult
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import NO_CANCEL, AttemptOutcome, Cancellation, Known, LookUp, OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.settings import WorkerSettings
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


@pytest.mark.parametrize("api", ["http", "one", *also_slow("platform", "rest", "xml")])
def test_the_gateway_keeps_it_and_a_cancel_stops_it_there(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, system: System, api: str
) -> None:
    """Sent at once with its time; 011 until then; stopped by delmsg, DELETE or delMsg, its charge given back.

    The One API and Platform REST have no such command: there the answer to a cancel is that it is too late.
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
        if api in ("one", "platform"):
            why = f"the gateway has it, and the API of this account ({api}) has no command to stop a message"
            assert (CancelResult.TOO_LATE, "sent", why) == (result.answer, result.status, result.why)
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


# -- how long a validity the gateway takes --

DAYS = 24 * HOUR
GATEWAYS = {
    "http": HttpGateway,
    "one": OneGateway,
    "platform": PlatformGateway,
    "rest": RestGateway,
    "xml": XmlGateway,
}


def send_through(system: System, sandbox: Running, api: str, one: str, most_minutes: int = 10_080) -> AttemptOutcome:
    """Claim a message, and send it by the real class of an API."""
    (claimed,) = system.claim(3, [one], f"token of {one}").claimed
    credentials = dict.fromkeys(("api_id", "user", "password", "token", "api_key"), "sandbox")
    settings = WorkerSettings(
        gateway=api,
        gateway_url=sandbox.url,
        gateway_validity_minutes=most_minutes,
        **{f"clickatell_{name}": value for name, value in credentials.items()},
    )

    async def send() -> AttemptOutcome:
        gateway = GATEWAYS[api](settings)
        try:
            (outcome,) = await gateway.send([claimed.message], system.now)
            return outcome
        finally:
            await gateway.close()

    outcome: AttemptOutcome = system.run(send())
    return outcome


def validity_of(entry: dict[str, Any]) -> int:
    return int(entry["options"].get("validity") or entry["options"]["validityPeriod"])


@pytest.mark.parametrize("api", GATEWAYS)
@pytest.mark.parametrize(
    ("days", "validity", "held_days", "left"),
    [
        (5.9, None, 0, 9_936),
        (6.1, None, 0.1, 10_080),
        (6.9, None, 0.9, 10_080),
        (7.0, None, 1.0, 10_080),
        (7.0, 10_086, 6 / 1440, 10_080),
        (2.0, 11_000, 920 / 1440, 10_080),
        (0.5, 11_520, 0, 10_080),
        (0, 11_000, 0, 10_080),
    ],
)
def test_the_gateway_takes_what_was_accepted_for_its_scheduler(
    system: System,
    sandbox: Running,
    api: str,
    days: float,
    validity: int | None,
    held_days: float,
    left: int,
) -> None:
    """A validity beyond 10,080 minutes is refused with 101, which would end what was accepted."""
    system.now = int(time.time() * 1000)  # the sandbox's own clock decides what is too far ahead
    fields = {"delay": days * 86_400, "at_gateway": True} if days else {}
    draft = system.draft(**fields, **({"validity_period": validity} if validity else {}))
    (answer,) = system.accept([draft])
    assert isinstance(answer, Accepted)
    one = answer.id
    assert (Status.SCHEDULED if held_days else Status.QUEUED) is answer.status
    assert draft.message.due_at == answer.due_at, "the answer has the delivery time, not that of the handover"
    if held_days:
        handover = system.now + round(held_days * DAYS)
        assert handover == system.sync.zscore(keys.DUE[3], one)
        system.now = handover - 1
        assert {} == system.release()
        system.now = handover
        assert {3: [one]} == system.release()

    outcome = send_through(system, sandbox, api, one)

    assert (OutcomeKind.ACCEPTED, "") == (outcome.kind, outcome.code)
    entry = the_entry(sandbox, one)
    assert left == validity_of(entry)
    assert bool(days) == bool(entry["scheduled_at"])


@pytest.mark.parametrize("api", GATEWAYS)
def test_the_setting_bounds_the_validity_on_each_api(system: System, sandbox: Running, api: str) -> None:
    """Of a gateway that is known to take less than Clickatell's week."""
    system.now = int(time.time() * 1000)
    (answer,) = system.accept([system.draft(validity_period=1_000)])
    assert isinstance(answer, Accepted)
    send_through(system, sandbox, api, answer.id, most_minutes=600)
    assert 600 == validity_of(the_entry(sandbox, answer.id))


@pytest.mark.parametrize("api", ["http", "one", *also_slow("platform", "rest", "xml")])
def test_a_message_more_than_six_days_ahead_waits_with_us_and_is_then_handed_over(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, api: str
) -> None:
    """By real workers: six days and some seconds ahead it waits for those seconds, listed with its delivery time."""
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=api)) as producer:
        handed, kept = (at_gateway(producer, 6 * 86_400 + wait) for wait in (3, 600))
        assert [Status.SCHEDULED] * 2 == [handed.status, kept.status]
        assert {handed.id: handed.due_at, kept.id: kept.due_at} == {
            found.id: found.due_at for found in producer.scheduled()
        }
        workers.start(gateway=api)
        assert handed.due_at == until(handed.id, Status.SENT).due_at
        entry = the_entry(sandbox, handed.id)
        assert ("011", 10_080) == (entry["status"], pytest.approx(validity_of(entry), abs=1))
        assert [CancelResult.CANCELLED] == [result.answer for result in producer.cancel([kept.id])]
    assert {handed.id} == taken(sandbox).keys()


def test_what_was_accepted_too_early_is_put_back_until_its_handover(system: System) -> None:
    """By an earlier version, or by a producer that assumes a longer validity; no attempt and no rate is spent."""
    earlier = [system.draft(delay=6.5 * 86_400, at_gateway=True, lane=lane) for lane in (1, 3)]
    accept(system.sync, earlier, system.now, validity_minutes=20_000)
    for lane, draft in zip((1, 3), earlier, strict=True):
        one, handover = draft.message.id, system.now + DAYS // 2
        assert not system.claim(lane, [one], "token").claimed
        seen = system.glance([one])
        assert (Status.SCHEDULED, str(handover)) == (seen.status(one), seen.records[one]["due"])
        assert handover == seen.of(Status.SCHEDULED)[one]
        assert not {"attempt", "waiting", "token"} & seen.records[one].keys()
    system.now += DAYS // 2
    assert {1: [earlier[0].message.id], 3: [earlier[1].message.id]} == system.release()
    assert 1 == len(system.claim(3, [earlier[1].message.id], "token").claimed)


def test_a_small_limit_leaves_half_of_it_after_the_delivery(redis_server: RedisServer, client: redis.Redis) -> None:
    """Handed over a day ahead with a validity of a day, the gateway would drop it at its delivery time."""
    assert stored(client) == 0
    with open_system(redis_server, gateway_validity_minutes=1_440) as system:
        draft = system.draft(delay=2 * 86_400, at_gateway=True)
        accept(system.sync, [draft], system.now, validity_minutes=1_440)
        assert draft.message.due_at - 12 * HOUR == system.sync.zscore(keys.DUE[3], draft.message.id)
        system.now = draft.message.due_at - 12 * HOUR
        system.release()
        (claimed,) = system.claim(3, [draft.message.id], "token").claimed
        assert "1440" == form(claimed.message, system.now, 1_440)["validity"]


def test_a_moved_message_is_sent_by_us_at_its_new_time(system: System) -> None:
    """Before its handover it can still be moved; a moved message waits with us until its time."""
    draft = system.draft(delay=6.5 * 86_400, at_gateway=True)
    system.accept([draft])
    one, at = draft.message.id, system.now + 3 * DAYS
    moved = system.move(one, at)
    assert not isinstance(moved, Refusal)
    assert at == moved.due_at == system.sync.zscore(keys.DUE[3], one)
    system.now = at
    assert {3: [one]} == system.release()
    (claimed,) = system.claim(3, [one], "token").claimed
    assert "scheduled_time" not in form(claimed.message, system.now)


def test_a_repeated_call_answers_with_the_delivery_time(producer: Producer) -> None:
    """The same as the first time, not the time of the handover."""
    first, again = (at_gateway(producer, 6.5 * 86_400, client_message_id="order1") for _ in range(2))
    assert (first.id, first.due_at, Status.SCHEDULED, True) == (again.id, again.due_at, again.status, again.repeated)


def test_only_what_needs_a_shorter_validity_waits_for_newer_workers(system: System) -> None:
    """A worker of an earlier version sends the rest of the validity as it is, and Clickatell refuses it."""
    week, more = {"validity_period": 10_080}, {"validity_period": 10_081}
    at_gateway = {"delay": 86_400, "at_gateway": True}
    schemas = [system.draft(**fields).message.schema for fields in ({}, week, more, at_gateway, at_gateway | more)]
    assert [1, 1, 2, 1, 2] == schemas
    assert 1 == system.draft(delay=7 * 86_400, at_gateway=True).message.schema
