"""Two gateways: in any order of steps, no message is taken by both, none is lost, none waits in two accounts.

A random walk over two accounts, each the stand-by of the other, on a real Redis.  Either gateway is truthful when it is
asked, and a worker sends only while its lease leaves it the time.  Everything else may happen: answers come late or not
at all, workers die between any two steps, reports come for anything to either account, dead letters are redriven, and
messages are moved at any time, whether their account can send or not.

THREELANE_EXAMPLES and THREELANE_STEPS make the walks more and longer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.properties.system import System, open_system, reached
from tests.servers import RedisServer
from threelane.contract.accounts.account import shown
from threelane.contract.message import OF_ACCOUNT
from threelane.contract.prices import Prices
from threelane.store import keys
from threelane.store.diverted import Why, parse
from threelane.store.states import FINAL, Status
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.process.internal_error import FaultStep
from threelane.worker.send.blame import Fault, blame
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement
from threelane.worker.standby.take_over import Terms, take_over

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "15"))
STEPS = int(os.environ.get("THREELANE_STEPS", "30"))
ACCOUNTS = ("", "acme")
MOST = 10  # messages of a walk
UNSENT = {Status.SCHEDULED, Status.QUEUED, Status.PAUSED, Status.SENDING, Status.IN_DOUBT}
DOUBTFUL = (
    AttemptOutcome(OutcomeKind.REFUSED, "901", "taken"),
    AttemptOutcome(OutcomeKind.LOST, text="taken"),
    AttemptOutcome(OutcomeKind.REFUSED, "777", "taken"),
)
OUTCOMES = (
    *DOUBTFUL,
    AttemptOutcome(OutcomeKind.REFUSED, "901", "not taken"),
    AttemptOutcome(OutcomeKind.REFUSED, "107", "empty"),
    AttemptOutcome(OutcomeKind.REFUSED, "301", "no credit"),
    AttemptOutcome(OutcomeKind.REFUSED, "130", "limit reached"),
    AttemptOutcome(OutcomeKind.REFUSED, "429", "too fast"),
    AttemptOutcome(OutcomeKind.NOT_REACHED),
    AttemptOutcome(OutcomeKind.LOST, text="not taken"),
    AttemptOutcome(OutcomeKind.UNREADABLE, text="taken"),
    AttemptOutcome(OutcomeKind.NOT_TRIED),
    AttemptOutcome(OutcomeKind.ACCEPTED),
)
REPORTS = (("003", Status.SENT), ("004", Status.DELIVERED), ("005", Status.UNDELIVERED), ("012", Status.UNDELIVERED))
TERMS = Terms(Prices({"*": 700_000}))

LANES = (3, 1)
account, lanes = st.sampled_from(ACCOUNTS), st.sampled_from((3, 3, 1))
pick, codes = st.integers(0, 20), st.sampled_from((None, "301", "777", "901"))


@dataclass
class Attempt:
    """A claim in a worker's hands; the outcome is known once the request was made."""

    system: System
    claimed: Claimed
    send_by: int
    outcome: AttemptOutcome | None = None


