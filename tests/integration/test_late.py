"""Late: one event for a message of lane 1 that was sent and has no receipt in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers
from tests.properties.system import System
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
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(redis_url=redis_server.url, parts_per_second=100_000, late_after_seconds=LATE_MS / 1000)
    made = System(redis_server.port, loop, settings)
    yield made
    made.close()
    loop.close()


def attempted(system: System, outcome: AttemptOutcome = TAKEN, **fields: Any) -> str:
    """A message that was tried once, of lane 1 by default."""
    draft = system.draft(**{"lane": 1, **fields})
    system.accept([draft])
    (claimed,) = system.claim(draft.message.lane, [draft.message.id], "token").claimed
    system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    return draft.message.id


def looked(system: System) -> list[str]:
    """Let one worker look; returns the ids that it found late."""
    found: list[str] = system.run(late(system.client, system.now))
    return found


def late_events(client: redis.Redis) -> list[dict[str, str]]:
    """Return the late events."""
    found = [fields for _, fields in client.xrange(keys.EVENTS)]
    return [{name.decode(): value.decode() for name, value in one.items()} for one in found if one[b"type"] == b"late"]


def test_a_message_of_lane_1_without_a_receipt_is_reported_late_once(system: System) -> None:
    """Who waits for a code can be given it another way; the event has the client message id and the number."""
    message = attempted(system, producer="shop", client_message_id="login4711", to="27831234568")
    sent_at = system.now
    system.now += LATE_MS - 1
    assert [] == looked(system)
    system.now += 1
    assert [[message], []] == [looked(system), looked(system)]
    system.now += 24 * 3600 * 1000
    assert [] == looked(system)
    # fmt: off
    expected = {
        "type": "late", "id": message, "producer": "shop", "client": "login4711", "lane": "1", "to": "27831234568",
        "sent": str(sent_at),
    }
    # fmt: on
    assert [expected] == late_events(system.sync)
    seen = system.glance([message])
    assert (Status.SENT, 1) == (seen.status(message), seen.tally["late:1"])  # it goes on as before


@pytest.mark.parametrize("lane", [2, 3])
def test_other_lanes_are_in_no_such_hurry(system: System, lane: int) -> None:
    """Neither after an answer nor after a receipt that overtook it."""
    attempted(system, lane=lane)
    doubtful = attempted(system, LOST, lane=lane)
    system.receive([StatusReport(doubtful, ITS_ID, "003", meaning("003"))])
    system.now += 24 * 3600 * 1000
    assert ([], 0, []) == (looked(system), system.sync.zcard(keys.LATE), late_events(system.sync))


@pytest.mark.parametrize("status", ["004", "007", "010", "013"])
def test_a_message_whose_end_is_known_in_time_is_not_late(system: System, status: str) -> None:
    """Good or bad, its outcome was published, and that is enough."""
    message = attempted(system)
    system.now += LATE_MS - 1
    system.receive([StatusReport(message, ITS_ID, status, meaning(status))])
    system.now += 1
    assert ([], [], 0) == (looked(system), late_events(system.sync), system.sync.zcard(keys.LATE))


def test_a_receipt_of_a_passing_status_is_not_an_arrival(system: System) -> None:
    """The network has it and the handset not: its producer hears of it all the same, once."""
    message = attempted(system)
    system.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    system.now += LATE_MS
    system.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    assert [[message], []] == [looked(system), looked(system)]


def test_a_doubtful_message_that_was_sent_after_all_can_be_late(system: System) -> None:
    """From when it was found on; in doubt it is not known whether it was sent."""
    message = attempted(system, LOST)
    system.now += 3_000
    system.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    system.now += LATE_MS - 1
    assert [] == looked(system)
    system.now += 1
    assert [message] == looked(system)


def test_a_message_at_the_gateway_is_late_only_after_its_time(system: System) -> None:
    """It counts from when it leaves the gateway."""
    message = attempted(system, delay=3600, at_gateway=True)
    system.now += 3600 * 1000 + LATE_MS - 1
    assert [] == looked(system)
    system.now += 1
    assert [message] == looked(system)


def test_an_expired_record_is_not_reported_late(system: System) -> None:
    """Nobody knows any more whose it was."""
    message = attempted(system)
    system.sync.delete(keys.record(message))
    system.now += LATE_MS
    assert ([], [], 0) == (looked(system), late_events(system.sync), system.sync.zcard(keys.LATE))


def test_many_late_messages_are_reported_in_batches(system: System) -> None:
    """Each once, by any worker."""
    messages = [attempted(system) for _ in range(BATCH + 5)]
    system.now += LATE_MS

    async def two_at_once() -> list[list[str]]:
        return list(await asyncio.gather(late(system.client, system.now), late(system.client, system.now)))

    found = [one for batch in [*system.run(two_at_once()), *system.run(two_at_once())] for one in batch]
    assert sorted(messages) == sorted(found) == sorted(one["id"] for one in late_events(system.sync))


def test_two_workers_report_a_late_message_once_and_no_others(
    sandbox: Running, workers: Workers, client: redis.Redis, redis_server: RedisServer, until: Until
) -> None:
    """Without any receipt: lane 1 has its late events, lanes 2 and 3 have none."""
    for _ in range(2):
        workers.start(late_after_seconds=0.5)
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as shop:
        codes = [shop.send(f"2799950000{n}", "4711", lane=1, client_message_id=f"code{n}").id for n in range(5)]
        others = [shop.send("27999500009", "News", lane=lane).id for lane in (2, 3)]
        for message in [*codes, *others]:
            until(message, Status.SENT)
        wait_until(lambda: len(late_events(client)) >= len(codes), what="the events")
        wait_until(lambda: not client.zcard(keys.LATE))
    reader = events.EventReader(client, "test", "one", "shop", block_seconds=0.2)
    found = sorted((one.message_id, one.client_message_id, one.to) for one in reader if isinstance(one, events.Late))
    assert sorted((message, f"code{n}", f"2799950000{n}") for n, message in enumerate(codes)) == found


def test_a_real_worker_reports_no_message_that_was_delivered_in_time(
    producer: Producer, reporting: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """Its receipt came; when its time is up, a worker looks, and has nothing to report."""
    workers.start(late_after_seconds=600)
    message = producer.send("27999500001", "4711", lane=1).id
    until(message, Status.DELIVERED)
    client.zadd(keys.LATE, {message: 0}, xx=True)  # ten minutes pass
    wait_until(lambda: not client.zcard(keys.LATE), what="the worker to look")
    assert [] == late_events(client)
