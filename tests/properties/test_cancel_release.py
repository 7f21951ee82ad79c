"""A message is cancelled or sent, never both, and every answer to a cancel is true.

10,000 messages, each with a random history of release, claim, settle, look-up, deferral, redrive and moves, and
cancels in between; then the same in threads, as many processes would do it.  THREELANE_INTERLEAVINGS makes it more.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
import redis
import redis.asyncio

from tests.properties.system import Glance, System, open_system, reached
from tests.servers import RedisServer
from threelane.contract.message import Draft
from threelane.contract.window import Windows, parse
from threelane.producer.cancel import Cancelled, CancelResult, cancel
from threelane.producer.reschedule import Moved
from threelane.store import keys
from threelane.store.states import Status
from threelane.worker.fetch.release import release
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.send.claim import Claimed, claim
from threelane.worker.send.settle import Settlement

INTERLEAVINGS = int(os.environ.get("THREELANE_INTERLEAVINGS", "4000"))
A_ROUND = 500  # messages that live at the same time
STEPS = 30
NEVER = "0" * 32
CLOSED = Windows({f"lane:{lane}": parse("sat 10:00-11:00 UTC") for lane in (2, 3)})  # START is a Friday morning

SURELY_NOT_SENT = (Status.SCHEDULED, Status.QUEUED, Status.DEAD)
OUTCOMES = (
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32),
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32),
    AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"),
    AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"),
    AttemptOutcome(OutcomeKind.REFUSED, "105", "invalid destination"),
    AttemptOutcome(OutcomeKind.NOT_REACHED),
    AttemptOutcome(OutcomeKind.NOT_TRIED),
    AttemptOutcome(OutcomeKind.LOST, text="taken"),
    AttemptOutcome(OutcomeKind.LOST, text="not taken"),
)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(
        redis_server, parts_per_second=100_000, look_ups_per_second=10_000, doubt_delays_seconds=(1,)
    ) as made:
        yield made


class Round:
    """Some hundred messages, the events about them, and those that the gateway has."""

    def __init__(self, system: System, rng: Random, size: int) -> None:
        system.empty()
        self.system, self.rng = system, rng
        self.lanes: dict[str, int] = {}
        self.in_hand: list[Claimed] = []
        self.taken: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.marked: set[str] = set()  # cancelled during an attempt, or in doubt
        self.stop_requested: set[str] = set()
        self.answers: Counter[str] = Counter()
        self.token = 0
        for start in range(0, size, 100):
            drafts = [self.draft() for _ in range(min(100, size - start))]
            system.accept(drafts)
            self.lanes |= {one.message.id: one.message.lane for one in drafts}
        self.ids = list(self.lanes)

    def draft(self) -> Draft:
        fields = {"lane": self.rng.choice(keys.LANES), "delay": self.rng.choice((0, 2, 5, 600))}
        if fields["delay"] == 600:
            fields["at_gateway"] = self.rng.random() < 0.5
        return self.system.draft(**fields)

    def step(self) -> None:
        verbs = (self.release, self.claim, self.claim, self.settle, self.settle, self.look_up, self.defer, self.move)
        self.rng.choice((*verbs, self.cancel, self.cancel, self.redrive))()
        self.system.now += self.rng.choice((0, 100, 1_000, 3_000))

    def some(self, most: int) -> list[str]:
        return self.rng.sample(self.ids, min(most, len(self.ids)))

    def release(self) -> None:
        while released := self.system.release():
            assert not self.cancelled & set().union(*released.values()), "released after it was cancelled"

    def claim(self) -> None:
        """A nudge may name anything of its lane: waiting, sent, cancelled."""
        lane = self.rng.choice(keys.LANES)
        self.claim_these(lane, [one for one in self.some(150) if self.lanes[one] == lane])

    def claim_these(self, lane: int, ids: list[str]) -> list[Claimed]:
        self.token += 1
        claimed = self.system.claim(lane, ids, f"token{self.token}").claimed
        given = {one.id for one in claimed}
        assert not given & (self.cancelled | self.marked), "claimed after it was cancelled"
        assert not [one for one in given if self.taken[one]], "claimed although the gateway has it"
        self.in_hand += claimed
        return list(claimed)

    def settle(self) -> None:
        """Some of what is under way ends; the rest stays under way while others cancel."""
        self.rng.shuffle(self.in_hand)
        half = len(self.in_hand) // 2 + 1
        ended, self.in_hand = self.in_hand[:half], self.in_hand[half:]
        self.settle_these([(one, self.rng.choice(OUTCOMES)) for one in ended])

    def settle_these(self, ended: list[tuple[Claimed, AttemptOutcome]]) -> None:
        for one, outcome in ended:
            assert one.id not in self.cancelled
            self.taken[one.id] += reached(outcome)
        done = self.system.settle([Settlement(one, outcome, self.system.judge(one, outcome)) for one, outcome in ended])
        assert all(done), "an attempt was not settled, so somebody took it away"

    def look_up(self) -> None:
        """The gateway is truthful: what it took it finds, and the rest is queued again."""
        while (pending := self.system.start_look_up()).queried:
            found, missing = LookUp(Known.FOUND, "g" * 32, "002"), LookUp(Known.NOT_FOUND)
            again = pending.answer({one: found if self.taken[one] else missing for one in pending.queried})
            queued = set().union(*again.values())
            assert not (self.cancelled | self.marked) & queued, "queued after it was cancelled"
        pending.end()

    def defer(self) -> None:
        lane = self.rng.choice((2, 3))
        ids = [one for one in self.some(60) if self.lanes[one] == lane]
        passed = self.system.defer(CLOSED, lane, ids)
        assert not [one for one in passed if self.system.sync.zscore(keys.QUEUED[lane], one)]

    def move(self) -> None:
        for one in self.some(8):
            answer = self.system.move(one, self.system.now + self.rng.choice((1, 1_000, 100_000)))
            assert not (isinstance(answer, Moved) and (one in self.cancelled or self.taken[one]))

    def redrive(self) -> None:
        self.system.redrive("105")

    def cancel(self) -> None:
        ids = [*self.some(self.rng.choice((3, 30, 60))), NEVER]
        before = self.system.glance(ids)
        answers = self.system.cancel(ids)
        assert ids == [one.id for one in answers]
        for answer in answers:
            assert self.truth(before, answer.id) == (answer.answer, answer.status), before.records.get(answer.id)
            assert (answer.answer in (CancelResult.TOO_LATE, CancelResult.NOT_RETRIED)) == bool(answer.why)
            self.answers[f"{answer.answer}:{answer.status}"] += 1
        self.cancelled |= {one.id for one in answers if one.answer is CancelResult.CANCELLED}
        self.marked |= {one.id for one in answers if one.answer is CancelResult.NOT_RETRIED}
        self.stop_requested |= {one.id for one in answers if one.answer is CancelResult.ASKED}
        self.stop_requested |= {one for one in self.marked if self.is_for_later(before, one)}

    def truth(self, before: Glance, one: str) -> tuple[CancelResult, str]:
        status = before.status(one)
        if status is None:
            return CancelResult.UNKNOWN, ""
        if status in SURELY_NOT_SENT:
            assert not self.taken[one], "what the gateway has was cancelled"
            return CancelResult.CANCELLED, status
        if status in (Status.SENDING, Status.IN_DOUBT):
            return CancelResult.NOT_RETRIED, status
        at_gateway = self.is_for_later(before, one)
        return CancelResult.ASKED if status is Status.SENT and at_gateway else CancelResult.TOO_LATE, status

    def is_for_later(self, before: Glance, one: str) -> bool:
        return int(before.records.get(one, {}).get("gateway_due", "0")) > self.system.now

    def finish(self) -> None:
        """Healthy workers bring everything that was not cancelled to its end."""
        self.settle_these([(one, OUTCOMES[0]) for one in self.in_hand])
        self.in_hand = []
        for _ in range(60):
            self.look_up()
            self.release()
            for lane in keys.LANES:
                queued = [one.decode() for one in self.system.sync.zrange(keys.QUEUED[lane], 0, -1)]
                for start in range(0, len(queued), 100):
                    ended = self.claim_these(lane, queued[start : start + 100])
                    self.settle_these([(one, OUTCOMES[0]) for one in ended])
            self.in_hand = []
            if not self.system.sync.exists(*keys.indexes_of(Status.SCHEDULED, Status.IN_DOUBT, Status.QUEUED)):
                return
            self.system.now += 3_600_000
        raise AssertionError(f"never came to an end: {self.system.glance([]).indexes}")

    def judge(self) -> None:
        seen = self.system.glance(self.ids)
        published = self.published()
        for one in self.ids:
            status, was_cancelled = seen.status(one), one in self.cancelled
            if one in self.marked and not self.taken[one]:
                assert status in (Status.CANCELLED, Status.UNKNOWN)
                was_cancelled = status is Status.CANCELLED
            assert was_cancelled == (status is Status.CANCELLED)
            assert self.taken[one] <= (0 if was_cancelled else 1)
            assert (1 if was_cancelled else 0) == published[one]
            if was_cancelled:
                self.is_at_rest(seen, one)
            else:
                ends = {Status.SENT} if self.taken[one] else {Status.DEAD, Status.UNKNOWN}  # unknown: lost twice
                assert status in ends, seen.records[one]
        stopping = {one.decode() for one in self.system.sync.zrange(keys.STOPPING, 0, -1)}
        assert self.stop_requested == stopping

    def is_at_rest(self, seen: Glance, one: str) -> None:
        assert seen.expiring[one]
        assert not {"body", "token"} & seen.records[one].keys()
        assert not [index for index, members in seen.indexes.items() if one in members]

    def published(self) -> Counter[str]:
        """Count the producers' events with the status cancelled."""
        entries = self.system.sync.xrange(keys.EVENTS)
        return Counter(event[b"id"].decode() for _, event in entries if event[b"status"] == b"cancelled")


