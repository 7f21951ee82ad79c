"""Poll: a message without a receipt is looked up, at its times and within the rate of all look-ups.

The clock is moved by hand where time has to pass; real workers query a sandbox whose receipts are all lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.system import System
from tests.servers import RedisServer, wait_until
from tests.slow import also_slow
from threelane import Producer, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.doubt.resolve import resolve
from threelane.worker.gateway.outcome import NO_LOOK_UP, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import meaning
from threelane.worker.process import metrics
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.poll import poll
from threelane.worker.receipt.probe import REQUESTS_AT_ONCE as BATCH
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
NOTHING = LookUp(Known.NO_STATUS, ITS_ID, "001")
FAILED = LookUp(Known.FAILED, text="lost ")
DELIVERED = LookUp(Known.FOUND, ITS_ID, "004", 800_000)


class Gateway:
    """Answers every look-up alike, and records the requests; with ``waits`` the test releases the answer."""

    can_look_up = True
    look_ups_per_request = 1

    def __init__(self, answer: LookUp = NOTHING, waits: asyncio.Event | None = None) -> None:
        self.answer = answer
        self.queried: list[str] = []
        self.queried_by_its_id: list[str] = []
        self.has_request = asyncio.Event()
        self._waits = waits

    async def status(self, gateway_id: str) -> LookUp:
        self.queried_by_its_id.append(gateway_id)
        return self.answer

    async def look_up(self, message_id: str) -> LookUp:
        self.queried.append(message_id)
        self.has_request.set()
        if self._waits:
            await self._waits.wait()
        return self.answer

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        return [await self.look_up(one) for one in message_ids]


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(redis_url=redis_server.url, parts_per_second=100_000, look_ups_per_second=1_000)
    made = System(redis_server.port, loop, settings)
    yield made
    made.close()
    loop.close()


def looked_up(system: System, gateway: Gateway, settings: WorkerSettings | None = None) -> int:
    """Let one worker look up what is due; returns how many it looked up."""
    return sum(
        system.run(poll(system.client, gateway, settings or system.settings, lane, system.now)) for lane in keys.LANES
    )


def attempted(system: System, outcome: AttemptOutcome | None = None, number: int = 1, **fields: Any) -> list[str]:
    """Messages that were tried once; by default the gateway has them, each by an id of its own."""
    ids = []
    for _ in range(number):
        draft = system.draft(**fields)
        system.accept([draft])
        ids.append(draft.message.id)
        (one,) = system.claim(fields.get("lane", 3), ids[-1:], "token").claimed
        its = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=f"of-{one.id}")
        settled(system, one, outcome or its)
    return ids


def settled(system: System, claimed: Claimed, outcome: AttemptOutcome) -> None:
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])


def record_of(system: System, message: str) -> dict[str, str]:
    return system.glance([message]).records[message]


def events_of(system: System, kind: bytes = b"outcome") -> list[dict[str, str]]:
    found = [fields for _, fields in system.sync.xrange(keys.EVENTS)]
    return [{name.decode(): value.decode() for name, value in one.items()} for one in found if one[b"type"] == kind]


# When it is looked up.


def test_a_message_is_looked_up_at_its_times_until_the_gateway_forgets_it(system: System) -> None:
    """After 10 minutes, 1 hour, 12 hours and then daily, until 6 days after it was sent: then its end is unknown."""
    (message,) = attempted(system, producer="shop")
    sent_at, gateway, times = system.now, Gateway(), []
    while record_of(system, message)["status"] == "sent" and len(times) < 20:
        due = int(system.sync.zscore(keys.AWAITING[3], message) or 0)
        system.now = due - 1
        assert 0 == looked_up(system, gateway)
        system.now = due
        assert 1 == looked_up(system, gateway)
        times.append(due - sent_at)

    first = 10 * MINUTE + HOUR + 12 * HOUR
    assert [10 * MINUTE, 10 * MINUTE + HOUR, *(first + n * DAY for n in range(6)), 6 * DAY] == times
    assert ([message] * len(times), []) == (gateway.queried, gateway.queried_by_its_id)
    record = record_of(system, message)
    assert ("unknown", "no_receipt", "gateway") == (record["status"], record["code"], record["owner"])
    assert (str(system.now), None) == (record["ended"], system.sync.zscore(keys.AWAITING[3], message))
    assert 0 < system.sync.pttl(keys.record(message)) <= system.settings.retention_ms
    (event,) = events_of(system)
    assert (message, "shop", "unknown", "no_receipt") == tuple(
        event[name] for name in ("id", "producer", "status", "code")
    )
    system.now += 30 * DAY
    assert 0 == looked_up(system, gateway)


def test_a_message_at_the_gateway_is_looked_up_from_its_time_on(system: System) -> None:
    """Six days count from when it leaves, not from when it was handed over."""
    leaves = system.now + 5 * DAY
    (message,) = attempted(system, delay=5 * 86_400, at_gateway=True)
    times, gateway = [], Gateway(LookUp(Known.FOUND, ITS_ID, "011"))
    while record_of(system, message)["status"] == "sent" and len(times) < 20:
        system.now = int(system.sync.zscore(keys.AWAITING[3], message) or 0)
        looked_up(system, gateway)
        times.append(system.now - leaves)
    assert (10 * MINUTE, 6 * DAY) == (times[0], times[-1])
    assert "unknown" == record_of(system, message)["status"]


def test_a_question_that_failed_does_not_count_and_is_repeated_soon(system: System) -> None:
    """Nothing follows from it: the next comes after the first wait, and the one after that as if it had not been."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    looked_up(system, Gateway(FAILED))
    assert ("sent", None) == tuple(record_of(system, message).get(name) for name in ("status", "asks"))
    assert "reports" not in record_of(system, message)
    assert system.now + 10 * MINUTE == system.sync.zscore(keys.AWAITING[3], message)
    system.now += 10 * MINUTE
    looked_up(system, Gateway(NOTHING))
    assert "1" == record_of(system, message)["asks"]
    assert system.now + HOUR == system.sync.zscore(keys.AWAITING[3], message)


