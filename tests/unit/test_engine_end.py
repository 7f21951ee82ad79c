"""The rounds of a worker end, also one that a cancellation did not reach."""

from __future__ import annotations

import asyncio

from threelane.worker.process.rounds import end


def test_a_round_that_lost_its_cancellation_is_cancelled_again() -> None:
    """As when it comes while a write to Redis is just done: without a second one the worker would never stop."""

    async def deaf_once() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    async def main() -> list[bool]:
        rounds = [asyncio.create_task(deaf_once()) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.wait_for(end(rounds), 10)
        return [one.cancelled() for one in rounds]

    assert asyncio.run(main()) == [True, True, True]