@pytest.mark.slow
def test_a_message_is_cancelled_or_sent_and_never_both(system: System) -> None:
    """Whatever comes between: a release, a claim, an answer, a lost answer, a retry, a deferral, another time."""
    rng, answers = Random(4711), Counter[str]()
    for start in range(0, INTERLEAVINGS, A_ROUND):
        one = Round(system, rng, min(A_ROUND, INTERLEAVINGS - start))
        for _ in range(STEPS):
            one.step()
        one.finish()
        one.judge()
        answers += one.answers
    wanted = {f"cancelled:{one}" for one in SURELY_NOT_SENT}
    wanted |= {f"too_late:{one}" for one in (Status.SENT, Status.CANCELLED)}
    wanted |= {f"not_retried:{one}" for one in (Status.SENDING, Status.IN_DOUBT)}
    assert set() == (wanted | {"asked:sent", "unknown:"}) - answers.keys(), "the walk never reached it"


def test_the_answer_is_asked_only_while_the_gateway_keeps_it_and_can_stop_it(system: System) -> None:
    """Before it is sent a cancel needs no gateway; after its time it cannot be stopped; some APIs never can."""
    drafts = [system.draft(delay=60, at_gateway=True) for _ in range(3)]
    plain = system.draft()
    system.accept([*drafts, plain])
    first, second, third = (one.message.id for one in drafts)
    assert (CancelResult.CANCELLED, "queued") == _result_of(system.cancel([first]))
    accepted = OUTCOMES[0]
    for one in system.claim(3, [first, second, third, plain.message.id], "token").claimed:
        assert [True] == system.settle([Settlement(one, accepted, system.judge(one, accepted))])

    assert (CancelResult.TOO_LATE, "sent") == _result_of(system.cancel([plain.message.id]))
    assert (CancelResult.TOO_LATE, "sent") == _result_of(system.cancel([second], gateway_stops=False))
    system.now += 59_999
    assert (CancelResult.ASKED, "sent") == _result_of(system.cancel([second]))
    assert (CancelResult.ASKED, "sent") == _result_of(system.cancel([second])), "a second time gives the same answer"
    system.now += 1
    assert (CancelResult.TOO_LATE, "sent") == _result_of(system.cancel([third]))
    assert [second.encode()] == system.sync.zrange(keys.STOPPING, 0, -1)