# What an answer makes of it.


def test_the_end_found_by_a_look_up_is_published_once(system: System) -> None:
    """With its charge; there is no second look-up."""
    (message,) = attempted(system, lane=2, cost_centre="news")
    system.now += 10 * MINUTE
    assert 1 == looked_up(system, Gateway(DELIVERED))
    seen = system.glance([message])
    record = seen.records[message]
    assert ("delivered", "004", "800000") == (record["status"], record["network"], record["charge"])
    assert (800_000, {}) == (seen.tally["charged:2:news"], seen.of(Status.SENT))
    assert ["delivered"] == [event["status"] for event in events_of(system)]
    assert "asks" not in record


@pytest.mark.parametrize("status", ["002", "003", "008", "011", "QUEUED", "SENT_TO_SUPPLIER", "099", "NEW_WAY"])
def test_a_message_that_is_still_on_its_way_is_looked_up_again(system: System, status: str) -> None:
    """Also by a status that we do not know: the gateway has the message."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    looked_up(system, Gateway(LookUp(Known.FOUND, ITS_ID, status, 800_000)))
    record = record_of(system, message)
    assert ("sent", status, "800000", "1") == tuple(record[name] for name in ("status", "network", "charge", "asks"))
    assert system.now + HOUR == system.sync.zscore(keys.AWAITING[3], message)


@pytest.mark.parametrize("answer", [NOTHING, NO_LOOK_UP])
def test_an_answer_of_not_found_changes_nothing(system: System, answer: LookUp) -> None:
    """It was accepted, and is not sent again on a guess."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    looked_up(system, Gateway(answer))
    record = record_of(system, message)
    assert ("sent", "1", None) == (record["status"], record["asks"], record.get("network"))


