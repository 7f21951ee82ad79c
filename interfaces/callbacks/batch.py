"""Batch: reports that arrive together are stored by one script call; each response waits for its own report."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import redis.asyncio

from threelane.runtime.clock import RedisClock
from threelane.runtime.tracing import Tracer
from threelane.worker.inbound.report import StatusReport
from threelane.worker.process.settings import Keeping
from threelane.worker.receipt.receipt import receive

MOST = 200  # reports per call; a single request may have more
LINGER_SECONDS = 0.004  # a receipt can wait this long, and a call costs as much as ten reports in it


class ReportBatcher:
    """Stores the reports that arrive within a few milliseconds, or during a call, with one call."""

    def __init__(
        self, client: redis.asyncio.Redis, keeping: Keeping, clock: RedisClock, tracer: Tracer | None = None
    ) -> None:
        """Write to this Redis."""
        self._client = client
        self._keeping = keeping
        self._clock = clock
        self._tracer = tracer
        self._waiting: deque[_Request] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def receive(self, reports: Sequence[StatusReport]) -> None:
        """Return when all are stored; raises what Redis raises."""
        if not reports:
            return
        request = _Request(reports, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await request.written

    async def _write(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(LINGER_SECONDS)
                batch = [self._waiting.popleft()]
                count = len(batch[0].reports)
                while self._waiting and count + len(self._waiting[0].reports) <= MOST:
                    batch.append(self._waiting.popleft())
                    count += len(batch[-1].reports)
                try:
                    reports = [report for one in batch for report in one.reports]
                    await receive(self._client, reports, self._keeping, self._clock.now(), self._tracer)
                except Exception as failed:  # every caller must get it, whatever it is
                    _end(batch, failed)
                else:
                    _end(batch, None)
        finally:
            self._writing = None


class _Request(NamedTuple):
    reports: Sequence[StatusReport]
    written: asyncio.Future[None]


def _end(ended: Sequence[_Request], failed: Exception | None) -> None:
    for one in ended:
        if one.written.done():  # its caller went away
            continue
        if failed:
            one.written.set_exception(failed)
        else:
            one.written.set_result(None)
