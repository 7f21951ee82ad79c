"""Find: the messages that wait, are queued or are dead, by batch, tag, recipient, producer or lane.

There is no index for this: a million waiting messages would pay for it, and few are ever searched.  Redis looks
through the sets, 500 records in a call, some hundred thousand a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis

from producer import keys
from producer.scripts import Script
from producer.states import FINAL, Status

BATCH = 500
_find = Script(__file__, "find")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; an empty value matches all."""

    batch: str = ""
    tag: str = ""
    to: str = ""
    producer: str = ""
    lane: int = 0

    def __bool__(self) -> bool:
        """Tell whether it asks for anything."""
        return self != Filter()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One message; ``due_at`` is milliseconds of Unix time, 0 when it does not wait for a time."""

    id: str
    status: Status
    lane: int
    to: str
    due_at: int = 0
    batch: str = ""
    tags: str = ""
    producer: str = ""


def scheduled(
    client: redis.Redis, wanted: Filter, after: int = 0, before: int | None = None, most: int | None = None
) -> Iterator[Found]:
    """Return what waits for a time, the earliest first; ``after`` and ``before`` in milliseconds, ``most`` results."""
    given, seen, last = 0, 0, "+inf" if before is None else before
    while True:
        page: Any = client.zrange(keys.DUE, after, last, byscore=True, offset=seen, num=BATCH, withscores=True)
        for found in _matching(client, [one.decode() for one, _ in page], wanted):
            yield found
            given += 1
            if given == most:
                return
        if len(page) < BATCH:
            return
        furthest = int(page[-1][1])  # the next page begins there, behind those of that very time that were seen
        seen = sum(int(due) == furthest for _, due in page) + (seen if furthest == after else 0)
        after = furthest


def cancellable(client: redis.Redis, wanted: Filter) -> Iterator[Sequence[str]]:
    """Return the ids of what may still be cancelled, in lots: what waits, is queued, is dead, or is at the gateway.

    What is there all the while is found; what comes meanwhile may be.
    """
    for shelf in (keys.DUE, *keys.QUEUED.values(), keys.DEAD, keys.AWAITING):
        lot: set[str] = set()  # a scan may show the same twice, also what was cancelled meanwhile
        for member, _ in client.zscan_iter(shelf, count=BATCH):
            lot.add(member.decode())
            if len(lot) == BATCH:
                yield _ids(client, sorted(lot), wanted, shelf)
                lot = set()
        if lot:
            yield _ids(client, sorted(lot), wanted, shelf)


def _ids(client: redis.Redis, ids: Sequence[str], wanted: Filter, shelf: str) -> Sequence[str]:
    found = _matching(client, ids, wanted, at_gateway=shelf == keys.AWAITING)
    return [one.id for one in found if one.status not in FINAL]


def _matching(client: redis.Redis, ids: Sequence[str], wanted: Filter, *, at_gateway: bool = False) -> list[Found]:
    if not ids:
        return []
    said = [wanted.batch, wanted.tag, wanted.to, wanted.producer, wanted.lane or "", int(at_gateway)]
    rows = _find(client, [keys.record(one) for one in ids], said)
    found = []
    for position, status, lane, to, due, batch, tags, producer in rows:
        found.append(
            Found(
                id=ids[int(position) - 1],
                status=Status(status.decode()),
                lane=int(lane),
                to=to.decode(),
                due_at=int(due or 0),
                batch=batch.decode(),
                tags=tags.decode(),
                producer=producer.decode(),
            )
        )
    return found
