"""Beat: a worker's heartbeat, with its lanes, rate and load."""

from __future__ import annotations

from typing import Any, NamedTuple

import redis.asyncio

from threelane.store import keys
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.identity import IDENTITY
from threelane.worker.process.readiness import READINESS

BEAT_SECONDS = 5.0
KEEP_SECONDS = 24 * 3600
FORGETTING = 0.99  # the decay of the busiest second per beat


class BeatReport(NamedTuple):
    """The lanes that a worker fetches, its last fetch (ms), the shared rate, and its messages a second.

    ``gateway`` identifies the breaker that it shares, and ``fault`` is why only this worker sends nothing, or empty.
    ``fingerprint`` identifies its credentials, and ``not_ready`` is why it claims nothing, or empty.  ``pid``,
    ``started`` (ms) and ``incarnation`` identify the process.
    """

    lanes: list[int]
    fetched: int
    rate: float
    served: float
    gateway: str = ""
    fault: str = ""
    fingerprint: str = ""
    not_ready: str = ""
    pid: int = 0
    started: int = 0
    incarnation: str = ""


async def beat(client: redis.asyncio.Redis, name: str, report: BeatReport, now: int) -> None:
    """Publish this worker's heartbeat and load."""
    key = keys.worker(name)
    entry: Any = report._asdict() | {"beat": now, "lanes": ",".join(map(str, report.lanes))}
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(key, mapping=entry)
        pipe.expire(key, KEEP_SECONDS)
        pipe.zadd(keys.WORKERS, {name: now})
        pipe.zremrangebyscore(keys.WORKERS, "-inf", now - KEEP_SECONDS * 1000)
        await pipe.execute()


async def _round(context: WorkerContext) -> bool:
    served, context.counted = context.claimed - context.counted, context.claimed
    if served:  # by nudges or by looks
        context.fetched_at = context.clock.now()
    context.busiest = max(context.busiest * FORGETTING, served / BEAT_SECONDS)
    IDENTITY.report(reasons=READINESS.reasons)
    own = IDENTITY.announced
    report = BeatReport(
        sorted(LANES.consumed),
        context.fetched_at,
        context.settings.parts_per_second,
        context.busiest,
        gateway=context.settings.gateway_fingerprint,
        fault=context.breaker.fault,
        fingerprint=context.settings.fingerprint,
        not_ready=own.not_ready,
        pid=own.pid,
        started=own.started,
        incarnation=own.incarnation,
    )
    await beat(context.client, own.name, report, context.clock.now())
    return False


DUTY = Duty(name="beat", interval_seconds=BEAT_SECONDS, work=_round)
