"""Late: a producer hears, once, of a message of lane 1 that was sent and whose end nobody told in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers
from tests.properties.house import House
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.sandbox.running import Running
from threelane.store import events, keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import meaning
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.late import BATCH, late
from threelane.worker.send.settle import Settlement

Until = Callable[..., MessageStatus]
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
TAKEN, LOST = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID), AttemptOutcome(OutcomeKind.LOST)
LATE_MS = 20_000


@pytest.fixture
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(redis_url=redis_server.url, parts_per_second=100_000, late_after_seconds=LATE_MS / 1000)
    made = House(redis_server.port, loop, settings)
    yield made
    made.close()
    loop.close()


def attempted(house: House, outcome: AttemptOutcome = TAKEN, **said: Any) -> str:
    """A message that was tried once, of lane 1 unless said otherwise."""
    draft = house.draft(**{"lane": 1, **said})
    house.accept([draft])
    (claimed,) = house.claim(draft.message.lane, [draft.message.id], "token").claimed
    house.settle([Settlement(claimed, outcome, house.judge(claimed, outcome))])
    return draft.message.id


def looked(house: House) -> list[str]:
    """Let one worker look; returns the ids that it found late."""
    found: list[str] = house.run(late(house.client, house.now))
    return found


def told(client: redis.Redis) -> list[dict[str, str]]:
    """Return what producers were told of late messages."""
    found = [fields for _, fields in client.xrange(keys.EVENTS)]
    return [{name.decode(): value.decode() for name, value in one.items()} for one in found if one[b"type"] == b"late"]


def test_a_message_of_lane_1_without_a_receipt_is_told_as_late_once(house: House) -> None:
    """Who waits for a code can be given it another way; the event says whose message it was and to whom."""
    message = attempted(house, producer="shop", client_message_id="login4711", to="27831234568")
    sent_at = house.now
    house.now += LATE_MS - 1
    assert [] == looked(house)
    house.now += 1
    assert [[message], []] == [looked(house), looked(house)]
    house.now += 24 * 3600 * 1000
    assert [] == looked(house)
    # fmt: off
    expected = {
        "type": "late", "id": message, "producer": "shop", "client": "login4711", "lane": "1", "to": "27831234568",
        "sent": str(sent_at),
    }
    # fmt: on
    assert [expected] == told(house.sync)
    seen = house.glance([message])
    assert (Status.SENT, 1) == (seen.status(message), seen.tally["late:1"])  # it goes on as before


@pytest.mark.parametrize("lane", [2, 3])
def test_other_lanes_are_in_no_such_hurry(house: House, lane: int) -> None:
    """Neither after an answer nor after a receipt that overtook it."""
    attempted(house, lane=lane)
    doubtful = attempted(house, LOST, lane=lane)
    house.receive([StatusReport(doubtful, ITS_ID, "003", meaning("003"))])
    house.now += 24 * 3600 * 1000
    assert ([], 0, []) == (looked(house), house.sync.zcard(keys.LATE), told(house.sync))


@pytest.mark.parametrize("status", ["004", "007", "010", "013"])
def test_a_message_whose_end_is_known_in_time_is_not_late(house: House, status: str) -> None:
    """Good or bad, its outcome was told, and that is enough."""
    message = attempted(house)
    house.now += LATE_MS - 1
    house.receive([StatusReport(message, ITS_ID, status, meaning(status))])
    house.now += 1
    assert ([], [], 0) == (looked(house), told(house.sync), house.sync.zcard(keys.LATE))


def test_a_receipt_that_only_says_where_it_is_does_not_make_it_arrive(house: House) -> None:
    """The network has it and the handset not: its producer hears of it all the same, once."""
    message = attempted(house)
    house.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    house.now += LATE_MS
    house.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    assert [[message], []] == [looked(house), looked(house)]


def test_a_doubtful_message_that_was_sent_after_all_can_be_late(house: House) -> None:
    """From when it was found on; while it is in doubt nobody knows whether it was sent."""
    message = attempted(house, LOST)
    house.now += 3_000
    house.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    house.now += LATE_MS - 1
    assert [] == looked(house)
    house.now += 1
    assert [message] == looked(house)


def test_what_the_gateway_keeps_until_its_time_is_late_only_after_it(house: House) -> None:
    """It counts from when it leaves the gateway."""
    message = attempted(house, delay=3600, at_gateway=True)
    house.now += 3600 * 1000 + LATE_MS - 1
    assert [] == looked(house)
    house.now += 1
    assert [message] == looked(house)


def test_a_message_that_is_forgotten_is_not_told(house: House) -> None:
    """Nobody knows any more whose it was."""
    message = attempted(house)
    house.sync.delete(keys.record(message))
    house.now += LATE_MS
    assert ([], [], 0) == (looked(house), told(house.sync), house.sync.zcard(keys.LATE))


def test_many_late_messages_are_told_in_batches(house: House) -> None:
    """Each once, whoever looks."""
    messages = [attempted(house) for _ in range(BATCH + 5)]
    house.now += LATE_MS

    async def two_at_once() -> list[list[str]]:
        return list(await asyncio.gather(late(house.client, house.now), late(house.client, house.now)))

    found = [one for batch in [*house.run(two_at_once()), *house.run(two_at_once())] for one in batch]
    assert sorted(messages) == sorted(found) == sorted(one["id"] for one in told(house.sync))


def test_two_workers_tell_of_a_late_message_once_and_of_others_not(
    sandbox: Running, workers: Workers, client: redis.Redis, redis_server: RedisServer, until: Until
) -> None:
    """No receipt comes at all: lane 1 is told of to its producer, lanes 2 and 3 are not."""
    for _ in range(2):
        workers.start(late_after_seconds=0.5)
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as shop:
        codes = [shop.send(f"2799950000{n}", "4711", lane=1, client_message_id=f"code{n}").id for n in range(5)]
        others = [shop.send("27999500009", "News", lane=lane).id for lane in (2, 3)]
        for message in [*codes, *others]:
            until(message, Status.SENT)
        wait_until(lambda: len(told(client)) >= len(codes), what="the events")
        wait_until(lambda: not client.zcard(keys.LATE))
    reader = events.EventReader(client, "test", "one", "shop", block_seconds=0.2)
    found = sorted((one.message_id, one.client_message_id, one.to) for one in reader if isinstance(one, events.Late))
    assert sorted((message, f"code{n}", f"2799950000{n}") for n, message in enumerate(codes)) == found


def test_a_real_worker_does_not_tell_of_a_message_that_was_delivered_in_time(
    producer: Producer, reporting: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """Its receipt came; when its time is up, a worker looks, and has nothing to tell."""
    workers.start(late_after_seconds=600)
    message = producer.send("27999500001", "4711", lane=1).id
    until(message, Status.DELIVERED)
    client.zadd(keys.LATE, {message: 0}, xx=True)  # ten minutes pass
    wait_until(lambda: not client.zcard(keys.LATE), what="the worker to look")
    assert [] == told(client)
