"""Batches: which messages each batch ever accepted, whom they reach and how they ended.

A batch is a producer and a name.  Its own hash (``tl:batch:<digest>``) has both, and its times; it is kept 400 days
after its last message.  Its rows (``tl:batch-rows:<digest>``) are kept 90 days by default: the field is the id of the
message, the value the tag of its subscriber and, once it ended, its outcome.  ``tl:batches`` lists all digests.

Rows that a version before batches accepted have ids that follow from their place in a file; ``add_former`` lists them.
For each that a file has now, the same hash has an entry from the id that follows from its content to that former id.

A tag does not tell who somebody is, and differs between batches; an erasure sets it to zeros, and keeps the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache, partial
from hashlib import blake2b, sha1
from typing import Any, NamedTuple

import msgspec
import redis

from threelane.contract import message_id
from threelane.contract.message import Message
from threelane.contract.schedule import DAY
from threelane.store import keys
from threelane.store.keys import BATCHES, BatchKey
from threelane.store.rows import is_text, number, text, unless_damaged
from threelane.store.rows import known as reply_of
from threelane.store.scripts import Item

KEPT_MS = 400 * DAY
ROWS_KEPT_MS = 90 * DAY
SLICE = 500  # rows that one command reads, so that Redis is free for others after a millisecond
MOST_LOOKED_AT = 10_000  # batches of others, for one page of the list
TAG_OCTETS = 6
ERASED = bytes(TAG_OCTETS)
"""The tag of a person whose data was erased."""
_SAME_AS = b"="
"""How the field of an entry begins that leads to a former id."""


class BatchField(StrEnum):
    """A field of a batch's own hash; times are milliseconds of Unix time."""

    PRODUCER = "producer"
    NAME = "name"
    STARTED = "started"  # when its first message was accepted
    LAST = "last"  # when its latest one was
    ACCEPTED = "accepted"  # how many ever were
    COPIED = "copied"  # when a worker last copied outcomes
    FORMER = "former"  # how many of its entries lead to ids of earlier versions
    CLOSED = "closed"  # how many of its rows do not change any more, by then


_OWN = (BatchField.PRODUCER, BatchField.NAME, BatchField.STARTED, BatchField.LAST, BatchField.ACCEPTED)


class NewBatch(Item, frozen=True):
    """A batch of a call of accept."""

    digest: str
    producer: str
    name: str


class BatchRow(Item, frozen=True):
    """A message of such a batch; both positions count from 1, id and tag are octets."""

    message: int
    batch: int
    id: msgspec.Raw
    tag: msgspec.Raw


class FormerRow(NamedTuple):
    """A message that a version before batches accepted; ``same_as`` is the id of its row by content, "" if unknown."""

    id: str
    to: str  # the subscriber; empty if the person was erased
    accepted_at: int
    same_as: str = ""


class Listing(msgspec.Struct, frozen=True):
    """The arguments of accept by which batches list their messages."""

    batches: Sequence[NewBatch] = ()
    rows: Sequence[BatchRow] = ()
    keys: tuple[BatchKey, ...] = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch; times in milliseconds of Unix time.

    ``accepted`` is the number of messages that were ever accepted into it; ``ends`` is when its rows are forgotten, 0
    if they are.
    """

    producer: str
    name: str
    started: int
    last_accepted: int
    accepted: int
    ends: int

    @property
    def digest(self) -> str:
        """Its digest, as in the names of its keys."""
        return digest(self.producer, self.name)


NO_BATCH = Listing()


@lru_cache(maxsize=1024)
def digest(producer: str, name: str) -> str:
    """Return the part of a batch's keys that identifies it; SHA-1, since pause.lua has to compute it, too."""
    return sha1(f"{producer}\n{name}".encode(), usedforsecurity=False).hexdigest()


def subscriber_tag(batch: str, to: str) -> bytes:
    """Return the tag of a subscriber in the batch with this digest; ``to`` is the present spelling of the number."""
    return blake2b(to.encode(), digest_size=TAG_OCTETS, key=bytes.fromhex(batch)).digest()


def listing(messages: Sequence[Message]) -> Listing:
    """Return how the batches of these messages list them."""
    if not any(one.batch for one in messages):
        return NO_BATCH
    places: dict[str, int] = {}
    batches: list[NewBatch] = []
    found: list[BatchRow] = []
    names: list[BatchKey] = []
    for at, one in enumerate(messages, 1):
        if one.batch:
            own = digest(one.producer, one.batch)
            if own not in places:
                batches.append(NewBatch(own, one.producer, one.batch))
                names += keys.batch(own), keys.batch_rows(own)
            place = places.setdefault(own, len(batches))
            found.append(BatchRow(at, place, octets(message_id.octets(one.id)), octets(subscriber_tag(own, one.to))))
    return Listing(batches, found, tuple(names))


