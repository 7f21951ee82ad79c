"""By lane: rounds that work lane by lane on what is due, with one request to Redis while nothing is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from threelane.store import keys
from threelane.store.keys import LANES, IndexKey, Names
from threelane.worker.process.duty import Context, Duty
from threelane.worker.process.settings import WorkerSettings


class WorkerOfAccount(Context, Protocol):
    """The context of a worker, which serves one account."""

    @property
    def settings(self) -> WorkerSettings:
        """Its settings."""
        ...


C = TypeVar("C", bound=WorkerOfAccount)
Indexes = Callable[[Names], Mapping[int, IndexKey]]
"""Returns the indexes that lanes have their own of, among the names of an account."""


def round_of(
    lanes: Sequence[int], indexes_of: Indexes, work: Callable[[C, int], Awaitable[bool]]
) -> Callable[[C], Awaitable[bool]]:
    """Return the round of these lanes, in their order: ``work`` for each whose index has something due."""

    async def work_on_due(context: C) -> bool:
        now, more = context.clock.now(), False
        indexes = indexes_of(keys.names(context.settings.space))
        async with context.client.pipeline(transaction=False) as pipe:
            for lane in lanes:
                pipe.zrange(indexes[lane], "-inf", now, byscore=True, offset=0, num=1)
            due = await pipe.execute()
        for lane, first in zip(lanes, due, strict=True):
            more |= bool(first) and await work(context, lane)
        return more

    return work_on_due


def duties(
    name: str,
    indexes_of: Indexes,
    work: Callable[[C, int], Awaitable[bool]],
    *,
    lane_1_seconds: float,
    seconds: float,
) -> tuple[Duty[C], Duty[C]]:
    """Return the duty of lane 1, on its own event loop, and that of the others; both start new work."""
    of_lane_1, of_others = round_of(LANES[:1], indexes_of, work), round_of(LANES[1:], indexes_of, work)
    return (
        Duty(
            name=f"{name}_lane_1",
            interval_seconds=lane_1_seconds,
            work=of_lane_1,
            while_draining=False,
            on_lane_1=True,
        ),
        Duty(name=name, interval_seconds=seconds, work=of_others, while_draining=False),
    )
