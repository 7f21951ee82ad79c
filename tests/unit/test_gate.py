"""The calls that one process may have under way: never more, and the highest lane first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.worker.send.gate import Gate


class Calls:
    """Calls through a gate, which last until a test ends them."""

    def __init__(self, places: int, kept: int = 0) -> None:
        self.gate = Gate(places, kept)
        self.inside: list[tuple[int, int]] = []  # lane, number
        self.passed: list[int] = []  # lanes, in the order in which they got a place
        self.most = 0
        self._ends: dict[tuple[int, int], asyncio.Event] = {}
        self.tasks: dict[tuple[int, int], asyncio.Task[None]] = {}

    def call(self, lane: int) -> tuple[int, int]:
        one = (lane, len(self.tasks))
        self._ends[one] = asyncio.Event()
        self.tasks[one] = asyncio.get_running_loop().create_task(self._call(one))
        return one

    async def _call(self, one: tuple[int, int]) -> None:
        async with self.gate.pass_through(one[0]):
            self.inside.append(one)
            self.passed.append(one[0])
            self.most = max(self.most, len(self.inside))
            try:
                await self._ends[one].wait()
            finally:
                self.inside.remove(one)

    async def end(self, one: tuple[int, int]) -> None:
        self._ends[one].set()
        await turn()

    async def end_all(self) -> None:
        while self.inside:
            await self.end(self.inside[0])


async def turn() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(10):
        await asyncio.sleep(0)


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on an event loop of its own."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_loop
async def test_so_many_pass_at_once_and_the_next_waits_for_a_place() -> None:
    """The gateway is promised no more calls at a time."""
    calls = Calls(3)
    for _ in range(5):
        calls.call(3)
    await turn()
    assert 3 == len(calls.inside)
    await calls.end(calls.inside[0])
    assert 3 == len(calls.inside)
    await calls.end_all()
    assert (5, 3) == (len(calls.passed), calls.most)


@on_a_loop
async def test_who_waits_in_lane_1_goes_before_all_who_waited_longer_below() -> None:
    """A code does not wait behind a newsletter inside the process either."""
    calls = Calls(1)
    calls.call(3)
    await turn()
    for lane in (3, 3, 2, 2, 1, 1):
        calls.call(lane)
        await turn()
    await calls.end_all()
    assert [3, 1, 1, 2, 2, 3, 3] == calls.passed


@on_a_loop
async def test_within_a_lane_the_first_to_come_is_the_first_to_go() -> None:
    """No message is overtaken by its equals forever."""
    calls = Calls(1)
    order = [calls.call(2) for _ in range(6)]
    await turn()
    seen = []
    while calls.inside:
        seen.append(calls.inside[0])
        await calls.end(calls.inside[0])
    assert order == seen


@on_a_loop
async def test_one_place_in_ten_is_given_from_below() -> None:
    """What was claimed in lane 3 has a lease, and is sent within it although lane 1 never ends."""
    calls = Calls(1)
    for _ in range(100):
        calls.call(1)
    for _ in range(20):
        calls.call(3)
    await turn()
    for _ in range(100):
        await calls.end(calls.inside[0])
    tens = [calls.passed[start : start + 10].count(3) for start in range(1, 101, 10)]
    assert [1] * 10 == tens
    for task in calls.tasks.values():
        task.cancel()
    await asyncio.gather(*calls.tasks.values(), return_exceptions=True)


@on_a_loop
async def test_a_dismissed_wait_ends_without_a_place_and_takes_none() -> None:
    """When the breaker opens, claimed messages must not wait until calls that hang have timed out."""
    gate = Gate(1)
    places: list[bool] = []

    async def wait(lane: int) -> None:
        async with gate.pass_through(lane) as has_place:
            places.append(has_place)

    async with gate.pass_through(1) as first:
        waiting = [asyncio.create_task(wait(lane)) for lane in (1, 2, 3)]
        await turn()
        gate.dismiss()
        await asyncio.gather(*waiting)
    assert (True, [False] * 3) == (first, places)
    await wait(3)
    assert [False, False, False, True] == places


@on_a_loop
async def test_a_call_that_raises_gives_its_place_back() -> None:
    """An error of one call does not make the process slower forever."""
    gate = Gate(1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await _raising(gate)
    async with asyncio.timeout(1), gate.pass_through(1):
        pass


async def _raising(gate: Gate) -> None:
    async with gate.pass_through(2):
        raise RuntimeError


@on_a_loop
async def test_a_call_that_is_cancelled_while_it_waits_takes_no_place() -> None:
    """The place goes to the next one that still waits."""
    calls = Calls(1)
    first = calls.call(1)
    waiting, other = calls.call(1), calls.call(2)
    await turn()
    calls.tasks[waiting].cancel()
    await turn()
    await calls.end(first)
    assert [other] == calls.inside


@on_a_loop
async def test_a_call_that_is_cancelled_just_as_it_gets_its_place_passes_it_on() -> None:
    """The place is given and its taker is gone, in the same turn of the loop."""
    calls = Calls(1)
    first = calls.call(1)
    taker, other = calls.call(1), calls.call(2)
    await turn()
    calls._ends[first].set()
    await _until(lambda: first not in calls.inside)
    calls.tasks[taker].cancel()
    await turn()
    assert [other] == calls.inside
    await calls.end(other)
    last = calls.call(3)
    await turn()
    assert [last] == calls.inside


async def _until(happened: Callable[[], bool]) -> None:
    for _ in range(100):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


# fmt: off
STEPS = some.lists(some.tuples(some.sampled_from(["call", "call", "end", "cancel", "turn"]), some.integers(0, 99)),
                   max_size=80)
# fmt: on


@settings(max_examples=60, deadline=None)
@given(places=some.integers(1, 4), steps=STEPS)
def test_no_order_of_calls_ends_and_cancellations_loses_or_invents_a_place(
    places: int, steps: list[tuple[str, int]]
) -> None:
    """After all of it, exactly as many pass at once as at the beginning."""
    asyncio.run(_any_order(places, steps))


async def _any_order(places: int, steps: list[tuple[str, int]]) -> None:
    calls = Calls(places)
    for what, number in steps:
        if what == "call":
            calls.call(number % 3 + 1)
        elif what == "end" and calls.inside:
            calls._ends[calls.inside[number % len(calls.inside)]].set()
        elif what == "cancel" and calls.tasks:
            list(calls.tasks.values())[number % len(calls.tasks)].cancel()
        else:
            await turn()
        assert calls.most <= places
    for task in calls.tasks.values():
        task.cancel()
    await asyncio.gather(*calls.tasks.values(), return_exceptions=True)
    again = [calls.call(2) for _ in range(places + 1)]
    await turn()
    assert (places, places) == (len(calls.inside), max(calls.most, places))
    for one in again:
        await calls.end(one)
    assert [] == calls.inside


def test_places_that_are_kept_go_to_lane_1_alone() -> None:
    """So that a code is sent while all calls of a newsletter hang."""

    async def main() -> None:
        calls = Calls(4, kept=1)
        for _ in range(6):
            calls.call(3)
        await turn()
        assert [3, 3, 3] == calls.passed
        code = calls.call(1)
        await turn()
        assert [3, 3, 3, 1] == calls.passed
        await calls.end(code)
        assert [3, 3, 3, 1] == calls.passed, "its place was given to lane 3"
        await calls.end_all()
        assert (7, 4) == (len(calls.passed), calls.most)

    asyncio.run(main())


def test_a_gate_for_several_event_loops_lets_no_more_pass() -> None:
    """Lane 1 has a loop of its own; who gives a place back on one loop wakes who waits on the other."""
    gate, inside, most = Gate(3, kept=1), [0], [0]
    lock = threading.Lock()

    def count(change: int) -> None:
        with lock:
            inside[0] += change
            most[0] = max(most[0], inside[0])

    async def call(lane: int) -> None:
        async with gate.pass_through(lane):
            count(1)
            await asyncio.sleep(0.0005)
            count(-1)

    async def calls(lane: int) -> int:
        return len(await asyncio.wait_for(asyncio.gather(*(call(lane) for _ in range(300))), 30))

    with ThreadPoolExecutor(3) as threads:
        assert [300] * 3 == list(threads.map(lambda lane: asyncio.run(calls(lane)), (1, 2, 3)))
    assert (0, 3) == (inside[0], most[0])
