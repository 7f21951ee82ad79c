"""A look: what waits without its nudge is claimed from the index, under the rules of its lane; a backlog is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.properties.system import System, open_system
from tests.servers import RedisServer
from threelane.contract.message import Message
from threelane.store import keys
from threelane.worker.fetch.lanes import AWAY_SECONDS, Lanes
from threelane.worker.fetch.look import BATCH, LOOK_SECONDS, Look
from threelane.worker.gateway.breaker import Breaker
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.readiness import LOGIN, READINESS
from threelane.worker.send.attempt import Attempts
from threelane.worker.send.gate import Gate
from threelane.worker.send.settle import Settlement
from threelane.worker.send.settler import Settler
from threelane.worker.send.unrecorded import Unrecorded

CODES = 200
Workers = Callable[..., "Worker"]


class Gateway:
    """Takes everything, when it may."""

    name, batch_size, can_look_up, table = "http", 1, True, LEGACY

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.may = asyncio.Event()
        self.may.set()

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        await self.may.wait()
        self.taken += [one.id for one in messages]
        return [AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=f"{one.id}{now}") for one in messages]


class Worker:
    """The looks and the attempts of one worker, with the clock of the test and without a broker."""

    def __init__(self, system: System, seed: int, threads: int) -> None:
        self.system = system
        self.lanes = Lanes(lambda: system.now / 1000)
        self.lanes.threads = threads
        self.gateway: Any = Gateway()
        clock: Any = SimpleNamespace(now=lambda: system.now)
        gate = Gate(64, kept=8)
        breaker = Breaker(system.settings, gate.dismiss)
        self.unrecorded = Unrecorded()
        self.attempts = attempts = Attempts(
            system.client,
            self.gateway,
            system.settings,
            clock,
            self.lanes,
            Random(seed),
            gate,
            breaker,
            unrecorded=self.unrecorded,
        )
        self.context: Any = SimpleNamespace(
            client=system.client, clock=clock, lane_1=attempts, rest=attempts, settings=system.settings
        )
        self.looks = [Look(f"look {own}", own, self.lanes, Random(seed)) for own in ([1], [2, 3])]

    def empty(self, *lanes: int) -> None:
        """The broker responds that these lanes have no nudges."""
        for lane in lanes or keys.LANES:
            self.lanes.found(lane, nudge=False)

    def look(self, *, wait: bool = True) -> list[str]:
        """Look at all lanes; returns what the gateway took meanwhile."""
        return self.system.run(self.look_now(wait=wait))

    async def look_now(self, *, wait: bool = True) -> list[str]:
        before = len(self.gateway.taken)
        for look in self.looks:
            await look.round(self.context)
        if wait:
            await self.end()
        else:
            await asyncio.sleep(0.2)  # for the claims; what is not claimed by then fails the test
        return self.gateway.taken[before:]

    async def end(self) -> None:
        for look in self.looks:
            await look.end(self.system.client, self.system.now)


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server, parts_per_second=1_000) as made:
        made.empty()
        yield made


@pytest.fixture
def workers(system: System) -> Workers:
    def make(seed: int = 0, threads: int = 8) -> Worker:
        return Worker(system, seed, threads)

    return make


def accepted(system: System, number: int, lane: int = 1, **fields: Any) -> list[str]:
    """Accept messages, whose nudges are lost; returns their ids."""
    drafts = [system.draft(lane=lane, **fields) for _ in range(number)]
    for start in range(0, number, BATCH):
        system.accept(drafts[start : start + BATCH])
    return [one.message.id for one in drafts]


def pass_time(system: System, seconds: float = LOOK_SECONDS) -> None:
    system.now += int(seconds * 1000)


def counted(system: System, name: str) -> int:
    return int(system.sync.hget(keys.TALLY, name) or 0)


def test_codes_without_nudges_are_claimed_by_the_second_look(system: System, workers: Workers) -> None:
    """However many, and whenever they came between two looks; they are counted, so that the fault shows."""
    worker = workers()
    worker.empty()
    assert [] == worker.look()
    codes: list[str] = []
    for _ in range(CODES):
        codes += accepted(system, 1)
        pass_time(system, 0.0034)
    worker.empty()
    first = worker.look()
    pass_time(system)
    worker.empty()
    second = worker.look()

    assert ([], sorted(codes)) == (first, sorted(second))
    assert CODES == counted(system, "found:1")


def test_what_is_no_id_does_not_stop_a_look(system: System, workers: Workers) -> None:
    """It is removed, and the codes beside it are claimed."""
    worker = workers()
    worker.empty()
    worker.look()
    codes = accepted(system, 2)
    system.sync.zadd(keys.QUEUED[1], {b"\xff": 1})
    pass_time(system, 2 * LOOK_SECONDS)
    worker.empty()

    assert sorted(codes) == sorted(worker.look())
    assert None is system.sync.zscore(keys.QUEUED[1], b"\xff")


def test_half_of_the_nudges_lost_are_found_while_the_other_half_flows(system: System, workers: Workers) -> None:
    """The broker delivers nudges of the lane all the time: what the lane has overtaken has lost its own."""
    worker = workers()
    worker.empty()
    worker.look()
    lost: list[str] = []
    for number in range(CODES):
        (code,) = accepted(system, 1)
        pass_time(system, 0.004)
        if number % 2:
            lost.append(code)
            continue
        worker.lanes.found(1, nudge=True)
        system.run(worker.context.lane_1.attempt(1, [code]))
    (last,) = accepted(system, 1)
    worker.lanes.found(1, nudge=True)
    system.run(worker.context.lane_1.attempt(1, [last]))
    worker.look()
    pass_time(system)
    worker.lanes.found(1, nudge=True)
    worker.look()

    assert CODES + 1 == len(set(worker.gateway.taken)) == len(worker.gateway.taken)
    assert len(lost) == counted(system, "found:1")


def test_a_backlog_whose_nudges_flow_is_left_to_them(system: System, workers: Workers) -> None:
    """However old it is; and so is one that is due since the broker was last seen to be empty."""
    worker = workers()
    first = accepted(system, 1, 3)
    pass_time(system, 30)
    accepted(system, 300, 3)
    worker.lanes.found(3, nudge=True)
    system.run(worker.context.rest.attempt(3, first))
    for _ in range(5):
        pass_time(system)
        worker.lanes.found(3, nudge=True)
        worker.empty(1, 2)
        worker.look()

    assert first == worker.gateway.taken
    assert 0 == counted(system, "found:3")


def test_without_a_broker_looks_carry_all_lanes_at_the_rate_of_the_account(system: System, workers: Workers) -> None:
    """Several batches at once, and again at once while more wait: the newsletter takes as long as with nudges."""
    worker = workers()
    news, codes = accepted(system, 3_000, 3), accepted(system, 20, 1)
    pass_time(system, AWAY_SECONDS + 0.1)
    taken = set(worker.look())
    looks = 1
    while len(worker.gateway.taken) < 3_020 and looks < 100:
        pass_time(system, worker.looks[1].seconds(worker.context))
        worker.look()
        looks += 1

    assert set(codes) <= taken
    assert {*news, *codes} == set(worker.gateway.taken)
    rate = system.settings.parts_per_second
    longest = (3_020 - 0.8 * rate) / rate  # from a full bucket, less the reserve of higher lanes
    assert looks <= 2 + longest / 0.1, "at least the rate, in tenths of a second"


@pytest.mark.parametrize("how", ["seen by the process", "in Redis alone"])
def test_a_held_lane_is_not_claimed_by_a_look(system: System, workers: Workers, how: str) -> None:
    """The hold counts for each way to a message; the other lanes go on."""
    worker = workers()
    held, free = accepted(system, 5, 1), accepted(system, 5, 2)
    if how == "in Redis alone":
        system.hold("lane:1", 0)
    else:
        worker.lanes.hold([1])
    for _ in range(3):
        pass_time(system)
        worker.empty()
        worker.look()
    assert sorted(free) == sorted(worker.gateway.taken)
    assert set(held) == {one.decode() for one in system.sync.zrange(keys.QUEUED[1], 0, -1)}


def test_a_used_up_rate_is_not_exceeded_by_looks(system: System, workers: Workers) -> None:
    """Of two workers that look all the time: no more than the account may send, and the reserve is lane 1's."""
    with_little = system.settings.model_copy(update={"parts_per_second": 20.0})
    system.settings = with_little
    several = [workers(seed) for seed in range(2)]
    accepted(system, 500, 3)
    for _ in range(20):
        pass_time(system, 0.1)
        for worker in several:
            worker.empty()
            worker.look()
    sent = sum(len(worker.gateway.taken) for worker in several)
    codes = accepted(system, 3, 1)
    pass_time(system, 2 * LOOK_SECONDS)
    several[0].empty()
    taken = several[0].look()

    assert 20 <= sent <= 20 + 2 * 20  # the bucket, and two seconds of the rate
    assert set(codes) <= set(taken)


