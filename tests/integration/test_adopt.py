"""Messages of earlier versions, in indexes of all lanes, are sent, found, moved and cancelled as any others."""

from __future__ import annotations

from typing import Any

from tests.properties.system import System
from threelane import Status
from threelane.producer.reschedule import Moved
from threelane.store import find, keys
from threelane.store.find import Filter
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.upkeep.adopt import ADOPTED, BATCH, adopt

TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
LOST = AttemptOutcome(OutcomeKind.LOST)


def as_earlier(system: System, message_id: str, at: float | None = None) -> float:
    """Put an id where version 0.1 has it, with its score or another one; returns the score."""
    record = system.glance([message_id]).records[message_id]
    status = Status(record["status"])
    index = keys.index_of(status, int(record["lane"])) or ""
    score: Any = system.sync.zscore(index, message_id)
    system.sync.zrem(index, message_id)
    system.sync.zadd(keys.FORMER[status], {message_id: score if at is None else at})
    return float(score if at is None else at)


def in_each_state(system: System) -> dict[Status, str]:
    """Return a message of lane 2 in each state whose index had all lanes."""
    ids = {status: system.take(lane=2, delay=60 * (status is Status.SCHEDULED)) for status in keys.FORMER}
    system.claim(2, [ids[Status.SENDING]], "token")
    system.attempt(ids[Status.IN_DOUBT], LOST, lane=2)
    system.attempt(ids[Status.SENT], TAKEN, lane=2)
    return ids


def test_ids_move_to_the_index_of_their_lane_with_their_time(system: System) -> None:
    """Nothing of them is lost or moved in time, and then nothing is left to do."""
    ids = in_each_state(system)
    scores = {status: as_earlier(system, one) for status, one in ids.items()}
    assert 3 == system.run(adopt(system.client, system.now))

    seen = system.glance([])
    assert {status: {ids[status]: scores[status]} for status in ADOPTED} == {
        status: seen.indexes[index] for status in ADOPTED if (index := keys.index_of(status, 2))
    }
    assert not system.sync.exists(*(keys.FORMER[status] for status in ADOPTED))
    assert 0 == system.run(adopt(system.client, system.now))


def test_more_than_a_batch_moves_in_several_steps(system: System) -> None:
    """A Redis with a large schedule is upgraded as any other."""
    drafts = [system.draft(lane=1 + n % 3, delay=60 + n) for n in range(BATCH + 100)]
    for start in range(0, len(drafts), 99):
        system.accept(drafts[start : start + 99])
    for draft in drafts:
        as_earlier(system, draft.message.id)
    assert [BATCH, 100, 0] == [system.run(adopt(system.client, system.now)) for _ in range(3)]

    scheduled = [one.id for one in find.scheduled(system.sync, Filter())]
    assert [draft.message.id for draft in drafts] == scheduled  # the earliest first, of all lanes


def test_a_message_in_an_earlier_index_is_found_counted_and_listed_in_order(system: System) -> None:
    """Between the write of an earlier producer and the next round of a worker."""
    soon, late = system.take(lane=2, delay=60), system.take(lane=1, delay=120)
    as_earlier(system, soon)
    ids = in_each_state(system)
    for one in ids.values():
        as_earlier(system, one)

    assert [{soon, late, ids[Status.SCHEDULED]}, *({ids[status]} for status in (Status.SENDING, Status.IN_DOUBT))] == [
        {one.id for one in find.search(system.sync, Filter(status=status))}
        for status in (Status.SCHEDULED, Status.SENDING, Status.IN_DOUBT)
    ]
    assert [soon, late] == [one.id for one in find.scheduled(system.sync, Filter()) if one.id in (soon, late)]
    assert {soon, ids[Status.SCHEDULED]} == {one.id for one in find.scheduled(system.sync, Filter(lane=2))}
    assert {soon} <= {one for lot in find.cancellable(system.sync, Filter()) for one in lot}


def test_a_message_in_an_earlier_index_is_cancelled_for_good(system: System) -> None:
    """Its id is still in the set of the earlier version, and is not brought back from there."""
    one = system.take(delay=60)
    as_earlier(system, one)
    assert ["cancelled"] == [answer.answer for answer in system.cancel([one])]
    system.now += 60_000
    system.run(adopt(system.client, system.now))

    assert {} == system.release()
    assert Status.CANCELLED is system.glance([one]).status(one)
    assert not system.sync.exists(keys.FORMER[Status.SCHEDULED], keys.DUE[3])


def test_an_id_that_has_left_its_state_is_dropped(system: System) -> None:
    """A look-up found the message meanwhile: its next poll keeps its time."""
    one = system.take()
    system.attempt(one, LOST)
    as_earlier(system, one)
    system.receive([StatusReport(one, "g" * 32, "002", Status.SENT)])
    poll_at = system.glance([]).indexes[keys.AWAITING[3]]
    system.run(adopt(system.client, system.now))

    assert {one: system.now + system.settings.keeping.first_poll} == poll_at == system.glance([]).of(Status.SENT)
    assert not system.sync.exists(keys.FORMER[Status.IN_DOUBT], keys.DOUBT[3])


def test_a_message_in_an_earlier_index_is_moved_to_its_new_time(system: System) -> None:
    """The time in the set of the earlier version is then no longer valid."""
    one = system.take(delay=3600)
    as_earlier(system, one)
    assert isinstance(system.move(one, system.now + 60_000), Moved)
    system.run(adopt(system.client, system.now))
    system.now += 60_000

    assert {3: [one]} == system.release()


def test_a_new_time_from_an_earlier_producer_is_kept(system: System) -> None:
    """It writes the set of all lanes, and does not know that the id is in the set of its lane, too."""
    one = system.take(delay=60)
    system.sync.zadd(keys.FORMER[Status.SCHEDULED], {one: system.now + 3_600_000})
    system.now += 60_000
    assert {} == system.release()
    system.run(adopt(system.client, system.now))
    assert {} == system.release()
    system.now += 3_600_000

    assert {3: [one]} == system.release()


def test_an_attempt_of_an_earlier_worker_lapses_with_its_lease(system: System) -> None:
    """Its worker died during the upgrade; while it lives, its lease stays where it looks for it."""
    one = system.take(lane=1)
    system.claim(1, [one], "token")
    as_earlier(system, one)
    system.run(adopt(system.client, system.now))
    assert system.sync.zscore(keys.FORMER[Status.SENDING], one)
    system.now += system.settings.lease_ms

    assert [one] == system.lapse()
    assert {one} == system.glance([]).indexes[keys.DOUBT[1]].keys()
    assert not system.sync.exists(keys.FORMER[Status.SENDING], keys.LEASES[1])
