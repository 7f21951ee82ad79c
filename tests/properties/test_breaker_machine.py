"""The breaker as a whole: in any order of steps, one worker probes, one message goes a probe, and it never sticks.

A random walk over the scripts of the breaker and over claim, on a real Redis.  Workers die while they probe, old
failures arrive late, operators resume, and the clock jumps forward and back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.properties.system import START, System, open_system
from tests.servers import RedisServer
from threelane.producer.accept import Accepted
from threelane.store import keys
from threelane.worker.gateway.breaking import close_breaker, fail_probe, let_through, reset, scope_of, take_probe, trip
from threelane.worker.send.claim import claim

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "40"))
STEPS = int(os.environ.get("THREELANE_STEPS", "40"))
FIRST_MS, MOST_MS, LOCK_MS, HOUR_MS = 1_000, 30_000, 15_000, 3_600_000
BEHIND_MS = 10_000
WORKERS = st.integers(0, 2)


class BreakerMachine(RuleBasedStateMachine):
    """The model: which token probes, whether it may claim, and what was claimed with it."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system
        system.empty()
        scope = scope_of(system.settings.gateway_fingerprint)
        self.shared: dict[str, Any] = {"breaker": keys.breaker(system.settings.gateway_fingerprint), "scope": scope}
        self.tokens = 0
        self.held: dict[int, str] = {}  # worker -> the token that it believes to probe with
        self.prober = ""  # the token that may continue
        self.ends = 0
        self.may_claim = False
        self.opened = 0

    @property
    def is_open(self) -> bool:
        return bool(self.system.sync.hexists(keys.HOLDS, self.shared["scope"]))

    @rule(worker=WORKERS, wait=st.sampled_from((0, 0, 0, 5_000, HOUR_MS)), age=st.sampled_from((0, 0, 50, 40_000)))
    def fail_in_a_row(self, worker: int, wait: int, age: int) -> None:
        """A process reports failed calls, the last of which began a while ago."""
        was_open, now = self.is_open, self.system.now
        opened, next_probe = self._trip(f"process {worker}", wait, now - age)
        if was_open:
            assert opened > 0
        elif opened > 0:
            assert now == opened
            assert now + max(FIRST_MS, wait) <= next_probe <= now + max(MOST_MS * 5 // 4, wait)
            self.opened, self.prober, self.may_claim = self.opened + 1, "", False
        assert self.is_open == (was_open or opened > 0)

    @rule(worker=WORKERS)
    def begin_a_probe(self, worker: int) -> None:
        """A worker takes the probe: never while another one has it and its time is not over."""
        self.tokens += 1
        token, now = f"token {self.tokens}", self.system.now
        taken = take_probe(self.system.sync, now=now, token=token, ends=now + LOCK_MS, **self.shared)
        if taken:
            assert self.is_open
            assert not self.prober or now >= self.ends or now < self.ends - LOCK_MS - BEHIND_MS
            self.held[worker], self.prober, self.ends, self.may_claim = token, token, now + LOCK_MS, False

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def get_an_answer(self, data: st.DataObject) -> None:
        """The harmless call was answered: one message may go."""
        token = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        done = let_through(self.system.sync, token=token, ends=self.system.now + LOCK_MS, **self.shared)
        assert done == (token == self.prober)
        if done:
            self.may_claim, self.ends = True, max(self.ends, self.system.now + LOCK_MS)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), wait=st.sampled_from((0, 0, 7_000)))
    def fail_the_probe(self, data: st.DataObject, wait: int) -> None:
        """No answer again: whoever is not the prober any more changes nothing."""
        worker = data.draw(st.sampled_from(sorted(self.held)))
        token, now, row = self.held.pop(worker), self.system.now, self._row()
        at = fail_probe(
            self.system.sync,
            now=now,
            token=token,
            code="lost",
            detail="TimeoutError",
            wait_ms=wait,
            most_ms=MOST_MS,
            jitter=0.5,
            **self.shared,
        )
        assert (at > 0) == (token == self.prober)
        if at:
            assert now + wait <= at <= now + max(MOST_MS * 5 // 4, wait)
            self.prober, self.may_claim = "", False
        else:
            assert row == self._row()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        """A proper answer: only the prober closes."""
        worker = data.draw(st.sampled_from(sorted(self.held)))
        token = self.held.pop(worker)
        done = self._close(token, f"process {worker}")
        assert done == (token == self.prober)
        assert not (done and self.is_open)
        if done:
            self.prober, self.may_claim = "", False

    @rule()
    def resume(self) -> None:
        """An operator closes it, whoever probes."""
        was_open = self.is_open
        assert was_open == reset(self.system.sync, "gateway", self.system.now)
        self.prober, self.may_claim = "", False

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """A prober that dies leaves its lock behind."""
        del self.held[data.draw(st.sampled_from(sorted(self.held)))]

    @rule(lane=st.sampled_from(keys.LANES), data=st.data())
    def claim(self, lane: int, data: st.DataObject) -> None:
        """While it is open nothing is claimed, but one message with the token of the prober."""
        drafts = [self.system.draft(lane=lane) for _ in range(3)]
        ids = [one.id for one in self.system.accept(drafts) if isinstance(one, Accepted)]
        token = data.draw(st.sampled_from(["", *self.held.values()]))
        was_open = self.is_open
        self.system.sync.delete(keys.RATE)  # the ramp is another test's
        found = self.system.run(
            claim(self.system.client, lane, ids, self.system.settings, self.system.now, pass_token=token)
        )
        if not was_open and not token:
            assert 3 == len(found.claimed)
        elif token and token == self.prober and self.may_claim:
            assert 1 == len(found.claimed)
            self.may_claim = False
        else:
            assert (True, 0) == (found.held, len(found.claimed))

    @rule(ms=st.sampled_from((1, 250, 1_000, 5_000, 20_000, 70_000, -500, -9_000, -30_000, -HOUR_MS)))
    def wait(self, ms: int) -> None:
        """Time passes, or the clock of Redis is set back."""
        self.system.now += ms

    @invariant()
    def the_gate_and_the_rest_agree(self) -> None:
        """A closed breaker has no prober; the model knows the only one."""
        prober = self.system.sync.hget(self.shared["breaker"], "prober")
        assert (prober or b"").decode() == self.prober
        assert self.is_open or not prober

    def teardown(self) -> None:
        """Whatever happened, and however the clock jumped: the next prober gets its turn and can close it."""
        if self.is_open:
            for step in (0, BEHIND_MS, HOUR_MS, BEHIND_MS, HOUR_MS):  # the clock may have been set back before
                self.system.now += step
                now = self.system.now
                if take_probe(self.system.sync, now=now, token="last", ends=now + LOCK_MS, **self.shared):
                    break
            else:
                raise AssertionError("nobody may probe any more")
            assert let_through(self.system.sync, token="last", ends=self.system.now + LOCK_MS, **self.shared)
            assert self._close("last", "last")
        assert not self.is_open

    def _row(self) -> Any:
        return self.system.sync.hget(keys.HOLDS, self.shared["scope"])

    def _close(self, token: str, process: str) -> bool:
        return close_breaker(self.system.sync, now=self.system.now, token=token, process=process, **self.shared)

    def _trip(self, process: str, wait: int, began: int) -> tuple[int, int]:
        return trip(
            self.system.sync,
            now=self.system.now,
            code="lost",
            detail="TimeoutError",
            address="https://gateway.example",
            failures=5,
            began=began,
            process=process,
            wait_ms=wait,
            first_ms=FIRST_MS,
            most_ms=MOST_MS,
            jitter=0.25,
            **self.shared,
        )


@pytest.fixture
def system(redis_server: RedisServer) -> Iterator[System]:
    with open_system(redis_server, parts_per_second=1e6) as made:
        yield made


def test_in_any_order_of_steps_one_worker_probes_and_the_breaker_never_sticks(system: System) -> None:
    """At most one prober, one message a probe, nothing else while it is open, and a way back from everywhere."""
    run_state_machine_as_test(
        lambda: BreakerMachine(system),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_waits_between_probes_double_up_to_the_limit(system: System) -> None:
    """1, 2, 4 ... 30 seconds, each with a little jitter."""
    system.empty()
    machine = BreakerMachine(system)
    _, at = machine._trip("one", 0, START)
    waits = []
    for number in range(8):
        system.now = at
        shared = machine.shared | {"token": str(number)}
        assert not take_probe(system.sync, now=at - 1, ends=at + LOCK_MS, **shared)
        assert take_probe(system.sync, now=at, ends=at + LOCK_MS, **shared)
        following = fail_probe(
            system.sync,
            now=at,
            code="lost",
            detail="",
            wait_ms=0,
            most_ms=MOST_MS,
            jitter=0.0,
            **shared,
        )
        waits.append(following - at)
        at = following
    assert [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000] == waits


def opened(system: System) -> BreakerMachine:
    """Return the model of a breaker that just opened and whose probe is due."""
    machine = BreakerMachine(system)
    _, at = machine._trip("one", 0, START)
    system.now = at
    return machine


def takes(machine: BreakerMachine, token: str) -> bool:
    now = machine.system.now
    return take_probe(machine.system.sync, now=now, token=token, ends=now + LOCK_MS, **machine.shared)


def test_a_probe_lets_exactly_one_message_through(system: System) -> None:
    """The harmless call alone is no proof that messages are taken, and one message is enough to see it."""
    machine = opened(system)
    ids = [one.id for one in system.accept([system.draft(lane=1) for _ in range(3)])]

    def claimed(token: str) -> int:
        return len(system.run(claim(system.client, 1, ids, system.settings, system.now, pass_token=token)).claimed)

    assert takes(machine, "a")
    before = claimed("a")
    assert let_through(system.sync, token="a", ends=system.now + LOCK_MS, **machine.shared)
    assert [0, 0, 0, 1, 0] == [before, claimed(""), claimed("b"), claimed("a"), claimed("a")]


def test_a_prober_whose_time_is_over_changes_nothing(system: System) -> None:
    """It was away for longer than a call may take; another worker probes by now."""
    machine = opened(system)
    assert [True, False] == [takes(machine, "a"), takes(machine, "b")]
    system.now += LOCK_MS
    assert takes(machine, "b")
    row = machine._row()
    assert [False, False] == [
        machine._close("a", "one"),
        let_through(system.sync, token="a", ends=system.now + LOCK_MS, **machine.shared),
    ]
    assert row == machine._row()
    assert machine._close("b", "two")


@pytest.mark.parametrize("has_prober", [False, True])
def test_a_clock_that_is_set_back_does_not_stop_the_probes(system: System, has_prober: bool) -> None:
    """Times in the future were written by the clock as it was before; nobody waits for them."""
    machine = opened(system)
    if has_prober:
        assert takes(machine, "a")
    system.now -= HOUR_MS
    assert takes(machine, "b")
    assert machine._close("b", "two")