def test_looks_at_lanes_2_and_3_leave_a_thread_and_the_first_place_to_lane_1(system: System, workers: Workers) -> None:
    """A gateway that hangs on newsletters: of four threads they get three, and a code goes at once."""
    worker = workers(threads=4)
    for lane in (2, 3):
        accepted(system, 1_000, lane)
    pass_time(system)
    worker.empty()
    worker.gateway.may.clear()
    worker.look(wait=False)
    codes = accepted(system, 1)
    pass_time(system)
    worker.empty()
    assert 0 == worker.lanes.free_threads(3)
    assert 1 == worker.lanes.free_threads(1)
    worker.look(wait=False)
    attempted = {one.decode() for one in system.sync.zrange(keys.LEASES[1], 0, -1)}
    worker.gateway.may.set()
    system.run(worker.end())

    assert set(codes) <= attempted
    assert 3 * BATCH + len(codes) == len(worker.gateway.taken)


def test_workers_that_look_at_once_share_the_work_and_send_nothing_twice(system: System, workers: Workers) -> None:
    """A claim is exclusive, and each starts at another place."""
    several = [workers(seed, threads=3) for seed in range(4)]
    messages = accepted(system, 900, 3)
    pass_time(system)

    async def together() -> None:
        await asyncio.gather(*(one.look_now() for one in several))

    for one in several:
        one.empty()
    system.run(together())
    taken = [one for worker in several for one in worker.gateway.taken]

    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(messages)
    assert len(taken) >= 4 * BATCH, "two batches of each, of which some are the same"


