"""Cancel in doubt: a message whose response was lost is stopped at the gateway by our id, where the API can.

"Not found" proves nothing, and neither does what is found of an attempt before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from tests.slow import also_slow
from threelane import Producer, ProducerSettings, Status
from threelane.contract.features import able
from threelane.gateways.http import gateway as http
from threelane.gateways.xml import gateway as xml
from threelane.producer.cancel import CancelResult
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import (
    NO_CANCEL_BY_OUR_ID,
    AttemptOutcome,
    Cancellation,
    Known,
    LookUp,
    OutcomeKind,
)
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.receipt.receipt import from_look_up
from threelane.worker.receipt.stop import AGAIN_MS, stop
from threelane.worker.send.settle import Settlement

Until = Callable[..., MessageStatus]
ITS_ID, FORMER_ID, OURS = "b2" * 16, "a1" * 16, "0f" * 16
HOUR = 3_600_000
STOPPED = Cancellation(True, "006", gateway_id=ITS_ID)
UNKNOWN = Cancellation(False, code="104", text="Unknown client message id")


class Gateway:
    """Answers a cancel by our id, and the look-up after it."""

    table = LEGACY
    can_cancel_by_our_id = True

    def __init__(self, *answers: Cancellation, charge: int | None = 0) -> None:
        self.answers = list(answers)
        self.charge = charge
        self.requests: list[str] = []

    async def cancel_by_our_id(self, message_id: str) -> Cancellation:
        self.requests.append(message_id)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def status(self, gateway_id: str) -> LookUp:
        assert ITS_ID == gateway_id
        return LookUp(Known.FOUND, gateway_id, "006", self.charge)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server, parts_per_second=100_000) as made:
        yield made


@pytest.fixture
def producer(redis_server: RedisServer, client: redis.Redis) -> Iterator[Producer]:
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway="http")) as made:
        yield made


def doubtful(system: System, message: str = "") -> str:
    """Return a message whose response was lost."""
    message = message or system.take()
    (claimed,) = system.claim(3, [message], "token").claimed
    outcome = AttemptOutcome(OutcomeKind.LOST)
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    return message


def cancel(system: System, producer: Producer, message: str) -> None:
    with_now = producer.cancel([message])
    assert [CancelResult.NOT_RETRIED] == [one.answer for one in with_now]
    system.sync.zadd(keys.STOPPING, {message: system.now})  # by the clock of the test


def request(system: System, gateway: Gateway) -> int:
    return system.run(stop(system.client, gateway, system.settings, system.now))  # type: ignore[arg-type]


def record(system: System, message: str) -> dict[str, str]:
    return system.glance([message]).records[message]


def test_a_message_that_the_gateway_stopped_is_cancelled(system: System, producer: Producer) -> None:
    """006 ends the doubt; the charge that was given back comes with it."""
    message = doubtful(system)
    cancel(system, producer, message)
    gateway = Gateway(STOPPED)
    assert (1, [message]) == (request(system, gateway), gateway.requests)
    found = record(system, message)
    assert ("cancelled", ITS_ID, "006", "0") == tuple(
        found[one] for one in ("status", "gateway_id", "network", "charge")
    )
    assert ["cancelled"] == [one["status"] for one in system.outcomes(message)]
    assert not system.sync.exists(keys.STOPPING)


@pytest.mark.parametrize(
    "answer",
    [
        UNKNOWN,
        Cancellation(False, "001", gateway_id=ITS_ID),
        Cancellation(None, text="<html>"),
        Cancellation(False, code="901", text="internal error"),
        Cancellation(True, "006"),  # of nobody knows which message
    ],
    ids=str,
)
def test_what_proves_nothing_leaves_it_in_doubt_and_is_repeated(
    system: System, producer: Producer, answer: Cancellation
) -> None:
    """The gateway may show it later: at growing intervals, as long as it is in doubt."""
    message = doubtful(system)
    cancel(system, producer, message)
    gateway = Gateway(answer, STOPPED)
    assert (1, 0) == (request(system, gateway), request(system, gateway))
    assert "in_doubt" == record(system, message)["status"]
    system.now += AGAIN_MS
    assert 1 == request(system, gateway)
    assert "cancelled" == record(system, message)["status"]


def test_the_requests_become_rarer(system: System, producer: Producer) -> None:
    """A message that waits for a look-up a day is no request every half minute."""
    message = doubtful(system)
    cancel(system, producer, message)
    times, gateway = 0, Gateway(UNKNOWN)
    for _ in range(24 * 120):
        times += request(system, gateway)
        system.now += AGAIN_MS
    assert 10 < times < 50


def test_a_message_that_the_gateway_has_already_sent_is_adopted(system: System, producer: Producer) -> None:
    """Too late: it is known now, and is not looked up as a doubt any more."""
    message = doubtful(system)
    cancel(system, producer, message)
    request(system, Gateway(Cancellation(False, "003", gateway_id=ITS_ID)))
    assert ("sent", ITS_ID) == (record(system, message)["status"], record(system, message)["gateway_id"])


def test_the_first_of_two_attempts_proves_nothing(system: System, producer: Producer) -> None:
    """It is known by the same id of ours, and ended before."""
    message = system.take()
    system.attempt(message, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=FORMER_ID))
    report = StatusReport(message, FORMER_ID, "012", Status.UNDELIVERED, at=system.now)
    assert ["returned"] == system.receive([report])
    system.sync.delete(keys.HOLDS)
    doubtful(system, message)
    cancel(system, producer, message)
    request(system, Gateway(Cancellation(True, "006", gateway_id=FORMER_ID)))
    assert "in_doubt" == record(system, message)["status"]
    assert system.sync.zscore(keys.STOPPING, message), "the request is repeated"


def test_a_doubt_that_ends_ends_the_requests(system: System, producer: Producer) -> None:
    """A receipt came."""
    message = doubtful(system)
    cancel(system, producer, message)
    system.receive([StatusReport(message, ITS_ID, "004", Status.DELIVERED)])
    gateway = Gateway(STOPPED)
    request(system, gateway)
    assert ([], 0) == (gateway.requests, system.sync.exists(keys.STOPPING))


def ended_by_look_ups(system: System, message: str, after_ms: int) -> str:
    """Return the state after a look-up that did not find a message."""
    system.now += after_ms
    system.start_look_up().answer({message: LookUp(Known.NOT_FOUND)})
    return record(system, message)["status"]


def test_a_message_for_the_gateway_s_scheduler_is_stopped_after_look_ups_ended_its_doubt(
    system: System, producer: Producer
) -> None:
    """It was hidden, and its delivery time is ahead."""
    message = doubtful(system, system.take(at_gateway=True, delay=3600))
    cancel(system, producer, message)
    assert "cancelled" == ended_by_look_ups(system, message, HOUR // 2)
    assert system.now == system.sync.zscore(keys.STOPPING, message), "at the moment of that proof, too"
    gateway = Gateway(UNKNOWN, STOPPED)
    for _ in range(2):
        system.now += HOUR // 6
        request(system, gateway)
    assert [message] * 2 == gateway.requests
    assert ("cancelled", "006", "0") == tuple(record(system, message)[one] for one in ("status", "network", "charge"))
    assert not system.sync.exists(keys.STOPPING)


@pytest.mark.parametrize("name", ["sent", "in_doubt"])
def test_a_message_is_stopped_as_soon_as_the_gateway_may_have_it(system: System, producer: Producer, name: str) -> None:
    """A request that came too early, during the attempt or the doubt, is repeated then: delivery may be near."""
    message = system.take(at_gateway=True, delay=3600)
    (claimed,) = system.claim(3, [message], "token").claimed
    cancel(system, producer, message)
    gateway = Gateway(UNKNOWN)
    assert (1, []) == (request(system, gateway), gateway.requests)
    outcome = (
        AttemptOutcome(OutcomeKind.LOST)
        if name == "in_doubt"
        else AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID)
    )
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    assert (name, system.now) == (record(system, message)["status"], system.sync.zscore(keys.STOPPING, message))


def test_a_message_that_a_look_up_found_is_stopped_at_once(system: System, producer: Producer) -> None:
    """Also on APIs which stop a message by the gateway's id only."""
    message = doubtful(system, system.take(at_gateway=True, delay=3600))
    cancel(system, producer, message)
    assert 1 == request(system, Gateway(UNKNOWN))
    system.now += 1200
    assert ["moved"] == system.receive([from_look_up(message, LookUp(Known.FOUND, ITS_ID, "011", 0))])
    assert system.now == system.sync.zscore(keys.STOPPING, message)


