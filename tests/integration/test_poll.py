"""Poll: the end of a message that no receipt told is asked for, at its times and at the rate of all look-ups.

The clock is moved by hand where time has to pass; real workers ask a sandbox whose receipts are all lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.house import House
from tests.servers import RedisServer, wait_until
from threelane import Producer, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.doubt.resolve import resolve
from threelane.worker.gateway.outcome import NO_LOOK_UP, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import meaning
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.poll import BATCH, poll
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
NOTHING = LookUp(Known.NO_STATUS, ITS_ID, "001")
FAILED = LookUp(Known.FAILED, text="lost ")
DELIVERED = LookUp(Known.FOUND, ITS_ID, "004", 800_000)


class Gateway:
    """Answers every question alike, and remembers what it was asked; with ``waits`` the answer comes when told."""

    can_look_up = True

    def __init__(self, answer: LookUp = NOTHING, waits: asyncio.Event | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.asked_for: list[str] = []
        self.is_asked = asyncio.Event()
        self._waits = waits

    async def status(self, gateway_id: str) -> LookUp:
        self.asked.append(gateway_id)
        self.is_asked.set()
        if self._waits:
            await self._waits.wait()
        return self.answer

    async def look_up(self, message_id: str) -> LookUp:
        self.asked_for.append(message_id)
        return self.answer


@pytest.fixture
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(redis_url=redis_server.url, parts_per_second=100_000, look_ups_per_second=1_000)
    made = House(redis_server.port, loop, settings)
    yield made
    made.close()
    loop.close()


def asked(house: House, gateway: Gateway, settings: WorkerSettings | None = None) -> int:
    """Let one worker ask for what is due; returns how many it asked for."""
    done: int = house.run(poll(house.client, gateway, settings or house.settings, house.now))
    return done


def attempted(house: House, outcome: AttemptOutcome | None = None, number: int = 1, **said: Any) -> list[str]:
    """Messages that were tried once; by default the gateway has them, each by an id of its own."""
    ids = []
    for _ in range(number):
        draft = house.draft(**said)
        house.accept([draft])
        ids.append(draft.message.id)
        (one,) = house.claim(said.get("lane", 3), ids[-1:], "token").claimed
        its = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=f"of-{one.id}")
        settled(house, one, outcome or its)
    return ids


def settled(house: House, claimed: Claimed, outcome: AttemptOutcome) -> None:
    assert [True] == house.settle([Settlement(claimed, outcome, house.judge(claimed, outcome))])


def record_of(house: House, message: str) -> dict[str, str]:
    return house.glance([message]).records[message]


def told(house: House, kind: bytes = b"outcome") -> list[dict[str, str]]:
    found = [fields for _, fields in house.sync.xrange(keys.EVENTS)]
    return [{name.decode(): value.decode() for name, value in one.items()} for one in found if one[b"type"] == kind]


# When it is asked.


def test_a_message_is_asked_for_at_its_times_until_the_gateway_forgets_it(house: House) -> None:
    """After 10 minutes, 1 hour, 12 hours and then daily, until 6 days after it was sent: then its end is unknown."""
    (message,) = attempted(house, producer="shop")
    sent_at, gateway, times = house.now, Gateway(), []
    while record_of(house, message)["status"] == "sent" and len(times) < 20:
        due = int(house.sync.zscore(keys.AWAITING, message) or 0)
        house.now = due - 1
        assert 0 == asked(house, gateway)
        house.now = due
        assert 1 == asked(house, gateway)
        times.append(due - sent_at)

    first = 10 * MINUTE + HOUR + 12 * HOUR
    assert [10 * MINUTE, 10 * MINUTE + HOUR, *(first + n * DAY for n in range(6)), 6 * DAY] == times
    assert ([f"of-{message}"] * len(times), []) == (gateway.asked, gateway.asked_for)
    record = record_of(house, message)
    assert ("unknown", "no_receipt", "gateway") == (record["status"], record["code"], record["owner"])
    assert (str(house.now), None) == (record["ended"], house.sync.zscore(keys.AWAITING, message))
    assert 0 < house.sync.pttl(keys.record(message)) <= house.settings.retention_ms
    (event,) = told(house)
    assert (message, "shop", "unknown", "no_receipt") == tuple(
        event[name] for name in ("id", "producer", "status", "code")
    )
    house.now += 30 * DAY
    assert 0 == asked(house, gateway)


def test_what_the_gateway_keeps_until_its_time_is_asked_for_from_that_time_on(house: House) -> None:
    """Six days count from when it leaves, not from when it was handed over."""
    leaves = house.now + 5 * DAY
    (message,) = attempted(house, delay=5 * 86_400, at_gateway=True)
    times, gateway = [], Gateway(LookUp(Known.FOUND, ITS_ID, "011"))
    while record_of(house, message)["status"] == "sent" and len(times) < 20:
        house.now = int(house.sync.zscore(keys.AWAITING, message) or 0)
        asked(house, gateway)
        times.append(house.now - leaves)
    assert (10 * MINUTE, 6 * DAY) == (times[0], times[-1])
    assert "unknown" == record_of(house, message)["status"]


def test_a_question_that_failed_does_not_count_and_is_repeated_soon(house: House) -> None:
    """Nothing follows from it: the next comes after the first wait, and the one after that as if it had not been."""
    (message,) = attempted(house)
    house.now += 10 * MINUTE
    asked(house, Gateway(FAILED))
    assert ("sent", None) == tuple(record_of(house, message).get(name) for name in ("status", "asks"))
    assert "reports" not in record_of(house, message)
    assert house.now + 10 * MINUTE == house.sync.zscore(keys.AWAITING, message)
    house.now += 10 * MINUTE
    asked(house, Gateway(NOTHING))
    assert "1" == record_of(house, message)["asks"]
    assert house.now + HOUR == house.sync.zscore(keys.AWAITING, message)


# What an answer makes of it.


def test_the_end_that_is_found_is_the_message_s_end_and_is_told_once(house: House) -> None:
    """With its charge; nobody asks again."""
    (message,) = attempted(house, lane=2, cost_centre="news")
    house.now += 10 * MINUTE
    assert 1 == asked(house, Gateway(DELIVERED))
    seen = house.glance([message])
    record = seen.records[message]
    assert ("delivered", "004", "800000") == (record["status"], record["network"], record["charge"])
    assert (800_000, {}) == (seen.tally["charged:2:news"], seen.shelves[keys.AWAITING])
    assert ["delivered"] == [event["status"] for event in told(house)]
    assert "asks" not in record


@pytest.mark.parametrize("status", ["002", "003", "008", "011", "QUEUED", "SENT_TO_SUPPLIER", "099", "NEW_WAY"])
def test_a_message_that_is_still_on_its_way_is_asked_for_again(house: House, status: str) -> None:
    """Also by a status that we do not know: the gateway has the message."""
    (message,) = attempted(house)
    house.now += 10 * MINUTE
    asked(house, Gateway(LookUp(Known.FOUND, ITS_ID, status, 800_000)))
    record = record_of(house, message)
    assert ("sent", status, "800000", "1") == tuple(record[name] for name in ("status", "network", "charge", "asks"))
    assert house.now + HOUR == house.sync.zscore(keys.AWAITING, message)


@pytest.mark.parametrize("answer", [NOTHING, LookUp(Known.NOT_FOUND), NO_LOOK_UP])
def test_what_the_gateway_does_not_know_yet_changes_nothing(house: House, answer: LookUp) -> None:
    """It was accepted, and is not sent again on a guess."""
    (message,) = attempted(house)
    house.now += 10 * MINUTE
    asked(house, Gateway(answer))
    record = record_of(house, message)
    assert ("sent", "1", None) == (record["status"], record["asks"], record.get("network"))


def test_a_message_without_the_gateway_s_id_is_asked_for_by_ours(house: House) -> None:
    """A receipt that named no id overtook the answer, which then never came."""
    draft = house.draft()
    house.accept([draft])
    house.claim(3, [draft.message.id], "token")
    house.receive([StatusReport(draft.message.id, "", "003", meaning("003"))])
    house.now += 10 * MINUTE
    gateway = Gateway(DELIVERED)
    asked(house, gateway)
    assert ([], [draft.message.id]) == (gateway.asked, gateway.asked_for)
    assert (Status.DELIVERED, ITS_ID) == (
        house.glance([draft.message.id]).status(draft.message.id),
        record_of(house, draft.message.id)["gateway_id"],
    )


def test_a_doubtful_message_that_is_found_in_a_status_nobody_knows_was_sent(house: House) -> None:
    """Else it would be looked up for ever; from now on it is asked for like every other."""
    (message,) = attempted(house, AttemptOutcome(OutcomeKind.LOST))
    house.now += MINUTE
    house.ask().answer({message: LookUp(Known.FOUND, ITS_ID, "099", 800_000)})
    seen = house.glance([message])
    assert (Status.SENT, "800000") == (seen.status(message), seen.records[message]["charge"])
    assert ({}, [message]) == (seen.shelves[keys.DOUBT], list(seen.shelves[keys.AWAITING]))


def test_a_message_that_is_forgotten_is_not_asked_for_and_not_made_anew(house: House) -> None:
    """Its record has expired; its place in the queue of questions goes, too."""
    (message,) = attempted(house)
    house.now += 10 * MINUTE
    house.sync.delete(keys.record(message))
    gateway = Gateway()
    assert 0 == asked(house, gateway)
    assert ([], 0, 0) == (gateway.asked, house.sync.zcard(keys.AWAITING), house.sync.exists(keys.record(message)))


# Who asks, and how many.


def test_no_more_are_asked_for_at_once_than_a_batch(house: House) -> None:
    """The longest due come first, and the rest in the next rounds."""
    messages = attempted(house, number=2 * BATCH + 5)
    house.now += 10 * MINUTE
    gateway = Gateway()
    assert [BATCH, BATCH, 5, 0] == [asked(house, gateway) for _ in range(4)]
    assert sorted(f"of-{one}" for one in messages) == sorted(gateway.asked)


def test_the_rate_of_look_ups_is_shared_with_messages_in_doubt_and_held(house: House) -> None:
    """Five a second of all kinds together, however many wait; the look-ups of a doubt take from the same."""
    few = house.settings.model_copy(update={"look_ups_per_second": 5})
    attempted(house, number=10)
    house.now += 10 * MINUTE - 6 * SECOND
    attempted(house, AttemptOutcome(OutcomeKind.LOST), 10)
    house.now += 6 * SECOND
    gateway = Gateway()

    def both() -> tuple[int, int]:
        doubts, _ = house.run(resolve(house.client, gateway, few, house.now))
        return doubts, asked(house, gateway, few)

    assert [(5, 0), (0, 0)] == [both(), both()]
    house.now += 400
    assert (2, 0) == both()
    house.now += 600
    assert 3 == asked(house, gateway, few)
    assert (0, 0) == both()
    seconds = 0
    while house.sync.zcount(keys.AWAITING, "-inf", house.now) or house.sync.zcount(keys.DOUBT, "-inf", house.now):
        house.now += SECOND
        seconds += 1
        assert sum(both()) <= 5
    assert 2 == seconds  # ten of the twenty were left


def test_two_workers_never_ask_for_the_same_message_at_once(house: House) -> None:
    """Who asks has it for a lease; when he does not come back, another one asks."""
    attempted(house, number=30)
    house.now += 10 * MINUTE
    answers = asyncio.Event()
    slow, quick = Gateway(waits=answers), Gateway()
    first = house.loop.create_task(poll(house.client, slow, house.settings, house.now))
    house.run(slow.is_asked.wait())
    assert [10, 0] == [asked(house, quick), asked(house, quick)]
    assert set() == set(slow.asked) & set(quick.asked)

    house.now += house.settings.lease_ms - 1
    assert 0 == asked(house, quick)
    house.now += 1
    assert BATCH == asked(house, quick)  # the first worker froze
    assert 30 == len(quick.asked) == len(set(quick.asked))
    answers.set()
    assert BATCH == house.run(first)


def test_a_receipt_that_comes_during_the_question_stands(house: House) -> None:
    """The answer is older: it moves nothing, and nobody asks again."""
    (message,) = attempted(house)
    house.now += 6 * DAY
    answers = asyncio.Event()
    gateway = Gateway(LookUp(Known.FOUND, ITS_ID, "003", 300_000), answers)
    question = house.loop.create_task(poll(house.client, gateway, house.settings, house.now))
    house.run(gateway.is_asked.wait())
    house.receive([StatusReport(message, ITS_ID, "004", meaning("004"), 800_000)])
    answers.set()
    house.run(question)
    record = record_of(house, message)
    assert ("delivered", "004", "800000") == (record["status"], record["network"], record["charge"])
    assert (0, ["delivered"]) == (house.sync.zcard(keys.AWAITING), [event["status"] for event in told(house)])


# With a real worker, on all APIs.

# fmt: off
ENDS = {  # the vendor's statuses, and what a message is that stands in one
    "001": Status.SENT,      "002": Status.SENT,        "003": Status.SENT,        "004": Status.DELIVERED,
    "005": Status.UNDELIVERED, "006": Status.CANCELLED, "007": Status.UNDELIVERED, "008": Status.SENT,
    "009": Status.UNDELIVERED, "010": Status.EXPIRED,   "011": Status.SENT,        "012": Status.UNDELIVERED,
    "013": Status.CANCELLED, "014": Status.UNDELIVERED,
}
ONE_SAYS = {  # the statuses of the One API that the sandbox has for them
    "001": "UNKNOWN", "002": "QUEUED", "003": "SENT_TO_SUPPLIER", "004": "DEVICE_ACK", "005": "DELIVERY_FAILURE",
    "006": "STOPPED_BY_USER", "007": "DELIVERY_FAILURE", "008": "QUEUED", "009": "ROUTING_ERROR", "010": "EXPIRED",
    "011": "SCHEDULED", "012": "INSUFFICIENT_ACCOUNT_BALANCE", "013": "STOPPED_BY_ADMIN", "014": "VOLUME_LIMIT",
}
# fmt: on
NOT_CHARGED = ("006", "010")


@pytest.mark.parametrize("api", ["http", "rest", "xml", "one"])
def test_every_message_ends_as_the_gateway_has_it_when_all_receipts_are_lost(
    producer: Producer, reporting: Running, workers: Workers, client: redis.Redis, api: str
) -> None:
    """All fourteen statuses; 006, 008, 011, 013 and 014 are in no callback at all.  Charges come with them."""
    reporting.control("POST", "faults", {"do": "receipts_lost", "times": None})
    acknowledged = reporting.control("GET", "health")["callbacks"]["acknowledged"]
    workers.start(gateway=api, receipt_delays_seconds="0.5,1", look_ups_per_second=200)
    answers = producer.send_many({"to": f"279992{status}00", "text": "Hello"} for status in ENDS)
    ids = dict(zip(ENDS, (answer.id for answer in answers), strict=True))
    lost = producer.send("27999400400", "Hello").id
    wait_until(lambda: _as_at_the_gateway(producer, ids, api), 60, "every status to be found out")
    wait_until(lambda: producer.status(lost).status is Status.DELIVERED, what="the magic number")

    at_gateway = taken(reporting)
    assert {one: one for one in ENDS} == {one: at_gateway[message][0]["status"] for one, message in ids.items()}
    if api != "one":  # which tells no charge
        charges = {status: 0 if status in NOT_CHARGED else 800_000 for status in ENDS if status != "001"}
        assert charges == {status: producer.status(ids[status]).charge_millionths for status in charges}
    assert [status for status, end in ENDS.items() if end is not Status.SENT] == sorted(_told(client, ids))
    assert acknowledged == reporting.control("GET", "health")["callbacks"]["acknowledged"]


def _as_at_the_gateway(producer: Producer, ids: dict[str, str], api: str) -> bool:
    found = dict(zip(ids, producer.statuses(list(ids.values())), strict=True))
    names = ONE_SAYS if api == "one" else {status: status for status in ENDS}
    return all(
        one and one.status is ENDS[status] and one.network_status == ("" if status == "001" else names[status])
        for status, one in found.items()
    )


def _told(client: redis.Redis, ids: dict[str, str]) -> Sequence[str]:
    """Return the statuses of the messages whose end was told to producers, each as often as it was."""
    by_id = {message.encode(): status for status, message in ids.items()}
    events = [fields for _, fields in client.xrange(keys.EVENTS)]
    return [by_id[one[b"id"]] for one in events if one[b"type"] == b"outcome" and one[b"id"] in by_id]