def known(client: redis.Redis, producer: str, name: str, ids: Sequence[str]) -> list[bool]:
    """Return for each message id whether the batch ever accepted it, also after its record expired."""
    key = keys.batch_rows(digest(producer, name))
    found: list[bool] = []
    for start in range(0, len(ids), SLICE):
        fields = [message_id.octets(one) for one in ids[start : start + SLICE]]
        values = unless_damaged(key, partial(client.hmget, key, fields), [None] * len(fields))
        found += [one is not None for one in values]
    return found


def rows_from(client: redis.Redis, batch: str, cursor: int) -> tuple[int, list[tuple[str, bytes]]]:
    """Return the next cursor, 0 after the last page, and some rows: message id and value; some may come twice."""
    key = keys.batch_rows(batch)
    page: Any = unless_damaged(key, partial(client.hscan, key, cursor, count=SLICE), (0, {}))
    after, found = page
    return after, [(message_id.from_octets(field), value) for field, value in found.items() if is_row(field)]


def former_ids(client: redis.Redis, producer: str, name: str, ids: Sequence[str]) -> list[str]:
    """Return for each id the one under which a version before batches accepted the same row, or ""."""
    key = keys.batch_rows(digest(producer, name))
    found: list[str] = []
    for start in range(0, len(ids), SLICE):
        fields = [_SAME_AS + message_id.octets(one) for one in ids[start : start + SLICE]]
        values = unless_damaged(key, partial(client.hmget, key, fields), [None] * len(fields))
        found += [message_id.from_octets(one) if one else "" for one in values]
    return found


def add_former(
    client: redis.Redis, producer: str, name: str, former: Sequence[FormerRow], rows_kept_ms: int, now: int
) -> None:
    """List messages that a version before batches accepted; what is listed already stays as it is.

    The rows come before their count: a run that is cut off between the two leaves no batch that seems to lack rows.
    """
    batch = NewBatch(digest(producer, name), producer, name)
    for start in range(0, len(former), SLICE):
        part = former[start : start + SLICE]
        rows_key = keys.batch_rows(batch.digest)
        with client.pipeline(transaction=True) as pipe:
            for one in part:
                tag = subscriber_tag(batch.digest, one.to) if one.to else ERASED
                pipe.hsetnx(rows_key, message_id.octets(one.id), tag)
            for one in part:
                if one.same_as:
                    pipe.hsetnx(rows_key, _SAME_AS + message_id.octets(one.same_as), message_id.octets(one.id))
            added: Sequence[int] = unless_damaged(rows_key, pipe.execute, [0] * len(part))
        _count_former(client, batch, part, added, rows_kept_ms, now)


def _count_former(
    client: redis.Redis, batch: NewBatch, part: Sequence[FormerRow], added: Sequence[int], rows_kept_ms: int, now: int
) -> None:
    """Count the rows of earlier versions that were added, those first, and the entries that lead to them."""
    times = [one.accepted_at for one in part if one.accepted_at]
    key = keys.batch(batch.digest)
    with client.pipeline(transaction=True) as pipe:
        pipe.hsetnx(key, BatchField.PRODUCER, batch.producer)
        pipe.hsetnx(key, BatchField.NAME, batch.name)
        pipe.hsetnx(key, BatchField.STARTED, str(min(times, default=now)))
        pipe.hsetnx(key, BatchField.LAST, str(max(times, default=now)))
        pipe.hincrby(key, BatchField.ACCEPTED, sum(added[: len(part)]))
        pipe.hincrby(key, BatchField.FORMER, sum(added[len(part) :]))
        pipe.pexpire(key, max(KEPT_MS, rows_kept_ms))
        pipe.pexpire(keys.batch_rows(batch.digest), rows_kept_ms)
        pipe.zadd(BATCHES, {batch.digest: now})
        unless_damaged(key, pipe.execute, None)


def rows_left(client: redis.Redis, batch: str) -> int:
    """Return how many rows the batch with this digest has."""
    key = keys.batch_rows(batch)
    entries = unless_damaged(key, partial(client.hlen, key), 0)
    own = keys.batch(batch)
    return int(entries) - number(unless_damaged(own, partial(client.hget, own, BatchField.FORMER), None))


