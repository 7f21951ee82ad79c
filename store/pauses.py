"""Pauses: which batches are paused, since when and by whom, and how many of their messages wait for that.

A paused message is in ``tl:paused``, by the end of its validity, and in ``tl:paused-order``, by its batch and in the
order to be sent.  Scripts find out whether a batch is paused by the digest of its producer and name: while none is,
that costs one command in a script.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal

import msgspec
import redis

from threelane.store import audit, keys, rows
from threelane.store.batches import SLICE, digest
from threelane.store.scripts import Item, number, script
from threelane.store.spaces import spaces

FORGOTTEN_MS = 90 * 24 * 3600 * 1000
"""How long a pause without messages is kept: as long as the rows of its batch."""


@script(__file__, number)
def complete(*, digest: str, was: str, row: str) -> None:
    """Note that the messages of a paused batch are put aside; does nothing if its pause has ended or changed."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """The pause of one batch; ``since`` in milliseconds.  ``state`` is moving until all its messages are put aside."""

    producer: str
    name: str
    since: int
    by: str
    state: Literal["moving", "complete"] = "moving"


def commands(producer: str, name: str) -> tuple[str, str]:
    """Return the commands that resume and cancel a batch, for a shell; its name is last, since it may begin with -."""
    of = f"--producer={shlex.quote(producer)} " if producer else ""
    words = of + ("-- " if name.startswith("-") else "") + shlex.quote(name)
    return f"threelane batch resume {words}", f"threelane batch cancel {words}"


class PausedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A pause and what waits for its end: messages by lane, and since when the oldest of each lane waits, ms."""

    pause: Pause
    messages: Mapping[int, int]
    oldest: Mapping[int, int]

    @property
    def total(self) -> int:
        """All its paused messages."""
        return sum(self.messages.values())


class Member(Item, frozen=True):
    """A member of the order of paused messages: the field ``paused`` of its record, and its id."""

    note: str
    id: str


def begin(client: redis.Redis, producer: str, name: str, now: int, by: str = "") -> Pause:
    """Pause a batch: from now on no message of it is claimed; one that is paused stays as it is."""
    who = by or audit.user()
    started = Pause(producer=producer, name=name, since=now, by=who)
    field = digest(producer, name)
    if client.hget(keys.PAUSES, field) is None:
        client.hset(keys.PAUSES, field, msgspec.json.encode(started))
        return started
    return find(client, producer, name) or started


def end(client: redis.Redis, producer: str, name: str) -> bool:
    """End the pause of a batch; returns whether it was paused."""
    return bool(client.hdel(keys.PAUSES, digest(producer, name)))


def completing(one: Pause) -> dict[str, str]:
    """Return the arguments of ``complete`` for a pause whose messages are put aside."""
    after = msgspec.structs.replace(one, state="complete")
    was, row = (msgspec.json.encode(each).decode() for each in (one, after))
    return {"digest": digest(one.producer, one.name), "was": was, "row": row}


def find(client: redis.Redis, producer: str, name: str) -> Pause | None:
    """Return the pause of a batch, or None; one whose row is unreadable is paused since an unknown time (0)."""
    return _readable(producer, name, rows.entry(client, keys.PAUSES, digest(producer, name)))


def of(client: redis.Redis, names: Sequence[tuple[str, str]]) -> list[Pause | None]:
    """Return for each producer and name the pause of that batch, or None, as ``find`` does."""
    found: list[Pause | None] = []
    for start in range(0, len(names), SLICE):
        found += _of_slice(client, names[start : start + SLICE])
    return found


def since(client: redis.Redis, names: Sequence[tuple[str, str]]) -> list[int | None]:
    """Return for each producer and name since when that batch is paused, 0 for an unknown time; None: it is not."""
    return [one.since if one else None for one in of(client, names)]


def listed(client: redis.Redis) -> list[PausedBatch]:
    """Return the readable pauses, the oldest first; the cost depends on the number of pauses alone."""
    found = read_all(client)
    orders = [keys.names(space).PAUSED_ORDER for space in spaces(client)]  # a batch may be of several accounts
    with client.pipeline(transaction=False) as pipe:
        for one, lane, order in product(found, keys.LANES, orders):
            first, after = bounds(f"{digest(one.producer, one.name)}:{lane}")
            pipe.zlexcount(order, first, after)
            pipe.zrange(order, first, after, bylex=True, offset=0, num=1)
        replies = iter(pipe.execute())
    return [_paused(one, replies, len(orders)) for one in found]


def read_all(client: redis.Redis) -> list[Pause]:
    """Return the readable pauses without their messages, the oldest first."""
    table = rows.table(client, keys.PAUSES)
    found = (rows.decode(keys.PAUSES, field, raw, decode) for field, raw in table.items())
    return sorted((one for one in found if one), key=lambda one: one.since)


def expiring(client: redis.Redis, until: int) -> int:
    """Return how many paused messages expire by a time, ms."""
    return sum(int(client.zcount(keys.names(space).PAUSED, "-inf", until)) for space in spaces(client))


def bounds(prefix: str) -> tuple[str, str]:
    """Return the bounds of the members with a prefix: of a batch, or of a lane of it."""
    return f"[{prefix}:", f"({prefix};"  # ";" follows ":"


def members(found: Sequence[bytes]) -> list[Member]:
    """Return the readable ones of these members."""
    texts = (one.decode() for one in found if rows.is_text(one))
    return [Member(*one.rsplit(":", 1)) for one in texts if one.count(":") == 3]


def decode(raw: bytes) -> Pause:
    """Return a row; raises msgspec.MsgspecError."""
    return msgspec.json.decode(raw, type=Pause)


def _of_slice(client: redis.Redis, names: Sequence[tuple[str, str]]) -> list[Pause | None]:
    fields = [digest(*one) for one in names]
    found: Any = rows.unless_damaged(keys.PAUSES, lambda: client.hmget(keys.PAUSES, fields), [None] * len(fields))
    return [_readable(*one, raw) for one, raw in zip(names, found, strict=True)]


def _readable(producer: str, name: str, raw: bytes | None) -> Pause | None:
    if raw is None:
        return None
    unreadable = Pause(producer=producer, name=name, since=0, by="")
    return rows.decode(keys.PAUSES, digest(producer, name), raw, decode) or unreadable


def _paused(one: Pause, replies: Iterator[Any], accounts: int) -> PausedBatch:
    lanes = {lane: [(next(replies), members(next(replies))) for _ in range(accounts)] for lane in keys.LANES}
    since = {
        lane: [int(first[0].note.rpartition(":")[2]) for _, first in found if first] for lane, found in lanes.items()
    }
    return PausedBatch(
        pause=one,
        messages={lane: sum(count for count, _ in found) for lane, found in lanes.items()},
        oldest={lane: min(found) for lane, found in since.items() if found},
    )