def test_a_nudge_that_comes_after_the_look_finds_nothing_to_do(system: System, workers: Workers) -> None:
    """A slow broker is not a lost message: the late nudge is served, and nothing is sent twice."""
    worker = workers()
    codes = accepted(system, 3)
    pass_time(system)
    worker.empty()
    worker.look()
    assert system.run(worker.context.lane_1.attempt(1, codes))

    assert sorted(codes) == sorted(worker.gateway.taken)


def test_a_reserved_worker_has_lane_1_while_it_keeps_up(system: System, workers: Workers) -> None:
    """A process busy with newsletters leaves lane 1 to it in looks, too."""
    worker = workers()
    accepted(system, 3)
    pass_time(system)
    worker.empty()
    worker.lanes.spared = True
    with worker.lanes.serving(3):
        assert [] == worker.look()
    worker.lanes.spared = False
    assert 3 == len(worker.look())


def test_nothing_is_claimed_before_the_login_was_accepted(workers: Workers) -> None:
    """No hold says so yet: the process itself waits for its login."""
    READINESS.wait(LOGIN, "the gateway has not accepted its credentials yet")
    worker = workers(1, 8)
    try:
        message_id = worker.system.take()
        worker.empty()
        worker.system.now += 2_000
        assert [] == worker.look()
        assert worker.system.run(worker.context.rest.attempt(3, [message_id])) is False
        assert "queued" == worker.system.glance([message_id]).records[message_id]["status"]
    finally:
        READINESS.clear(LOGIN)
    assert [message_id] == worker.look()


@pytest.mark.parametrize(("fails", "drains"), [(True, True), (True, False), (False, True)])
def test_a_result_that_is_lost_while_the_process_ends_is_known(
    system: System, workers: Workers, monkeypatch: pytest.MonkeyPatch, fails: bool, drains: bool
) -> None:
    """Its exit code shows that work was cut off; before, the lease lapses, and other workers look the message up."""
    settle = Settler.settle

    async def harmed(settler: Settler, settlements: Sequence[Settlement]) -> Sequence[str]:
        assert worker.unrecorded.has_any()
        worker.attempts.draining = drains
        if fails:
            raise redis.TimeoutError
        return await settle(settler, settlements)

    monkeypatch.setattr(Settler, "settle", harmed)
    worker = workers()
    worker.empty()
    accepted(system, 1)
    pass_time(system, 2)
    worker.empty()

    assert 1 == len(worker.look())
    assert (fails and drains) is worker.unrecorded.has_any()
