"""Together: reports that come at the same time are written down by one script call; each answer waits for its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import redis.asyncio

from threelane.runtime.clock import RedisClock
from threelane.runtime.tracing import Tracer
from threelane.worker.inbound.report import Report
from threelane.worker.process.settings import Keeping
from threelane.worker.receipt.receipt import receive

MOST = 200  # reports in one call, or those of one request
LINGER_SECONDS = 0.004  # a receipt is in no hurry, and a call costs as much as ten of the reports in it


class Together:
    """What comes within a few milliseconds, and what comes while a call is under way, is written by one call."""

    def __init__(
        self, client: redis.asyncio.Redis, keeping: Keeping, clock: RedisClock, tracer: Tracer | None = None
    ) -> None:
        """Write to this Redis."""
        self._client = client
        self._keeping = keeping
        self._clock = clock
        self._tracer = tracer
        self._waiting: deque[_Request] = deque()
        self._under_way: asyncio.Task[None] | None = None

    async def receive(self, reports: Sequence[Report]) -> None:
        """Return when all are written down; raises what Redis raises."""
        if not reports:
            return
        request = _Request(reports, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._write())
        await request.written

    async def _write(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(LINGER_SECONDS)
                now = [self._waiting.popleft()]
                count = len(now[0].reports)
                while self._waiting and count + len(self._waiting[0].reports) <= MOST:
                    now.append(self._waiting.popleft())
                    count += len(now[-1].reports)
                try:
                    reports = [report for one in now for report in one.reports]
                    await receive(self._client, reports, self._keeping, self._clock.now(), self._tracer)
                except Exception as failed:  # whatever it is, every caller must hear of it
                    _end(now, failed)
                else:
                    _end(now, None)
        finally:
            self._under_way = None


class _Request(NamedTuple):
    reports: Sequence[Report]
    written: asyncio.Future[None]


def _end(ended: Sequence[_Request], failed: Exception | None) -> None:
    for one in ended:
        if one.written.done():  # its caller went away
            continue
        if failed:
            one.written.set_exception(failed)
        else:
            one.written.set_result(None)
