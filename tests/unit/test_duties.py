"""Duties: each is defined beside its verb and is on one list; all on it are run, counted and in the catalogue."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.test_layers import modules
from threelane.operations.catalogue import LABELS
from threelane.runtime.clock import RedisClock
from threelane.worker.process import metrics, rounds
from threelane.worker.process.duty import Duty, DutyScope
from threelane.worker.process.rounds import end, repeat
from threelane.worker.upkeep.duties import DUTIES
from threelane.worker.webhooks import dispatcher

EVERY: tuple[Duty[Any], ...] = (*DUTIES, *dispatcher.DUTIES)
OF_THE_FLEET = {"sweep", "balance", "erase", "copy_outcomes"}
STOP_WHILE_DRAINING = {
    *("release", "resolve", "sweep", "poll", "balance", "stop", "erase", "probe_gateway", "log_in"),
    *("resolve_lane_1", "sample", "hurry"),
    *("look_at_queue_1", "release_lane_1", "look_at_queues"),
    *("confirm", "copy_outcomes", "pauses", "account_requests", "account_vouchers"),
    "stand_by",
}
ANOTHER = """
from threelane.worker.process.duty import Duty
from threelane.worker.upkeep import duties
async def work(_): return False
duties.DUTIES += (Duty(name="water_the_plants", interval_seconds=1.0, work=work),)
from threelane.operations import catalogue
catalogue.main()
"""


class Redis:
    """Knows the time."""

    async def time(self) -> tuple[int, int]:
        """Return it."""
        return 1, 0


@dataclass
class Bench:
    """What a duty works with here."""

    client: Any = field(default_factory=Redis)
    clock: RedisClock = field(default_factory=RedisClock)
    draining: bool = False


def duty(work: Callable[[Bench], Awaitable[bool]], **more: Any) -> Duty[Bench]:
    """Return a duty that is done each minute."""
    return Duty(name="look_at_holds", interval_seconds=60.0, work=work, **more)


def test_each_duty_that_a_module_declares_is_on_a_list() -> None:
    """A forgotten one would silently never run."""
    of_workers = [name for name, _ in modules() if name.startswith("worker.") and name != "worker.app"]
    declared = {
        one.name
        for name in of_workers
        for one in vars(importlib.import_module(f"threelane.{name}")).values()
        if isinstance(one, Duty)
    }
    assert declared == {one.name for one in EVERY}


def test_no_two_duties_have_the_same_name() -> None:
    """Their failures would be counted as one."""
    names = [one.name for one in EVERY]
    assert sorted(set(names)) == sorted(names)


def test_the_catalogue_knows_each_round() -> None:
    """The dashboards and alarms filter by these names."""
    assert {one.name for one in EVERY} == LABELS["round"].known


def test_a_new_duty_is_in_the_catalogue_without_another_list() -> None:
    """Two rounds were counted for months under names that the catalogue did not have."""
    completed = subprocess.run([sys.executable, "-c", ANOTHER], capture_output=True, text=True, check=True)
    assert "`water_the_plants`" in completed.stdout


def test_one_process_of_all_sweeps_reads_the_balance_and_erases() -> None:
    """The other rounds are safe to be done by all at once."""
    assert {one.name for one in EVERY if one.scope is DutyScope.FLEET} == OF_THE_FLEET


def test_a_draining_worker_takes_on_nothing_new() -> None:
    """It goes on with what keeps its own messages right."""
    assert {one.name for one in EVERY if not one.while_draining} == STOP_WHILE_DRAINING


@pytest.mark.parametrize(("draining", "expected"), [(False, 1), (True, 0)])
def test_a_duty_that_stops_while_draining_is_not_done(draining: bool, expected: int) -> None:
    """Its turn is not taken, either: another process may need it."""
    done: list[str] = []

    async def turn(_: Bench) -> bool:
        done.append("turn")
        return True

    async def work(_: Bench) -> bool:
        done.append("work")
        return True

    asyncio.run(duty(work, turn=turn, while_draining=False).round(Bench(draining=draining)))
    assert ["turn", "work"] * expected == done


def test_a_duty_of_the_fleet_is_done_in_turn_alone() -> None:
    """A process that does not get the turn does nothing."""
    done: list[Bench] = []

    async def work(bench: Bench) -> bool:
        done.append(bench)
        return True

    async def turn(_: Bench) -> bool:
        return False

    assert asyncio.run(duty(work, turn=turn).round(Bench())) is False
    assert [] == done


def test_while_more_work_waits_it_goes_on_at_once() -> None:
    """A thousand due messages do not wait a fifth of a second for each hundred."""
    left = [True, True, False]
    finished = asyncio.Event()

    async def work(_: Bench) -> bool:
        more = left.pop(0)
        if not left:
            finished.set()
        return more

    async def main() -> None:
        task = asyncio.create_task(repeat(duty(work), Bench()))
        await asyncio.wait_for(finished.wait(), 5)  # and not three minutes
        await end([task])

    asyncio.run(main())
    assert [] == left


def test_a_round_that_fails_is_counted_under_its_name_and_the_rounds_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may be away, or a record may be of an unexpected kind."""
    monkeypatch.setattr(rounds, "AWAY_SECONDS", 0.0)
    again = asyncio.Event()
    done: list[int] = []

    async def work(_: Bench) -> bool:
        done.append(1)
        if len(done) == 1:
            raise LookupError("a record that nobody thought of")
        again.set()
        return False

    async def main() -> None:
        short: Duty[Bench] = Duty(name="look_at_holds", interval_seconds=lambda _: 0.001, work=work)
        task = asyncio.create_task(repeat(short, Bench()))
        await asyncio.wait_for(again.wait(), 5)
        await end([task])

    before = metrics.HOUSEKEEPING_FAILED.labels("look_at_holds")._value.get()
    asyncio.run(main())
    assert before + 1 == metrics.HOUSEKEEPING_FAILED.labels("look_at_holds")._value.get()
