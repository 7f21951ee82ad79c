"""Together: reports that come at the same time are written down by one script call; each answer waits for its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import redis.asyncio

from producer.clock import RedisClock
from producer.tracing import Tracer
from worker.inbound.report import Report
from worker.receipt import receive
from worker.settings import Keeping

MOST = 200  # reports in one call


class Together:
    """Nobody waits for company: what comes while a call is under way goes with the next."""

    def __init__(
        self, client: redis.asyncio.Redis, keeping: Keeping, clock: RedisClock, tracer: Tracer | None = None
    ) -> None:
        """Write to this Redis."""
        self._client = client
        self._keeping = keeping
        self._clock = clock
        self._tracer = tracer
        self._waiting: list[tuple[Report, asyncio.Future[None]]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def receive(self, reports: Sequence[Report]) -> None:
        """Return when all are written down; raises what Redis raises."""
        written = [asyncio.get_running_loop().create_future() for _ in reports]
        self._waiting += zip(reports, written, strict=True)
        if written and self._under_way is None:
            self._under_way = asyncio.create_task(self._write())
        await asyncio.gather(*written)

    async def _write(self) -> None:
        try:
            while self._waiting:
                now, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                try:
                    reports = [report for report, _ in now]
                    await receive(self._client, reports, self._keeping, self._clock.now(), self._tracer)
                except Exception as failed:  # whatever it is, every caller must hear of it
                    _end(now, failed)
                else:
                    _end(now, None)
        finally:
            self._under_way = None


def _end(ended: Sequence[tuple[Report, asyncio.Future[None]]], failed: Exception | None) -> None:
    for _, written in ended:
        if written.done():  # its caller went away
            continue
        if failed:
            written.set_exception(failed)
        else:
            written.set_result(None)
