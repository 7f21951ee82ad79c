"""Redrive: dead letters go back to their lanes, once, when whoever could mend them has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import redis
import redis.asyncio

from producer import budgets, keys
from producer.enqueue import Nudger
from producer.scripts import Script

BATCH = 100
_redrive = Script(__file__, "redrive")


async def redrive_async(client: redis.asyncio.Redis, codes: Sequence[str], now: int) -> dict[int, list[str]]:
    """Redrive the dead letters of some codes, by lane and oldest first; returns the ids that are to be nudged."""
    found: Any = await client.zrange(keys.DEAD, 0, -1)
    redriven: dict[int, list[str]] = {lane: [] for lane in keys.LANES}
    wanted = {code.encode() for code in codes}
    for start in range(0, len(found), BATCH):
        batch = [one.decode() for one in found[start : start + BATCH]]
        async with client.pipeline(transaction=False) as pipe:
            for one in batch:
                pipe.hget(keys.record(one), "code")
            told = await pipe.execute()
        ids = [one for one, code in zip(batch, told, strict=True) if code in wanted]
        arguments = [now, budgets.day(now), *ids]
        lanes = await _redrive.run(client, [keys.record(one) for one in ids], arguments) if ids else ()
        for one, lane in zip(ids, lanes, strict=True):
            if lane.isdigit():
                redriven[int(lane)].append(one)
    return redriven


def redrive(client: redis.Redis, nudger: Nudger, code: str, now: int) -> Counter[str]:
    """Redrive all dead letters of a code, oldest first; returns how many were redriven, and how many not, and why."""
    told: Counter[str] = Counter(redriven=0, expired=0)
    for ids in _dead(client, code):
        lanes = _redrive(client, [keys.record(one) for one in ids], [now, budgets.day(now), *ids])
        redriven: dict[int, list[str]] = defaultdict(list)
        for one, lane in zip(ids, (lane.decode() for lane in lanes), strict=True):
            if lane.isdigit():
                redriven[int(lane)].append(one)
            elif lane:
                told["over_budget" if lane == "over" else lane] += 1
        for lane in sorted(redriven):
            nudger.publish(lane, redriven[lane])
            told["redriven"] += len(redriven[lane])
    return told


def _dead(client: redis.Redis, code: str) -> Iterator[list[str]]:
    """Return the ids of dead letters with the code in batches; the list is read before any of them moves."""
    ids = [one.decode() for one in client.zrange(keys.DEAD, 0, -1)]  # type: ignore[union-attr]
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        with client.pipeline(transaction=False) as pipe:
            for one in batch:
                pipe.hget(keys.record(one), "code")
            codes = pipe.execute()
        matching = [one for one, found in zip(batch, codes, strict=True) if found == code.encode()]
        if matching:
            yield matching
