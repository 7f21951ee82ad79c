"""What requests share: memory and places, at most a part of them to one producer."""

from __future__ import annotations

import asyncio

import pytest

from threelane.interfaces.api.fair_share import NoRoom
from threelane.interfaces.api.memory_budget import MemoryBudget
from threelane.interfaces.api.places import FairPlaces, NoPlace

SOON = 0.01
LATER = 30.0


def test_one_producer_gets_half_of_the_memory_and_another_the_rest() -> None:
    """A producer cannot take what the next one needs; what can never fit is refused at once."""

    async def scenario() -> tuple[int, int]:
        budget = MemoryBudget(100)
        first, second = budget.lease("a"), budget.lease("b")
        await first.resize(50, SOON)
        with pytest.raises(NoRoom):
            await budget.lease("a").resize(1, SOON)
        await second.resize(50, SOON)
        with pytest.raises(NoRoom):
            await budget.lease("c").resize(51, LATER)
        free = budget.free
        first.release()
        second.release()
        second.release()
        return free, budget.free

    assert (0, 100) == asyncio.run(scenario())


def test_what_waits_for_memory_is_not_overtaken_by_what_is_smaller() -> None:
    """Otherwise a long list would wait for ever behind short ones."""

    async def scenario() -> list[str]:
        budget, order = MemoryBudget(100), []
        held = [budget.lease("a"), budget.lease("b")]
        for one in held:
            await one.resize(40, SOON)

        async def take(holder: str, octets: int) -> None:
            await budget.lease(holder).resize(octets, LATER)
            order.append(holder)

        waiting = [asyncio.create_task(take("c", 50)), asyncio.create_task(take("d", 10))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [] == order
        held[0].release()
        await asyncio.gather(*waiting)
        return order

    assert ["c", "d"] == asyncio.run(scenario())


def test_memory_that_nobody_waits_for_any_more_goes_to_the_next() -> None:
    """A client that went away, or a deadline, leaves nothing behind."""

    async def scenario() -> int:
        budget = MemoryBudget(100)
        held = budget.lease("a")
        await held.resize(50, SOON)
        other = budget.lease("b")
        await other.resize(50, SOON)
        gone = asyncio.create_task(budget.lease("c").resize(50, LATER))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        held.release()
        other.release()
        return budget.free

    assert 100 == asyncio.run(scenario())


def test_the_producer_with_the_fewest_places_is_next() -> None:
    """Ten requests of one producer wait: one of another that came last is served before them."""

    async def scenario() -> list[str]:
        places, order, leave = FairPlaces(2, 2), [], asyncio.Event()

        async def work(holder: str) -> None:
            async with places.place(holder, LATER):
                order.append(holder)
                await leave.wait()

        tasks = [asyncio.create_task(work("a")) for _ in range(10)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(work("b")))
        await asyncio.sleep(0)
        assert ["a", "a"] == order
        leave.set()
        await asyncio.gather(*tasks)
        return order

    assert "b" == asyncio.run(scenario())[2]


def test_one_producer_cannot_take_all_places() -> None:
    """The fifth of its requests waits, although places are free; another's does not."""

    async def scenario() -> None:
        places = FairPlaces(8, 4)
        held = [places.place("a", SOON) for _ in range(4)]
        for one in held:
            await one.__aenter__()
        with pytest.raises(NoPlace):
            await places.place("a", SOON).__aenter__()
        await places.place("b", SOON).__aenter__()

    asyncio.run(scenario())
