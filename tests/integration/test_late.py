"""Late: one event for a message of lane 1 that has no final receipt in time, wherever it is."""

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
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import meaning
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.late import BATCH, late
from threelane.worker.send.settle import Settlement

Until = Callable[..., MessageStatus]
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
REFUSED = AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error")
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
    found: list[str] = system.run(late(system.client, LATE_MS, system.now))
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
        "sent": str(sent_at), "status": "sent",
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
    assert ([], 0, []) == (looked(system), system.sync.zcard(keys.EXPECTED), late_events(system.sync))


@pytest.mark.parametrize("status", ["004", "007", "010", "013"])
def test_a_message_whose_end_is_known_in_time_is_not_late(system: System, status: str) -> None:
    """Good or bad, its outcome was published, and that is enough."""
    message = attempted(system)
    system.now += LATE_MS - 1
    system.receive([StatusReport(message, ITS_ID, status, meaning(status))])
    system.now += 1
    assert ([], [], 0) == (looked(system), late_events(system.sync), system.sync.zcard(keys.EXPECTED))


def test_a_receipt_of_a_passing_status_is_not_an_arrival(system: System) -> None:
    """The network has it and the handset not: its producer hears of it all the same, once."""
    message = attempted(system)
    system.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    system.now += LATE_MS
    system.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    assert [[message], []] == [looked(system), looked(system)]


def test_a_doubtful_message_that_was_sent_after_all_can_be_late(system: System) -> None:
    """Who waits for the code has waited since it was accepted, not since it was found."""
    message = attempted(system, LOST)
    system.now += 3_000
    system.receive([StatusReport(message, ITS_ID, "003", meaning("003"))])
    system.now += LATE_MS - 3_001
    assert [] == looked(system)
    system.now += 1
    assert [message] == looked(system)


def held(system: System) -> str:
    """A message whose sender an operator put on hold."""
    hold.put(system.sync, "sender:ACME", "wrong link", system.now)
    return put_off(system, sender="ACME")


def put_off(system: System, **fields: Any) -> str:
    """A message that a claim does not give out."""
    draft = system.draft(lane=1, **fields)
    system.accept([draft])
    assert not system.claim(1, [draft.message.id], "token").claimed
    return draft.message.id


def paused(system: System) -> str:
    hold.put(system.sync, "lane:1", "wrong link", system.now)
    return put_off(system)


def never_fetched(system: System) -> str:
    draft = system.draft(lane=1)
    system.accept([draft])
    return draft.message.id


def being_sent(system: System) -> str:
    message = never_fetched(system)
    assert system.claim(1, [message], "token").claimed
    return message


def back_from_doubt(system: System) -> str:
    """A message whose doubt ended in its lane again, long before it is late."""
    message = attempted(system, LOST)
    system.settings = system.settings.model_copy(update={"doubt_delays_seconds": (5.0,)})
    system.now += 5_000
    pending = system.start_look_up()
    assert {1: [message]} == pending.answer({message: LookUp(Known.NOT_FOUND)})
    system.now -= 5_000
    return message


WHERE: dict[str, tuple[Callable[[System], str], str, str]] = {
    "in its lane": (never_fetched, "queued", ""),
    "in a lane on hold": (paused, "queued", "hold"),
    "behind a hold of its sender": (held, "scheduled", "hold"),
    "waiting for a retry": (lambda system: attempted(system, REFUSED), "scheduled", "retry"),
    "being sent": (being_sent, "sending", ""),
    "in doubt": (lambda system: attempted(system, LOST), "in_doubt", "in_doubt"),
    "in its lane after a doubt": (back_from_doubt, "queued", "requeued"),
    "sent": (attempted, "sent", ""),
}


@pytest.mark.parametrize("where", WHERE)
def test_a_message_is_reported_late_wherever_it_is(system: System, where: str) -> None:
    """A producer that hears only of what was sent hears nothing of a code that cannot be sent; the event says where."""
    made, status, cause = WHERE[where]
    message = made(system)
    system.now += LATE_MS - 1
    assert [] == looked(system)
    system.now += 1
    assert [[message], []] == [looked(system), looked(system)]

    (event,) = late_events(system.sync)
    assert (message, status, cause) == (event["id"], event["status"], event.get("cause", ""))
    decoded = events.decode("1-0", {name.encode(): value.encode() for name, value in event.items()})
    assert isinstance(decoded, events.Late)
    assert (status, cause) == (decoded.status, decoded.cause)


def test_a_late_message_that_is_sent_afterwards_is_not_reported_again(system: System) -> None:
    """Its settle notes it once more, as for producers of earlier versions."""
    message = attempted(system, REFUSED)
    system.now += LATE_MS
    assert [message] == looked(system)
    system.release()
    system.attempt(message, TAKEN, lane=1)
    system.now += LATE_MS
    assert ([], 1) == (looked(system), len(late_events(system.sync)))


def test_a_scheduled_code_counts_from_its_time_and_a_moved_one_from_its_new_time(system: System) -> None:
    """Also if an earlier version moved it, which does not know the index."""
    soon, moved, moved_by_earlier = (system.draft(lane=1, delay=60) for _ in range(3))
    system.accept([soon, moved, moved_by_earlier])
    system.move(moved.message.id, system.now + 120_000)
    system.sync.hset(keys.record(moved_by_earlier.message.id), "due", system.now + 180_000)
    found = []
    for at in (60_000, 120_000, 180_000):
        system.now = soon.message.due_at - 60_000 + at + LATE_MS - 1
        assert [] == looked(system)
        system.now += 1
        found += looked(system)
    assert [one.message.id for one in (soon, moved, moved_by_earlier)] == found


def test_a_code_of_an_earlier_producer_is_reported_late_too(system: System) -> None:
    """It is not in the index when it is accepted; an attempt notes it, whatever came of it."""
    draft = system.draft(lane=1)
    system.accept([draft])
    system.sync.delete(keys.EXPECTED)
    system.attempt(draft.message.id, REFUSED, lane=1)
    system.now += LATE_MS
    assert [draft.message.id] == looked(system)


def test_an_entry_of_an_earlier_worker_is_reported_in_its_time(system: System) -> None:
    """It noted when to publish the event, in another index."""
    message = attempted(system)
    system.sync.delete(keys.EXPECTED)
    system.sync.zadd(keys.LATE, {message: system.now + LATE_MS})
    system.now += LATE_MS
    assert ([message], 0) == (looked(system), system.sync.exists(keys.LATE, keys.EXPECTED))


def test_a_redriven_code_counts_from_its_redrive(system: System) -> None:
    """It may be late a second time: its producer has heard since that it was dead."""
    message = attempted(system, AttemptOutcome(OutcomeKind.REFUSED, "113", "too many parts"))
    system.now += LATE_MS
    assert [] == looked(system)
    system.redrive("113")
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
    assert ([], [], 0) == (looked(system), late_events(system.sync), system.sync.zcard(keys.EXPECTED))


def test_many_late_messages_are_reported_in_batches(system: System) -> None:
    """Each once, by any worker."""
    messages = [attempted(system) for _ in range(BATCH + 5)]
    system.now += LATE_MS

    async def two_at_once() -> list[list[str]]:
        return list(await asyncio.gather(*(late(system.client, LATE_MS, system.now) for _ in range(2))))

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
        wait_until(lambda: not client.zcard(keys.EXPECTED))
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
    client.hset(keys.record(message), "accepted", 0)
    client.zadd(keys.EXPECTED, {message: 0}, xx=True)  # ten minutes pass
    wait_until(lambda: not client.zcard(keys.EXPECTED), what="the worker to look")
    assert [] == late_events(client)
