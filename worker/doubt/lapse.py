"""Lapse: attempts whose lease ran out are in doubt, since their worker cannot be asked any more."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from threelane.runtime import logs
from threelane.store import keys
from threelane.store.scripts import Script

BATCH = 100
_lapse = Script(__file__, "lapse")


async def lapse(client: redis.asyncio.Redis, first_probe_ms: int, now: int) -> list[str]:
    """Put up to 100 messages with a lapsed lease in doubt; returns their ids."""
    over: Any = await client.zrange(keys.LEASES, "-inf", now, byscore=True, offset=0, num=BATCH)
    if not over:
        return []
    ids = [one.decode() for one in over]
    moved = await _lapse.run(client, [keys.record(one) for one in ids], [now, now + first_probe_ms, *ids])
    lapsed = [one for one, done in zip(ids, moved, strict=True) if done == 1]
    for one in lapsed:
        logs.event("in_doubt", level=30, id=one, code="lapsed", reason="lease_ran_out", owner="operator")
    return lapsed
