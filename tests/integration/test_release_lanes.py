"""Each lane is released, looked up and redriven on its own: what waits in one delays no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pytest
import redis
import redis.asyncio

from tests.properties.system import START, System
from threelane import Status
from threelane.store import keys
from threelane.store.find import Filter
from threelane.worker.dead.redrive import redrive_paced
from threelane.worker.fetch import release
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.upkeep.duties import DUTIES

NEWSLETTERS, CODES = 20_000, 20
DUE = START + 60_000


@dataclass
class Moment:
    """What a release needs of a worker: Redis, its settings, a time, and where its nudges go."""

    client: redis.asyncio.Redis
    settings: WorkerSettings
    at: int
    draining: bool = False
    nudged: list[str] = field(default_factory=list)

    @property
    def clock(self) -> Moment:
        return self

    def now(self) -> int:
        return self.at

    async def nudge(self, lanes: Mapping[int, Sequence[str]]) -> None:
        self.nudged += [one for ids in lanes.values() for one in ids]


def accepted(system: System, number: int, **fields: Any) -> list[str]:
    drafts = [system.draft(**fields) for _ in range(number)]
    for start in range(0, number, 99):
        system.accept(drafts[start : start + 99])
    return [draft.message.id for draft in drafts]


def at(ms: int) -> float:
    """Return a delay in seconds from the start of a system's time."""
    return (ms - START) / 1000


@pytest.mark.slow
def test_a_code_is_released_with_the_first_batch_after_its_time_however_long_the_newsletter(system: System) -> None:
    """20,000 newsletters that were due half a second earlier had to be released before it."""
    accepted(system, NEWSLETTERS, lane=3, delay=at(DUE))
    codes = accepted(system, CODES, lane=1, delay=at(DUE + 500))
    moment: Any = Moment(system.client, system.settings, DUE)
    for _ in range(5):  # as many as there are before the codes are due
        assert system.run(release.DUTY.round(moment))
        assert not system.run(release.DUTY_1.round(moment))
    before, moment.at = len(moment.nudged), DUE + 500

    system.run(release.DUTY.round(moment))  # the other loop is first
    system.run(release.DUTY_1.round(moment))

    assert 5 * release.BATCH == before
    assert set(codes) == set(moment.nudged[-CODES:])
    assert before + release.BATCH + CODES == len(moment.nudged)


def test_a_newsletter_in_lane_3_and_a_campaign_in_lane_2_are_released_side_by_side(system: System) -> None:
    """Neither of them waits for all of the other, whichever was due first."""
    late = accepted(system, 300, lane=2, delay=at(DUE + 1))
    early = accepted(system, 300, lane=3, delay=at(DUE))
    moment: Any = Moment(system.client, system.settings, DUE + 1)
    assert system.run(release.DUTY.round(moment))

    assert (99, 99) == tuple(len(set(ids) & set(moment.nudged)) for ids in (late, early))


def test_lane_1_is_released_on_the_event_loop_that_no_newsletter_keeps_busy() -> None:
    """On the other one each step waits for a step of every message of a newsletter."""
    on_lane_1 = {one.name for one in DUTIES if one.on_lane_1}

    assert {"adopt", "release_lane_1"} <= on_lane_1
    assert "release" not in on_lane_1


def test_a_code_is_looked_up_before_newsletters_that_were_in_doubt_first(system: System) -> None:
    """The look-ups of a second are fewer than the messages in doubt after an outage."""
    for lane, number in ((3, 200), (1, 1)):
        ids = accepted(system, number, lane=lane)
        for start in range(0, number, 99):
            for one in ids[start : start + 99]:
                system.attempt(one, AttemptOutcome(OutcomeKind.LOST), lane)
        system.now += 1
    system.now += 3_600_000
    pending = system.start_look_up()

    assert ids[0] == next(iter(pending.queried))
    pending.answer(dict.fromkeys(pending.queried, LookUp(Known.NOT_FOUND)))


def test_dead_letters_of_lane_1_are_redriven_first(system: System) -> None:
    """A code is worth nothing after the newsletters that died before it."""
    ids = {lane: accepted(system, 150, lane=lane) for lane in (3, 2, 1)}
    for lane, of_lane in ids.items():
        for one in of_lane:
            system.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, "113"), lane)
        system.now += 1
    nudger = mock.Mock()
    for _ in redrive_paced(system.sync, nudger, Filter(), lambda: system.now):
        pass

    lanes = [lane for call in nudger.publish.call_args_list for lane in [call.args[0]] * len(call.args[1])]
    assert [1] * 150 + [2] * 150 + [3] * 150 == lanes
    assert dict.fromkeys(keys.LANES, 150) == {lane: system.sync.zcard(keys.QUEUED[lane]) for lane in keys.LANES}
    assert set(ids[1]) == {one.decode() for one in system.sync.zrange(keys.QUEUED[1], 0, -1)}
    assert Status.QUEUED is system.glance(ids[3]).status(ids[3][0])