def test_a_message_without_the_gateway_s_id_is_looked_up_by_ours(system: System) -> None:
    """A receipt that named no id overtook the answer, which then never came."""
    draft = system.draft()
    system.accept([draft])
    system.claim(3, [draft.message.id], "token")
    system.receive([StatusReport(draft.message.id, "", "003", meaning("003"))])
    system.now += 10 * MINUTE
    gateway = Gateway(DELIVERED)
    looked_up(system, gateway)
    assert ([draft.message.id], []) == (gateway.queried, gateway.queried_by_its_id)
    assert (Status.DELIVERED, ITS_ID) == (
        system.glance([draft.message.id]).status(draft.message.id),
        record_of(system, draft.message.id)["gateway_id"],
    )


def test_a_doubtful_message_found_in_an_unknown_status_was_sent(system: System) -> None:
    """Otherwise it would be looked up forever; from now on it is looked up like every other."""
    (message,) = attempted(system, AttemptOutcome(OutcomeKind.LOST))
    system.now += MINUTE
    system.start_look_up().answer({message: LookUp(Known.FOUND, ITS_ID, "099", 800_000)})
    seen = system.glance([message])
    assert (Status.SENT, "800000") == (seen.status(message), seen.records[message]["charge"])
    assert ({}, [message]) == (seen.of(Status.IN_DOUBT), list(seen.of(Status.SENT)))


def test_an_expired_record_is_not_looked_up_and_not_recreated(system: System) -> None:
    """Its record has expired; its place in the queue of questions goes, too."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    system.sync.delete(keys.record(message))
    gateway = Gateway()
    assert 0 == looked_up(system, gateway)
    assert ([], 0, 0) == (
        gateway.queried,
        system.sync.zcard(keys.AWAITING[3]),
        system.sync.exists(keys.record(message)),
    )


# A gateway that does not know its own id.


class Forgetful(Gateway):
    """Does not know the ids that it gave; of ours it knows what ``answer`` says."""

    async def status(self, gateway_id: str) -> LookUp:
        self.queried_by_its_id.append(gateway_id)
        return LookUp(Known.NOT_FOUND)


class KnowsGatewayIdsOnly(Gateway):
    """Finds no message by our id."""

    async def look_up(self, message_id: str) -> LookUp:
        self.queried.append(message_id)
        return LookUp(Known.NOT_FOUND)


def test_a_message_that_the_gateway_knows_by_another_id_keeps_that_one(system: System) -> None:
    """It took another message's response for this one's; the message itself is there, and found by our id."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    assert 1 == looked_up(system, Forgetful(LookUp(Known.FOUND, ITS_ID, "003", 800_000)))
    record = record_of(system, message)
    assert ("sent", ITS_ID, "003") == (record["status"], record["gateway_id"], record["network"])
    assert 1 == system.glance([]).tally["renamed:3"]


def test_the_charge_of_another_message_is_not_taken_before_a_report_names_its_owner(system: System) -> None:
    """The gateway's id of an acceptance may be another message's; ours is not."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    gateway = Gateway(LookUp(Known.FOUND, ITS_ID, "004", 800_000))
    looked_up(system, gateway)
    record = record_of(system, message)
    assert ("delivered", "800000", ITS_ID) == (record["status"], record["charge"], record["gateway_id"])
    assert [] == gateway.queried_by_its_id


def test_a_message_whose_id_the_gateway_does_not_find_is_looked_up_by_the_gateway_s_own(system: System) -> None:
    """It may index its own ids only; what it knows was sent."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    gateway = KnowsGatewayIdsOnly(LookUp(Known.FOUND, f"of-{message}", "004", 800_000))
    looked_up(system, gateway)
    assert ([message], [f"of-{message}"]) == (gateway.queried, gateway.queried_by_its_id)
    assert "delivered" == record_of(system, message)["status"]


