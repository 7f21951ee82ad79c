"""Batch: reports of an account that arrive together are stored by one script call; each response waits for its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import redis.asyncio

from threelane.runtime.clock import RedisClock
from threelane.runtime.tracing import Tracer
from threelane.store.keys import HERE, Space
from threelane.worker.inbound.report import StatusReport
from threelane.worker.process.settings import Keeping
from threelane.worker.receipt.receipt import receive

MOST = 200  # reports per call; a single request may have more
LINGER_SECONDS = 0.004  # a receipt can wait this long, and a call costs as much as ten reports in it


class ReportBatcher:
    """Stores the reports of one account that arrive within a few milliseconds, or during a call, with one call."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        keeping: Keeping,
        clock: RedisClock,
        tracer: Tracer | None = None,
        space: Space = HERE,
    ) -> None:
        """Write to this Redis, in the space of an account."""
        self._client = client
        self._keeping = keeping
        self._clock = clock
        self._tracer = tracer
        self._space = space
        self._waiting: deque[_Request] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def receive(self, reports: Sequence[StatusReport]) -> list[str]:
        """Return the effect of each, a `ReceiptResult`, when all are stored; raises what Redis raises."""
        if not reports:
            return []
        request = _Request(reports, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await request.written

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
                    now = self._clock.now()
                    results = await receive(self._client, reports, self._keeping, now, self._tracer, self._space)
                except Exception as failed:  # every caller must get it, whatever it is
                    _fail(batch, failed)
                else:
                    _end(batch, results)
        finally:
            self._writing = None


class _Request(NamedTuple):
    reports: Sequence[StatusReport]
    written: asyncio.Future[list[str]]


def _fail(ended: Sequence[_Request], failed: Exception) -> None:
    for one in ended:
        if not one.written.done():  # else its caller went away
            one.written.set_exception(failed)


def _end(ended: Sequence[_Request], results: Sequence[str]) -> None:
    each = iter(results)
    for one in ended:
        own = [*islice(each, len(one.reports))]
        if not one.written.done():
            one.written.set_result(own)
