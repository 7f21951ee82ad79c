"""Due: the ids of an index whose time has come, lane 1 first; the other lanes keep a floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio

from threelane.store.keys import LANES, IndexKey

FLOOR = 10  # one of this many places of a batch for each lower lane that has due ids


async def due(client: redis.asyncio.Redis, index: Mapping[int, IndexKey], now: int, most: int) -> dict[int, list[str]]:
    """Return up to ``most`` due ids by lane, the earliest of each lane first; lanes without any are absent."""
    async with client.pipeline(transaction=False) as pipe:
        for lane in LANES:
            pipe.zrange(index[lane], "-inf", now, byscore=True, offset=0, num=most)
        found: Any = await pipe.execute()
    return share(dict(zip(LANES, ([one.decode() for one in ids] for ids in found), strict=True)), most)


def share(found: Mapping[int, Sequence[str]], most: int) -> dict[int, list[str]]:
    """Return what each lane gets of ``most`` places: as many as it needs, less the floor of the lanes below it."""
    floor, left, taken = -(-most // FLOOR), most, {}
    for lane in LANES:
        kept = sum(min(floor, len(found[lower])) for lower in LANES if lower > lane)
        if ids := list(found[lane][: left - kept]):
            taken[lane] = ids
            left -= len(ids)
    return taken