def test_a_message_that_the_gateway_does_not_know_at_all_is_in_doubt_again(system: System) -> None:
    """It was reported as sent; with an alarm it is looked up until the grace is over, and never sent again."""
    (message,) = attempted(system, producer="shop")
    system.now += 10 * MINUTE
    gateway = Forgetful(LookUp(Known.NOT_FOUND))
    before = metrics.ALARMS.labels("103", "gateway")._value.get()
    assert 1 == looked_up(system, gateway)
    assert before + 1 == metrics.ALARMS.labels("103", "gateway")._value.get()
    seen = system.glance([message])
    assert ("in_doubt", "103", False, 1) == (
        seen.records[message]["status"],
        seen.records[message]["code"],
        seen.expiring[message],
        seen.tally["reopened:3"],
    )
    assert {message: system.now + 5 * SECOND} == seen.of(Status.IN_DOUBT)

    resent: list[object] = []
    for _ in range(20):
        system.now = max(system.now, int(next(iter(system.glance([message]).of(Status.IN_DOUBT).values()), 0)))
        _, again = system.run(resolve(system.client, gateway, system.settings, 3, system.now))
        resent += again.values()
    record = record_of(system, message)
    assert ([], "unknown", "disowned", "gateway") == (resent, record["status"], record["code"], record["owner"])
    assert 0 < system.sync.pttl(keys.record(message))
    (event,) = events_of(system)
    assert ("unknown", "disowned") == (event["status"], event["code"])


@pytest.mark.parametrize("is_overtaken", [False, True], ids=["after the response", "before the response"])
def test_the_state_of_another_message_is_not_taken_for_that_of_one_with_its_id(
    system: System, is_overtaken: bool
) -> None:
    """Responses off by one: one message got a foreign id, the next one its; a receipt names the right message."""
    draft = system.draft()
    system.accept([draft])
    (first,) = system.claim(3, [draft.message.id], "token").claimed
    report = StatusReport(first.id, ITS_ID, "004", Status.DELIVERED, 800_000)
    misread = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="of-nobody")
    settlement = Settlement(first, misread, system.judge(first, misread))
    if is_overtaken:
        system.receive([report])
        assert [False] == system.settle([settlement])
    else:
        assert [True] == system.settle([settlement])
        system.receive([report])
    (lost,) = attempted(system, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID))
    system.now += 10 * MINUTE
    gateway = KnowsGatewayIdsOnly(DELIVERED)
    assert 1 == looked_up(system, gateway)
    assert ([lost], [], "in_doubt") == (gateway.queried, gateway.queried_by_its_id, record_of(system, lost)["status"])


