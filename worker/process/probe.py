"""Probe: while Redis refuses commands, tries once a second whether it accepts a write again."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from threelane.store import keys
from threelane.worker.process.duty import Context, Duty
from threelane.worker.process.refusals import REDIS

PROBE_SECONDS = 0.25  # after the pause of a failed round


async def _round(context: Context) -> bool:
    if REDIS.is_waiting:
        requested_at = context.clock.monotonic()
        await write(context.client)
        REDIS.accepted(requested_at)
    return False


async def write(client: redis.asyncio.Redis) -> None:
    """Send a write that changes nothing; raises RedisError if Redis accepts none."""
    await client.delete(keys.PROBE)


DUTY: Duty[Any] = Duty(name="probe_redis", interval_seconds=PROBE_SECONDS, work=_round)
"""Of a worker."""
WEBHOOKS: Duty[Any] = Duty(name="webhooks_probe_redis", interval_seconds=PROBE_SECONDS, work=_round)
"""Of a dispatcher of webhooks."""