def test_a_moved_message_waits_in_redis_and_no_longer_at_the_gateway(system: System) -> None:
    """It was refused for a moment, moved to an earlier time and sent then: a cancel must not promise to stop it."""
    draft = system.draft(delay=600, at_gateway=True)
    system.accept([draft])
    one = draft.message.id
    (claimed,) = system.claim(3, [one], "token").claimed
    busy = AttemptOutcome(OutcomeKind.REFUSED, "201", "batch lost")
    system.settle([Settlement(claimed, busy, system.judge(claimed, busy))])
    assert isinstance(system.move(one, system.now + 10_000), Moved)
    system.now += 10_000
    assert {3: [one]} == system.release()
    (claimed,) = system.claim(3, [one], "again").claimed
    system.settle([Settlement(claimed, OUTCOMES[0], system.judge(claimed, OUTCOMES[0]))])

    assert (CancelResult.TOO_LATE, "sent") == _result_of(system.cancel([one]))


def test_threads_that_cancel_and_workers_that_claim_never_get_the_same_message(
    system: System, redis_server: RedisServer
) -> None:
    """Two threads cancel one by one, two workers release and claim: each message ends once, by one of them."""
    drafts = [system.draft(delay=1) for _ in range(1_000)]
    for start in range(0, len(drafts), 100):
        system.accept(drafts[start : start + 100])
    ids = [one.message.id for one in drafts]
    system.now += 1_000
    claimed: list[str] = []
    answers: list[Cancelled] = []
    everybody = threading.Barrier(4)

    def cancels(seed: int) -> None:
        client, rng = redis.Redis(port=redis_server.port), Random(seed)
        for lot in _lots(ids):
            everybody.wait(60)
            for one in rng.sample(lot, len(lot)):
                answers.extend(cancel(client, [one], system.settings.retention_ms, system.now))
        client.close()

    async def works(name: str) -> None:
        client = redis.asyncio.Redis(port=redis_server.port)
        for lot in _lots(ids):
            await asyncio.to_thread(everybody.wait, 60)
            await release(client, 3, system.now)
            for start in range(0, len(lot), 5):
                found = await claim(client, 3, lot[start : start + 5], system.settings, system.now)
                claimed.extend(one.id for one in found.claimed)
        await client.aclose()

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(cancels, seed) for seed in (1, 2)]
        tasks += [pool.submit(asyncio.run, works(name)) for name in ("a", "b")]
        for task in tasks:
            task.result()

    cancelled = [one.id for one in answers if one.answer is CancelResult.CANCELLED]
    late = [(one.answer, one.status) for one in answers if one.answer is not CancelResult.CANCELLED]
    seen = system.glance(ids)
    assert dict.fromkeys(ids, 1) == Counter(cancelled + claimed) | Counter(_left(seen))
    assert {(CancelResult.NOT_RETRIED, "sending"), (CancelResult.TOO_LATE, "cancelled")} >= set(late)
    assert all(seen.status(one) is Status.CANCELLED for one in cancelled)
    assert all(seen.status(one) is Status.SENDING for one in claimed)
    assert claimed
    assert cancelled


def _lots(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), 25):
        yield ids[start : start + 25]


def _left(seen: Glance) -> list[str]:
    return [one for one, record in seen.records.items() if record["status"] in (Status.SCHEDULED, Status.QUEUED)]


def _result_of(answers: list[Cancelled]) -> tuple[CancelResult, str]:
    (answer,) = answers
    return answer.answer, answer.status