def test_an_api_without_the_command_gets_no_request(system: System, producer: Producer) -> None:
    """The mark of the cancel stays: the message is not sent again."""
    message = doubtful(system)
    cancel(system, producer, message)
    gateway = Gateway(NO_CANCEL_BY_OUR_ID)
    gateway.can_cancel_by_our_id = False
    request(system, gateway)
    assert ([], "in_doubt") == (gateway.requests, record(system, message)["status"])


# fmt: off
REASONS = {
    "http": "it may have been sent: the gateway is requested to stop it, and it is not sent again",
    "xml": "it may have been sent: the gateway is requested to stop it, and it is not sent again",
    "rest": "it may have been sent, and the API of this account (rest) stops a message by the gateway's id only, which "
            "is not known yet: if it was not sent, it is not sent again",
    "one": "it may have been sent, and the API of this account (one) has no command to stop a message: if it was not "
           "sent, it is not sent again",
}
# fmt: on


@pytest.mark.parametrize("api", REASONS)
def test_the_result_names_what_the_api_can(system: System, redis_server: RedisServer, api: str) -> None:
    """And only an API with the command is requested to stop it."""
    message = doubtful(system)
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=api)) as producer:
        (result,) = producer.cancel([message])
    assert (CancelResult.NOT_RETRIED, "in_doubt", REASONS[api]) == (result.answer, result.status, result.why)
    assert able("cancel by our id", api) == bool(system.sync.exists(keys.STOPPING))