class TwoGateways(RuleBasedStateMachine):
    """The model: which gateway took what, and who holds which attempt."""

    def __init__(self, systems: dict[str, System]) -> None:
        super().__init__()
        self.systems = systems
        systems[""].empty()
        for place, system in enumerate(systems.values()):
            system.now, system._drafts = systems[""].now, 1_000 * place
        self.ids: list[str] = []
        self.in_hand: list[Attempt] = []
        self.taken: dict[str, Counter[str]] = {one: Counter() for one in ACCOUNTS}
        self.moved: Counter[str] = Counter()
        self.tokens = 0

    @initialize(
        can_look_up=st.booleans(),
        of=account,
        outcomes=st.tuples(st.sampled_from(DOUBTFUL), st.sampled_from((None, *OUTCOMES))),
        code=codes,
        looks_up=st.booleans(),
    )
    def begin(
        self,
        can_look_up: bool,
        of: str,
        outcomes: tuple[AttemptOutcome, AttemptOutcome | None],
        code: str | None,
        looks_up: bool,
    ) -> None:
        """Each walk begins with a message that may be in doubt, and that the other account would like to have."""
        for system in self.systems.values():
            system.can_look_up = can_look_up
        self.fail_over(of, [one for one in outcomes if one], code, looks_up)

    @rule(of=account, lane=lanes, has_stand_by=st.sampled_from((True, True, True, False)))
    def accept_one(self, of: str, lane: int, has_stand_by: bool) -> None:
        if len(self.ids) >= MOST:
            return
        message_id = self.systems[of].take(lane=lane, sender="ACME")
        if has_stand_by:
            (other,) = {*ACCOUNTS} - {of}
            row = {"stand_by": shown(other), "schema": OF_ACCOUNT}
            self.systems[of].sync.hset(keys.record(message_id), mapping=row)
        self.ids.append(message_id)

    @rule(of=account, lane=lanes)
    def claim(self, of: str, lane: int) -> None:
        """Any ids, also of the other account."""
        system = self.systems[of]
        self.tokens += 1
        for one in system.claim(lane, self.ids, f"token{self.tokens}").claimed:
            assert one.id in self.of_account(system), "a worker of another account claimed it"
            timeout = int(system.settings.gateway_timeout_seconds * 1000)
            self.in_hand.append(Attempt(system, one, system.now + system.settings.lease_ms - timeout))

    @rule(number=pick, outcome=st.sampled_from(OUTCOMES))
    def request(self, number: int, outcome: AttemptOutcome) -> None:
        waiting = [one for one in self.in_hand if one.outcome is None]
        if waiting:
            self.request_one(waiting[number % len(waiting)], outcome)

    def request_one(self, one: Attempt, outcome: AttemptOutcome) -> None:
        if one.system.now > one.send_by:
            outcome = AttemptOutcome(OutcomeKind.NOT_TRIED)
        if reached(outcome):
            of = one.system.space.account
            self.taken[of][one.claimed.id] += 1
            outcome = outcome._replace(gateway_id=f"{len(of)}{self.taken[of][one.claimed.id]}{one.claimed.id[2:]}")
        one.outcome = outcome

    @rule(number=pick, keep=st.booleans())
    def settle(self, number: int, keep: bool) -> None:
        """In time, late, or twice; or the worker's own code fails at it."""
        ended = [one for one in self.in_hand if one.outcome is not None]
        if ended:
            one = ended[number % len(ended)]
            self.settle_one(one)
            if not keep:
                self.in_hand.remove(one)

    def settle_one(self, one: Attempt) -> None:
        assert one.outcome is not None
        outcome = one.outcome if one.outcome.kind is OutcomeKind.ACCEPTED else one.outcome._replace(gateway_id="")
        one.system.settle([Settlement(one.claimed, outcome, one.system.judge(one.claimed, outcome))])

    @rule(number=pick)
    def fail(self, number: int) -> None:
        if self.in_hand:
            one = self.in_hand.pop(number % len(self.in_hand))
            has_left = one.outcome is not None and one.outcome.kind not in (
                OutcomeKind.NOT_TRIED,
                OutcomeKind.NOT_REACHED,
            )
            fault = Fault(one.claimed.id, one.claimed.token, FaultStep.SETTLE, "KeyError", has_left)
            system = one.system
            system.run(blame(system.client, one.claimed.message.lane, [fault], system.settings, system.now))

    @rule(number=pick)
    def die(self, number: int) -> None:
        """A worker is killed between any two steps."""
        if self.in_hand:
            self.in_hand.pop(number % len(self.in_hand))

    @rule(of=account, outcome=st.sampled_from(OUTCOMES))
    def attempt(self, of: str, outcome: AttemptOutcome) -> None:
        """The whole way at once: a walk in single steps would seldom get to the second attempt."""
        before = len(self.in_hand)
        self.hold(of, False)
        for lane in LANES:
            self.claim(of, lane)
        for one in self.in_hand[before:]:
            self.request_one(one, outcome)
            self.settle_one(one)
        del self.in_hand[before:]

    @rule(
        of=account,
        outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=2),
        code=codes,
        looks_up=st.booleans(),
    )
    def fail_over(self, of: str, outcomes: list[AttemptOutcome], code: str | None, looks_up: bool) -> None:
        """Attempts at each account, with what may bring a message from the one to the other."""
        (other,) = {*ACCOUNTS} - {of}
        self.accept_one(of, 3, True)
        for outcome in outcomes:
            self.attempt(of, outcome)
            self.wait(6_000)
            if looks_up:
                self.look_up(of)
        if code:
            self.redrive(code)
        for lane in LANES:
            self.move(other, lane)
        self.attempt(other, OUTCOMES[-1])

    @rule(to=account, lane=lanes)
    def move(self, to: str, lane: int) -> None:
        """At any time, and of any ids: the list that a worker read may be old."""
        (former,) = {*ACCOUNTS} - {to}
        there = self.systems[to]
        source = self.systems[former].space
        self.moved.update(
            there.run(take_over(there.client, source, there.space, lane, self.ids, Why.HOLD, TERMS, there.now))
        )

    @rule(of=account, number=pick, report=st.sampled_from(REPORTS))
    def receive(self, of: str, number: int, report: tuple[str, Status]) -> None:
        """A report for anything, also for what this gateway does not have."""
        if self.ids:
            one = self.ids[number % len(self.ids)]
            taken = self.taken[of][one]
            gateway_id = f"{len(of)}{taken}{one[2:]}" if taken else ""
            self.systems[of].receive([StatusReport(one, gateway_id, *report, 800_000)])

    @rule(by=st.sampled_from((1, 3_000, 6_000, 61_000)))
    def wait(self, by: int) -> None:
        for system in self.systems.values():
            system.now += by
            system.release()
            system.lapse()

    @rule(of=account)
    def look_up(self, of: str) -> None:
        system = self.systems[of]
        pending = system.start_look_up()
        found = {one: self.known(of, one) for one in pending.queried}
        pending.answer(found)

    def known(self, of: str, message_id: str) -> LookUp:
        taken = self.taken[of][message_id]
        if not taken:
            return LookUp(Known.NOT_FOUND)
        return LookUp(Known.FOUND, f"{len(of)}{taken}{message_id[2:]}", "003", 800_000)

    @rule(code=st.sampled_from(("301", "107", "777", "901")))
    def redrive(self, code: str) -> None:
        self.systems[""].redrive(code)

    @rule(of=account, is_held=st.booleans())
    def hold(self, of: str, is_held: bool) -> None:
        self.systems[of].sync.delete(self.systems[of].names.HOLDS)
        if is_held:
            self.systems[of].hold("account", 0)

    @rule(number=pick)
    def cancel(self, number: int) -> None:
        if self.ids:
            self.systems[""].cancel([self.ids[number % len(self.ids)]])

    def of_account(self, system: System) -> list[str]:
        records = system.glance(self.ids).records
        return [one for one, record in records.items() if record.get("account", "") == system.space.account]

    @invariant()
    def no_message_was_taken_by_both(self) -> None:
        assert {} == self.taken[""] & self.taken["acme"]

    @invariant()
    def each_message_is_in_the_indexes_of_its_account_and_of_no_other(self) -> None:
        seen = {of: system.glance(self.ids) for of, system in self.systems.items()}
        records = seen[""].records
        assert {*self.ids} == {*records}, "a record is lost"
        for one, record in records.items():
            status, own = Status(record["status"]), record.get("account", "")
            expected = [] if status in FINAL else [keys.index_of(status, int(record["lane"]), self.systems[own].space)]
            found = {key for glance in seen.values() for key, members in glance.indexes.items() if one in members}
            assert {*expected} == found
            assert self.moved[one] == (parse(record.get("diverted", "")) is not None), "it moves once"
        for of, system in self.systems.items():
            own_records = {one: record for one, record in records.items() if record.get("account", "") == of}
            notes = {f"{record['waiting']}:{one}" for one, record in own_records.items() if "waiting" in record}
            assert notes == {one.decode() for one in system.sync.zrange(system.names.WAITING, 0, -1)}
            for lane in LANES:
                assert self.estimates(own_records, lane) == seen[of].tally.get(f"committed:{lane}", 0)

    def estimates(self, records: dict[str, dict[str, str]], lane: int) -> int:
        return sum(
            int(one.get("estimate", 0))
            for one in records.values()
            if one["status"] in UNSENT and one["lane"] == str(lane)
        )


@pytest.fixture
def systems(redis_server: RedisServer) -> Iterator[dict[str, System]]:
    with ExitStack() as opened:
        changes: dict[str, Any] = {"parts_per_second": 1_000, "look_ups_per_second": 1_000}
        yield {
            one: opened.enter_context(open_system(redis_server, account=one, doubt_delays_seconds=(5,), **changes))
            for one in ACCOUNTS
        }


@pytest.mark.timeout(600 + EXAMPLES)  # a walk that fails is made shorter for up to five minutes
def test_no_message_is_taken_by_both_gateways(systems: dict[str, System], client: redis.Redis) -> None:
    """A stand-by that doubles is worse than none."""
    run_state_machine_as_test(
        lambda: TwoGateways(systems),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