def test_a_receipt_settles_a_reopened_doubt(system: System) -> None:
    """The network knows better than the gateway's look-ups."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    looked_up(system, Forgetful(LookUp(Known.NOT_FOUND)))
    system.receive([StatusReport(message, ITS_ID, "004", meaning("004"), 800_000)])
    assert ("delivered", "800000") == tuple(record_of(system, message)[name] for name in ("status", "charge"))
    assert {} == system.glance([message]).of(Status.IN_DOUBT)


@pytest.mark.parametrize("answer", [FAILED, NOTHING])
def test_a_look_up_by_our_id_that_proves_nothing_changes_nothing(system: System, answer: LookUp) -> None:
    """Only "not found" by both ids does."""
    (message,) = attempted(system)
    system.now += 10 * MINUTE
    looked_up(system, Forgetful(answer))
    assert ("sent", f"of-{message}") == tuple(record_of(system, message)[name] for name in ("status", "gateway_id"))


def test_a_gateway_that_forgets_early_reopens_nothing_at_the_end(system: System) -> None:
    """A day before it forgets messages by its own rules, not knowing one is no surprise."""
    (message,) = attempted(system)
    system.now += 5 * DAY + HOUR
    looked_up(system, Forgetful(LookUp(Known.NOT_FOUND)))
    assert "sent" == record_of(system, message)["status"]


# Who looks up, and how many.


def test_at_most_one_batch_is_looked_up_at_once(system: System) -> None:
    """The longest due come first, and the rest in the next rounds."""
    messages = attempted(system, number=2 * BATCH + 5)
    system.now += 10 * MINUTE
    gateway = Gateway()
    assert [BATCH, BATCH, 5, 0] == [looked_up(system, gateway) for _ in range(4)]
    assert sorted(messages) == sorted(gateway.queried)


def test_the_rate_of_look_ups_is_shared_with_messages_in_doubt_and_held(system: System) -> None:
    """Five a second of all kinds together, however many wait; doubts come first, and receipts keep a tenth."""
    few = system.settings.model_copy(update={"look_ups_per_second": 5, "most_look_ups_per_second": 5})
    attempted(system, number=30)
    system.now += 10 * MINUTE - 6 * SECOND
    attempted(system, AttemptOutcome(OutcomeKind.LOST), 30)
    system.now += 6 * SECOND
    gateway, done = Gateway(), Counter[str]()

    def both() -> None:
        doubts, _ = system.run(resolve(system.client, gateway, few, 3, system.now))
        done.update(doubts=doubts, receipts=looked_up(system, gateway, few))

    for _ in range(5):
        both()
    assert {"doubts": 2, "receipts": 1} == done
    for quarter in range(1, 25):
        system.now += 250
        both()
        assert done.total() <= 3 + 5 * quarter / 4
    assert done["doubts"] + done["receipts"] >= 29
    assert 3 <= done["receipts"] <= 5


@pytest.mark.slow
def test_the_rate_of_look_ups_grows_with_what_is_due_to_the_configured_limit(system: System) -> None:
    """900 that are due would take 45 seconds at 20 a second; with up to 30 they take 30."""
    more = system.settings.model_copy(update={"look_ups_per_second": 20, "most_look_ups_per_second": 40})
    attempted(system, number=990)
    system.now += 10 * MINUTE
    gateway = Gateway()
    for _ in range(40):
        system.now += 250
        while looked_up(system, gateway, more):
            pass
    assert 260 <= len(gateway.queried) <= 350  # in ten seconds, the rate falling with the rest


def test_two_workers_never_look_up_the_same_message_at_once(system: System) -> None:
    """The worker that looks up has a lease; when it does not come back, another one looks up."""
    attempted(system, number=30)
    system.now += 10 * MINUTE
    answers = asyncio.Event()
    slow, quick = Gateway(waits=answers), Gateway()
    first = system.loop.create_task(poll(system.client, slow, system.settings, 3, system.now))
    system.run(slow.has_request.wait())
    assert [10, 0] == [looked_up(system, quick), looked_up(system, quick)]
    assert set() == set(slow.queried) & set(quick.queried)

    system.now += system.settings.lease_ms - 1
    assert 0 == looked_up(system, quick)
    system.now += 1
    assert BATCH == looked_up(system, quick)  # the first worker froze
    assert 30 == len(quick.queried) == len(set(quick.queried))
    answers.set()
    assert BATCH == system.run(first)


def test_a_receipt_that_comes_during_the_question_stands(system: System) -> None:
    """The answer is older: it moves nothing, and there is no second look-up."""
    (message,) = attempted(system)
    system.now += 6 * DAY
    answers = asyncio.Event()
    gateway = Gateway(LookUp(Known.FOUND, ITS_ID, "003", 300_000), answers)
    question = system.loop.create_task(poll(system.client, gateway, system.settings, 3, system.now))
    system.run(gateway.has_request.wait())
    system.receive([StatusReport(message, ITS_ID, "004", meaning("004"), 800_000)])
    answers.set()
    system.run(question)
    record = record_of(system, message)
    assert ("delivered", "004", "800000") == (record["status"], record["network"], record["charge"])
    assert (0, ["delivered"]) == (system.sync.zcard(keys.AWAITING[3]), [event["status"] for event in events_of(system)])


# With a real worker, on all APIs.

# fmt: off
ENDS = {  # the vendor's statuses, and what a message is that stands in one
    "001": Status.SENT,      "002": Status.SENT,        "003": Status.SENT,        "004": Status.DELIVERED,
    "005": Status.UNDELIVERED, "006": Status.CANCELLED, "007": Status.UNDELIVERED, "008": Status.SENT,
    "009": Status.UNDELIVERED, "010": Status.EXPIRED,   "011": Status.SENT,        "012": Status.UNDELIVERED,
    "013": Status.CANCELLED, "014": Status.UNDELIVERED,
}
ONE_STATUSES = {  # the statuses of the One API that the sandbox has for them
    "001": "UNKNOWN", "002": "QUEUED", "003": "SENT_TO_SUPPLIER", "004": "DEVICE_ACK", "005": "DELIVERY_FAILURE",
    "006": "STOPPED_BY_USER", "007": "DELIVERY_FAILURE", "008": "QUEUED", "009": "ROUTING_ERROR", "010": "EXPIRED",
    "011": "SCHEDULED", "012": "INSUFFICIENT_ACCOUNT_BALANCE", "013": "STOPPED_BY_ADMIN", "014": "VOLUME_LIMIT",
}
# fmt: on
COSTS = {"006": 0, "010": 0, "012": 2 * 800_000, "014": 2 * 800_000}  # the last two are sent twice


@pytest.mark.parametrize("api", ["http", "one", *also_slow("rest", "xml")])
def test_every_message_ends_as_the_gateway_has_it_when_all_receipts_are_lost(
    producer: Producer, reporting: Running, workers: Workers, client: redis.Redis, api: str
) -> None:
    """All fourteen statuses; 006, 008, 011, 013 and 014 are in no callback at all.  Charges come with them.

    What the gateway refused for the account waits for its hold, and meets the same a second time.
    """
    reporting.control("POST", "faults", {"do": "receipts_lost", "times": None})
    acknowledged = reporting.control("GET", "health")["callbacks"]["acknowledged"]
    workers.start(gateway=api, receipt_delays_seconds="0.5,1", look_ups_per_second=200)
    answers = producer.send_many({"to": f"279992{status}00", "text": "Hello"} for status in ENDS)
    ids = dict(zip(ENDS, (answer.id for answer in answers), strict=True))
    lost = producer.send("27999400400", "Hello").id
    wait_until(lambda: producer.status(lost).status is Status.DELIVERED, what="the magic number")
    now = int(client.time()[0]) * 1000
    wait_until(
        lambda: not hold.resume(client, "account", now) and _as_at_the_gateway(producer, ids, api),
        60,
        "every status to be found out",
    )

    at_gateway = taken(reporting)
    assert {one: {one} for one in ENDS} == {
        one: {copy["status"] for copy in at_gateway[message]} for one, message in ids.items()
    }
    assert ["012", "014"] == [one for one, message in ids.items() if len(at_gateway[message]) == 2]
    if api != "one":  # which reports no charge
        charges = {status: COSTS.get(status, 800_000) for status in ENDS if status != "001"}
        assert charges == {status: producer.status(ids[status]).charge_millionths for status in charges}
    assert [status for status, end in ENDS.items() if end is not Status.SENT] == sorted(_outcomes(client, ids))
    assert acknowledged == reporting.control("GET", "health")["callbacks"]["acknowledged"]


def _as_at_the_gateway(producer: Producer, ids: dict[str, str], api: str) -> bool:
    found = dict(zip(ids, producer.statuses(list(ids.values())), strict=True))
    names = ONE_STATUSES if api == "one" else {status: status for status in ENDS}
    return all(
        one and one.status is ENDS[status] and one.network_status == ("" if status == "001" else names[status])
        for status, one in found.items()
    )


def _outcomes(client: redis.Redis, ids: dict[str, str]) -> Sequence[str]:
    """Return the statuses of the published outcomes, each as often as it was published."""
    by_id = {message.encode(): status for status, message in ids.items()}
    events = [fields for _, fields in client.xrange(keys.EVENTS)]
    return [by_id[one[b"id"]] for one in events if one[b"type"] == b"outcome" and one[b"id"] in by_id]
