"""Missing: messages without a nudge, counted for the metrics, and over the last minutes for the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import redis
import redis.asyncio

from threelane.store import keys, rows
from threelane.store.keys import HERE, Space
from threelane.store.tally import Count

RECENT_MS = 900_000
KINDS = (Count.UNPUBLISHED, Count.FOUND, Count.SWEPT, Count.SWEPT_AGAIN)


class Missing(NamedTuple):
    """Messages of one kind and lane in the last minutes: how many, and when the last, in milliseconds."""

    kind: Count
    lane: int
    messages: int
    last_at: int


def queue(
    pipe: Any, kind: Count, lanes: Mapping[int, int], now: int, space: Space = HERE, *, tally: bool = True
) -> None:
    """Add to a pipeline: count messages by lane; ``tally`` is False if a script has counted them in the tally."""
    names = keys.names(space)
    for lane, messages in lanes.items():
        field = kind.field(lane)
        if tally:
            pipe.hincrby(names.TALLY, field, messages)
        pipe.hincrby(names.NUDGES, field, messages)
        pipe.hset(names.NUDGES, f"{field}:at", now)


def count(client: redis.Redis, kind: Count, lanes: Mapping[int, int], now: int, space: Space = HERE) -> None:
    """Count messages by lane; raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        queue(pipe, kind, lanes, now, space)
        pipe.execute()


def count_each(client: redis.Redis, kind: Count, accounts: Mapping[str, Mapping[int, int]], now: int) -> None:
    """Count messages by account and lane, all at once; raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        for account, lanes in accounts.items():
            queue(pipe, kind, lanes, now, keys.space_of(account))
        pipe.execute()


def recent(entries: Mapping[bytes, bytes], now: int) -> list[Missing]:
    """Return what the hash has of the last minutes."""
    known = {rows.text(name): rows.number(value) for name, value in entries.items()}
    every = (
        Missing(kind, lane, known.get(kind.field(lane), 0), known.get(f"{kind.field(lane)}:at", 0))
        for kind in KINDS
        for lane in keys.LANES
    )
    return [one for one in every if one.messages and one.last_at > now - RECENT_MS]


async def forget(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> None:
    """Delete the counts that are not recent."""
    entries: Any = await client.hgetall(keys.names(space).NUDGES)
    kept = {one.kind.field(one.lane) for one in recent(entries, now)}
    old = [name for name in entries if rows.text(name).removesuffix(":at") not in kept]
    if old:
        await client.hdel(keys.names(space).NUDGES, *old)
