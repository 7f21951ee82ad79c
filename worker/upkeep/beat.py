"""Beat: a worker reports that its loop runs, and what it does."""

from __future__ import annotations

from typing import Any, NamedTuple

import redis.asyncio

from threelane.store import keys

BEAT_SECONDS = 5.0
KEEP_SECONDS = 24 * 3600


class Report(NamedTuple):
    """Which lanes a worker fetches, when it fetched last (ms), the rate all share, and what it served in a second."""

    lanes: list[int]
    fetched: int
    rate: float
    served: float


async def beat(client: redis.asyncio.Redis, name: str, report: Report, now: int) -> None:
    """Report that this worker's loop runs, and what it does."""
    key = keys.worker(name)
    entry: Any = report._asdict() | {"beat": now, "lanes": ",".join(map(str, report.lanes))}
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(key, mapping=entry)
        pipe.expire(key, KEEP_SECONDS)
        pipe.zadd(keys.WORKERS, {name: now})
        pipe.zremrangebyscore(keys.WORKERS, "-inf", now - KEEP_SECONDS * 1000)
        await pipe.execute()