def rows_of(client: redis.Redis, batch: str) -> Iterator[tuple[str, bytes]]:
    """Yield the message id and the value of each row of the batch with this digest, once each."""
    seen, cursor = set[bytes](), 0
    while True:
        cursor, found = rows_from(client, batch, cursor)
        for one, value in found:
            if (field := message_id.octets(one)) not in seen:
                seen.add(field)
                yield one, value
        if not cursor:
            return


def is_row(field: bytes) -> bool:
    """Return whether a field of a batch's rows is the id of a message, and its value a tag and an outcome."""
    return message_id.is_octets(field)


def rows(client: redis.Redis, producer: str, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the message id and the subscriber's tag of each row of a batch."""
    return ((one, value[:TAG_OCTETS]) for one, value in rows_of(client, digest(producer, name)))


def find(client: redis.Redis, producer: str, name: str) -> Batch | None:
    """Return a batch, or None if no message was accepted into it in 400 days."""
    return by_digest(client, digest(producer, name))


def by_digest(client: redis.Redis, batch: str) -> Batch | None:
    """Return the batch with this digest, or None."""
    return _read(client, [batch])[0]


def listed(client: redis.Redis, producer: str | None = None) -> Iterator[Batch]:
    """Yield all batches, or those of a producer, the latest first."""
    after: Place | None = None
    while places := _places(client, after):
        after = places[-1]
        found = _read(client, [one.digest for one in places])
        yield from (one for one in found if one and producer in (None, one.producer))


class Place(msgspec.Struct, frozen=True):
    """A place in the list of all batches: after the batch with this digest, and the time of its last message, ms."""

    at: int
    digest: str


class BatchPage(msgspec.Struct, frozen=True):
    """Some batches, the latest first, and the place after them; None after the last one."""

    batches: Sequence[Batch]
    after: Place | None


def page(client: redis.Redis, producer: str | None, most: int, after: Place | None = None) -> BatchPage:
    """Return up to ``most`` batches, of a producer or of all; ends early after MOST_LOOKED_AT batches of others.

    A batch that gets a message meanwhile moves to the beginning of the list; no other one is left out.
    """
    found: list[Batch] = []
    looked_at = 0
    while looked_at < MOST_LOOKED_AT:
        places = _places(client, after)
        looked_at += len(places)
        for place, one in zip(places, _read(client, [one.digest for one in places]), strict=True):
            after = place
            if one and producer in (None, one.producer):
                found.append(one)
                if len(found) == most:
                    return BatchPage(found, after)
        if not places:
            return BatchPage(found, None)
    return BatchPage(found, after)


def _places(client: redis.Redis, after: Place | None) -> list[Place]:
    """Return the next places of the list; empty at its end."""
    highest, skipped = after.at if after else "+inf", 0
    while True:
        read: Any = partial(
            client.zrange, BATCHES, highest, "-inf", desc=True, byscore=True, offset=skipped, num=SLICE, withscores=True
        )
        found = unless_damaged(BATCHES, read, [])
        places = [Place(int(score), member.decode()) for member, score in found if is_text(member)]
        new = [one for one in places if after is None or (one.at, one.digest) < (after.at, after.digest)]
        if new or not found:
            return new
        skipped += len(found)  # all of them have the time of the place, and come before it


def _read(client: redis.Redis, digests: Sequence[str]) -> list[Batch | None]:
    """Return these batches in their order; None for one that is forgotten or damaged."""
    with client.pipeline(transaction=False) as pipe:
        for one in digests:
            pipe.hmget(keys.batch(one), _OWN)
            pipe.pexpiretime(keys.batch_rows(one))
        replies = pipe.execute(raise_on_error=False)
    pairs = zip(digests, replies[::2], replies[1::2], strict=True)
    return [_batch(reply_of(keys.batch(one), own, [None] * len(_OWN)), ends) for one, own, ends in pairs]


def _batch(own: Sequence[bytes | None], ends: Any) -> Batch | None:
    producer, name, started, last, accepted = own
    if not name:
        return None
    return Batch(
        producer=text(producer),
        name=text(name),
        started=number(started),
        last_accepted=number(last),
        accepted=number(accepted),
        ends=max(ends, 0) if isinstance(ends, int) else 0,
    )


def octets(raw: bytes) -> msgspec.Raw:
    """Return octets as a script can read them: as a string of msgpack, whose bytes need not be UTF-8."""
    size = len(raw)
    head = bytes([0xA0 | size]) if size < 32 else b"\xda" + size.to_bytes(2, "big")
    return msgspec.Raw(head + raw)
