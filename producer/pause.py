"""Pause: no message of a paused batch is sent; its waiting messages go to an index of their own, and come back.

The pause is noted first: from then on no script lets a message of the batch go to its lane.  What waits already is then
moved in slices, so that Redis is free for others between them.  A command that was killed on the way is completed by
running it again, or by the workers: worker/upkeep/pauses.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import redis
import redis.asyncio

from threelane.producer.nudge import Nudger
from threelane.runtime import logs
from threelane.store import batches, keys, pauses
from threelane.store.keys import HERE, RecordKey, Space
from threelane.store.pauses import Member
from threelane.store.scripts import script, texts, words
from threelane.store.spaces import Placed, in_its_space, in_its_space_async, spaces

SLICE = 100  # messages of one script, a few milliseconds of Redis


@script(__file__, words)
def _pause(*, records: Sequence[RecordKey], now: int, ids: Sequence[str]) -> None:
    """Put messages of paused batches aside; returns which were."""


@script(__file__, texts)
def _resume(*, records: Sequence[RecordKey], now: int, members: Sequence[Member]) -> None:
    """Put messages back; returns the lane of each that is due, and ``scheduled`` for each that is not."""


class PauseResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a pause or a resume of a batch did.

    ``messages`` is the number that was put aside or back now.  ``since`` (ms) and ``by`` are of the pause; since 0: it
    was not paused.
    """

    messages: int
    since: int
    by: str = ""


def pause(client: redis.Redis, producer: str, name: str, ids: Iterable[str], now: int, by: str = "") -> PauseResult:
    """Pause a batch; ``ids`` are those of all its messages, in any state.

    Afterwards none of its messages waits on a lane, and none gets there.  An attempt in progress goes on; if it is to
    be repeated, that waits, too.
    """
    one = pauses.begin(client, producer, name, now, by)
    moved, rest = 0, iter(ids)

    def call(space: Space, some: Sequence[str]) -> Sequence[str]:
        return _pause.within(space)(client, records=keys.records(some), now=now, ids=some)

    while batch := list(islice(rest, SLICE)):
        moved += _number_moved(in_its_space(batch, call))
    pauses.complete(client, **pauses.completing(one))
    logs.event("batch_paused", batch=name, producer=producer, messages=moved)
    return PauseResult(messages=moved, since=one.since, by=one.by)


def resume(client: redis.Redis, nudger: Nudger, producer: str, name: str, now: int) -> PauseResult:
    """End the pause of a batch: its messages go back, lane 1 first, in the order in which they wait.

    What was to be sent later waits for its time again.  Validity went on during the pause: what is past it ends as
    expired.
    """
    one = pauses.find(client, producer, name)
    pauses.end(client, producer, name)
    moved = 0
    for space in spaces(client):
        for members, lanes in _slices(client, batches.digest(producer, name), now, space):
            moved += members
            for lane in sorted(lanes):
                nudger.publish(lane, lanes[lane], space.account)
    logs.event("batch_resumed", batch=name, producer=producer, messages=moved)
    return PauseResult(messages=moved, since=one.since if one else 0, by=one.by if one else "")


def _slices(
    client: redis.Redis, digest: str, now: int, space: Space
) -> Iterator[tuple[int, Mapping[int, Sequence[str]]]]:
    """Put a batch's messages of one account back slice by slice; yields how many, and by lane the ids to be nudged."""
    first, after = pauses.bounds(digest)
    while True:
        found: Any = client.zrange(keys.names(space).PAUSED_ORDER, first, after, bylex=True, offset=0, num=SLICE)
        if not found:
            return
        members = pauses.members(found)
        records = keys.records(one.id for one in members)
        answers = _resume.within(space)(client, records=records, now=now, members=members)
        yield sum(map(bool, answers)), due(members, answers)
        first = f"({found[-1].decode()}"


async def put_slice_back(
    client: redis.asyncio.Redis, digest: str, now: int, space: Space = HERE
) -> tuple[int, dict[int, list[str]]]:
    """Put a slice of a batch's messages of one account back; returns how many, and by lane the ids to be nudged."""
    first, after = pauses.bounds(digest)
    found: Any = await client.zrange(keys.names(space).PAUSED_ORDER, first, after, bylex=True, offset=0, num=SLICE)
    members = pauses.members(found)
    records = keys.records(one.id for one in members)
    answers = await _resume.within(space).run(client, records=records, now=now, members=members)
    return len(found), due(members, answers)


async def put_aside(client: redis.asyncio.Redis, ids: Sequence[str], now: int) -> int:
    """Put those of these messages aside that wait, and whose batch is paused; returns how many."""
    moved = 0

    async def call(space: Space, some: Sequence[str]) -> Sequence[str]:
        return await _pause.within(space).run(client, records=keys.records(some), now=now, ids=some)

    for start in range(0, len(ids), SLICE):
        moved += _number_moved(await in_its_space_async(ids[start : start + SLICE], call))
    return moved


def _number_moved(placed: Sequence[Placed]) -> int:
    return sum(one.reply == "1" for one in placed)


def due(members: Sequence[Member], answers: Sequence[str]) -> dict[int, list[str]]:
    """Return by lane the messages that are due again."""
    lanes: dict[int, list[str]] = defaultdict(list)
    for one, lane in zip(members, answers, strict=True):
        if lane.isdigit():
            lanes[int(lane)].append(one.id)
    return lanes
