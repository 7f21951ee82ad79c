"""Inbox: replies that belong to no producer, for operators: list them, assign one to a producer, or dismiss it.

Replies of earlier versions that were published for all producers are in the stream of events; they are listed, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio

from threelane.contract.schedule import DAY
from threelane.runtime import logs
from threelane.store import events, keys, rows
from threelane.store.events import EventField, Reply
from threelane.store.keys import StreamKey
from threelane.store.record import Field
from threelane.store.registry import check_name
from threelane.store.scripts import number, script
from threelane.store.spaces import spaces
from threelane.store.tally import Count

MOST = 10_000
"""How many replies the inbox keeps, the latest; the same as in reply.lua."""
REMOVED_AT = "removed_unread_at"
"""When a reply was last removed unread, ms: a field of the hash ``tl:tally``; the same as in reply.lua."""
REMOVED_SHOWN_MS = 7 * DAY
BATCH = 1_000
_STREAMS = (keys.INBOX, keys.EVENTS)


class Removal(StrEnum):
    """What removed a reply from the inbox that no operator had assigned or dismissed."""

    NEWER = "newer"  # ones, beyond MOST
    AGE = "age"


class RemovedUnread(NamedTuple):
    """How many replies ever left the inbox unread, and when the last did, in milliseconds."""

    replies: int
    last_at: int


class Unassigned(NamedTuple):
    """A reply that belongs to no producer, and the stream that has it."""

    reply: Reply
    stream: StreamKey


@script(__file__, number)
def _assign(*, stream: StreamKey, id: str, entry: list[str]) -> None:
    """Move a reply to a producer's events; returns 1, or 0 if the stream no longer has it."""


def size(client: redis.Redis) -> int:
    """Return how many replies are in the inbox."""
    return int(rows.unless_damaged(keys.INBOX, lambda: client.xlen(keys.INBOX), 0))


def removed_unread(client: redis.Redis, now: int) -> RemovedUnread | None:
    """Return how many replies left the inbox unread, or None if none did within the last 7 days.

    The inbox is one for all accounts; what a reply of one of them removed is counted there.
    """
    fields, latest, replies = [REMOVED_AT, *(Count.REMOVED_UNREAD.field(one) for one in Removal)], 0, 0
    for tally in [keys.names(space).TALLY for space in spaces(client)]:
        found = rows.unless_damaged(tally, lambda tally=tally: client.hmget(tally, fields), [])  # type: ignore[misc]
        last_at, *numbers = [rows.number(one) for one in found] or [0]
        latest, replies = max(latest, last_at), replies + sum(numbers)
    return RemovedUnread(replies, latest) if now - latest < REMOVED_SHOWN_MS else None


async def remove_old(client: redis.asyncio.Redis, before: int, now: int) -> None:
    """Remove the replies that came before a time (ms), and count them."""
    trim = client.xtrim(keys.INBOX, minid=str(before), approximate=False)
    removed = await rows.unless_damaged_async(keys.INBOX, trim)
    if removed:
        logs.event("removed_unread", level=30, replies=removed, removed_by=Removal.AGE)
        async with client.pipeline(transaction=True) as pipe:
            pipe.hincrby(keys.TALLY, Count.REMOVED_UNREAD.field(Removal.AGE), removed)
            pipe.hset(keys.TALLY, REMOVED_AT, now)
            await pipe.execute()


def unassigned(client: redis.Redis) -> Iterator[Unassigned]:
    """Yield the replies of the inbox, the oldest first, then those that earlier versions published for all."""
    for stream in _STREAMS:
        for event_id, raw in _entries(client, stream):
            if found := _reply(event_id, raw, stream):
                yield found


def find(client: redis.Redis, event_id: str) -> Unassigned | None:
    """Return a reply by the id of its event, or None if no such reply waits for a producer."""
    for stream in _STREAMS:
        for found_id, raw in _range(client, stream, event_id, event_id):
            if found := _reply(found_id, raw, stream):
                return found
    return None


def assign(client: redis.Redis, found: Unassigned, producer: str) -> bool:
    """Publish a reply to a producer; returns False if it was assigned or dismissed meanwhile.  Raises ValueError."""
    check_name(producer)
    ((_, raw),) = _range(client, found.stream, found.reply.id, found.reply.id) or [("", None)]
    if raw is None:
        return False
    fields = {rows.text(name): rows.text(value) for name, value in raw.items()}
    fields |= {Field.PRODUCER: producer, EventField.ROUTE: events.Route.ASSIGNED}
    entry = [text for pair in fields.items() for text in pair]
    return _assign(client, stream=found.stream, id=found.reply.id, entry=entry) == 1


def dismiss(client: redis.Redis, found: Unassigned) -> bool:
    """Delete a reply; returns whether it was still there."""
    return bool(client.xdel(found.stream, found.reply.id))


def _reply(event_id: str, raw: Any, stream: StreamKey) -> Unassigned | None:
    if raw.get(b"type") != events.EventType.REPLY.encode():
        return None
    event = events.decode(event_id, raw)
    if not isinstance(event, Reply) or (stream == keys.EVENTS and not events.is_left_over(event)):
        return None
    return Unassigned(msgspec.structs.replace(event, producer=""), stream)


def _entries(client: redis.Redis, stream: StreamKey) -> Iterator[tuple[str, Any]]:
    first = "-"
    while page := _range(client, stream, first, "+"):
        yield from page
        first = f"({page[-1][0]}"


def _range(client: redis.Redis, stream: StreamKey, first: str, last: str) -> list[tuple[str, Any]]:
    found = rows.unless_damaged(stream, lambda: client.xrange(stream, first, last, count=BATCH), [])
    return [(event_id.decode(), raw) for event_id, raw in found]