# What a response says.


def text(body: str) -> HttpReply:
    return HttpReply(200, body.encode(), has_end=True)


def element(content: str) -> HttpReply:
    return text(f"<clickAPI><delMsgResp>{content}</delMsgResp></clickAPI>")


# fmt: off
ANSWERS = [
    (http, text(f"ID: {ITS_ID} Status: 006"), STOPPED),
    (http, text(f"ID: {ITS_ID} climsgid: {OURS} Status: 003"), Cancellation(False, "003", gateway_id=ITS_ID)),
    (http, text("ERR: 104, Unknown client message id"), UNKNOWN),
    (xml, element(f"<apiMsgId>{ITS_ID}</apiMsgId><status>006</status>"), STOPPED),
    (xml, element(f"<apiMsgId>{ITS_ID}</apiMsgId><cliMsgId>{OURS}</cliMsgId><status>006</status>"), STOPPED),
    (xml, element("<fault>104, Unknown client message id</fault>"), UNKNOWN),
]
OF_OTHERS = [
    (http, text(f"ID: {ITS_ID} climsgid: {'9' * 32} Status: 006")),
    (xml, element(f"<apiMsgId>{ITS_ID}</apiMsgId><cliMsgId>{'9' * 32}</cliMsgId><status>006</status>")),
    (xml, element("<status>006</status>")),
]
# fmt: on


@pytest.mark.parametrize(("api", "reply", "expected"), ANSWERS)
def test_a_response_to_a_cancel_by_our_id_has_the_gateway_s_id(api: object, reply: HttpReply, expected: object) -> None:
    """So that the first of two attempts is not taken for the second."""
    assert expected == api.read_cancel(reply, message_id=OURS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("api", "reply"), OF_OTHERS)
def test_a_response_that_is_of_another_message_stops_nothing(api: object, reply: HttpReply) -> None:
    """Or does not name one."""
    assert api.read_cancel(reply, message_id=OURS).stopped is None  # type: ignore[attr-defined]


# With a real worker, on each API.


@pytest.mark.parametrize("api", ["http", "xml", *also_slow("rest")])
def test_a_scheduled_message_whose_answer_was_lost_is_stopped_at_the_gateway(
    redis_server: RedisServer, client: redis.Redis, sandbox: Running, workers: Workers, until: Until, api: str
) -> None:
    """Its credit is given back, and nobody gets it."""
    sandbox.control("POST", "faults", {"do": "lose_answer", "times": 1})
    delays = "60,60" if able("cancel by our id", api) else "5,60"  # REST needs the look-up
    workers.start(gateway=api, doubt_delays_seconds=delays)
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=api)) as producer:
        one = producer.send("27999500001", "Later", delay=3600, at_gateway=True).id
        until(one, Status.IN_DOUBT)
        assert [CancelResult.NOT_RETRIED] == [result.answer for result in producer.cancel([one])]
        found = until(one, Status.CANCELLED, seconds=40)
    assert ("006", 0) == (found.network_status, found.charge_millionths)
    assert ["006"] == [entry["status"] for entry in taken(sandbox)[one]]
    wait_until(lambda: not client.exists(keys.STOPPING), 40, "the request to stop to be done with")
