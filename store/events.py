"""Events: outcomes of messages, replies, and late messages, for producers.

The scripts write to the stream ``keys.EVENTS``.  Each application reads it with its own consumer group, in which its
processes share the work, or receives the events by webhook, as the same fields in JSON.  Either way an event is
delivered at least once, in any order; its ``id`` identifies duplicates.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec
import redis
from redis.exceptions import ResponseError

from threelane.contract.fields import LABEL
from threelane.runtime import logs
from threelane.store import keys

IDLE_SECONDS = 60.0
_SLICE_MS = 1000  # the longest single wait, below the client's socket time-out
_LOST = ("NOGROUP", "UNBLOCKED")


class EventType(StrEnum):
    """The type of an entry of the stream."""

    OUTCOME = "outcome"
    LATE = "late"
    REPLY = "reply"


class EventField(StrEnum):
    """A field of an entry of the stream; entries of messages also have fields of the record."""

    TYPE = "type"
    ID = "id"  # of the message, or of the reply
    MESSAGE = "message"  # the id of the message that a reply answers
    FROM = "from"
    TO = "to"
    TEXT = "text"
    AT = "at"  # when a reply was received, ms
    NETWORK = "network"
    INCOMPLETE = "incomplete"
    WORD = "word"
    LOOKS_LIKE_STOP = "looks_like_stop"  # no word, but a request to stop
    CAUSE = "cause"  # why a late message waits
    MEDIA = "media"  # how many files came with a reply
    MEDIA_TYPES = "media_types"
    MEDIA_OCTETS = "media_octets"
    ROUTE = "route"  # how the producer of a reply was found; versions that showed some replies to all have none


class Route(StrEnum):
    """How the producer that gets a reply was found; INBOX: it was not."""

    KEYWORD = "keyword"  # it owns the first word, on this number
    NUMBER = "number"  # it owns the number
    MESSAGE = "message"  # the reply names one of its messages
    TEXTED = "texted"  # it last texted this person from this number
    DEFAULT = "default"  # it gets the replies that belong to nobody else
    INBOX = "inbox"
    ASSIGNED = "assigned"  # by an operator, from the inbox


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The fields of every event; ``id`` identifies the event and is the same in each delivery."""

    id: str
    producer: str = ""


class Outcome(_Event, frozen=True, kw_only=True, tag="outcome"):
    """A message ended; times are milliseconds of Unix time, 0 if the step did not happen.

    ``status`` is delivered, undelivered, expired, cancelled, dead, unknown or emulated; ``code``, ``reason`` and
    ``owner`` explain a failure; ``charge_millionths`` is in millionths of a credit.
    """

    type: ClassVar[str] = "outcome"
    message_id: str
    client_message_id: str = ""
    status: str
    lane: int = 0
    to: str = ""
    parts: int = 0
    accepted_at: int = 0
    sent_at: int = 0
    ended_at: int = 0
    code: str = ""
    reason: str = ""
    owner: str = ""
    network_status: str = ""
    charge_millionths: int = 0


class Late(_Event, frozen=True, kw_only=True, tag="late"):
    """A message of lane 1 has no final receipt in time: use a fallback channel if you have one.

    ``status`` is where it is: queued, scheduled, sending, in_doubt or sent; ``cause`` is why it waits there: hold,
    retry, in_doubt, requeued, swept or newer, or "" if nothing has held it up.  ``sent_at`` is 0 if it was not sent.
    """

    type: ClassVar[str] = "late"
    message_id: str
    client_message_id: str = ""
    lane: int = 0
    to: str = ""
    sent_at: int = 0
    status: str = ""
    cause: str = ""


class Reply(_Event, frozen=True, kw_only=True, tag="reply"):
    """A recipient replied; ``sender`` is the recipient's number, ``to`` the number that received the reply.

    ``sender`` may also be a short code, or a name such as ``VODAFONE``.  ``message_id`` is the message of this producer
    that it answers, if known.  ``incomplete``: parts of a long reply are missing.  ``word`` is ``stop`` or ``start`` if
    the reply changed the suppression of the recipient, and ``help`` if it is a request for help.  ``looks_like_stop``:
    the text is no STOP word and still asks for an end of messages; with ``word`` "stop" the recipient is suppressed,
    without it the decision is yours.  ``route`` is why this producer gets it: keyword, number, message, texted, default
    or assigned.

    ``media`` is how many pictures, recordings or other files came with the reply, whose caption is the text.  They are
    not kept: ``media_types`` names their types, such as "image/jpeg, audio/ogg", and ``media_octets`` is their size
    together, as far as the gateway reported them.
    """

    type: ClassVar[str] = "reply"
    reply_id: str
    message_id: str = ""
    sender: str = ""
    to: str = ""
    text: str = ""
    received_at: int = 0
    network: str = ""
    incomplete: bool = False
    word: str = ""
    route: str = ""
    looks_like_stop: bool = False
    media: int = 0
    media_types: str = ""
    media_octets: int = 0


Event: TypeAlias = Outcome | Late | Reply

_MESSAGE = {"id": "message_id", "client": "client_message_id", "sent": "sent_at"}
_RENAMED = {  # type of event -> name of the field in the stream -> name in the event
    "outcome": _MESSAGE
    | {"accepted": "accepted_at", "ended": "ended_at", "network": "network_status", "charge": "charge_millionths"},
    "late": _MESSAGE,
    "reply": {"id": "reply_id", "message": "message_id", "from": "sender", "at": "received_at"},
}
Raw: TypeAlias = Mapping[bytes, bytes]
T = TypeVar("T")


def decode(event_id: str, raw: Raw) -> Event | None:
    """Return an entry of the stream as an event; None, and a log event, if this version cannot parse it."""
    named = {name.decode(): value.decode("utf-8", "replace") for name, value in raw.items()}
    renamed = _RENAMED.get(named.get("type", ""), {})
    fields = {renamed.get(name, name): value for name, value in named.items()} | {"id": event_id}
    try:
        event: Event = msgspec.convert(fields, Event, strict=False)
    except msgspec.ValidationError:
        logs.event("event_unreadable", level=30, id=event_id)
        return None
    return event


def from_json(body: bytes) -> Event:
    """Return the event in a webhook's body; raises msgspec.DecodeError for anything else."""
    try:
        event: Event = msgspec.json.decode(body, type=Event)
    except UnicodeDecodeError as broken:
        raise msgspec.DecodeError(f"not UTF-8: {broken.reason}") from None
    return event


def entries(found: Any) -> list[tuple[str, Raw]]:
    """Return ids and fields from a reply of XREADGROUP, in RESP2 or RESP3."""
    if isinstance(found, dict):  # RESP3, which wraps the entries of a stream in another list
        batches = [batch for wrapped in found.values() for batch in wrapped]
    else:
        batches = [batch for _, batch in found or []]
    return [(entry_id.decode(), fields) for batch in batches for entry_id, fields in batch if fields is not None]


def claimed(found: Any) -> tuple[bytes, list[tuple[str, Raw]]]:
    """Return the cursor and the claimed entries from a reply of XAUTOCLAIM."""
    return found[0], [(entry_id.decode(), fields) for entry_id, fields in found[1] if fields is not None]


def is_lost(failed: ResponseError) -> bool:
    """Return whether the group does not exist: create it, and repeat the command."""
    return str(failed).startswith(_LOST)


def is_there(failed: ResponseError) -> bool:
    """Return whether creating a group failed because it exists already."""
    return str(failed).startswith("BUSYGROUP")


def group_of(producer: str, group: str) -> str:
    """Return the group's name in Redis, which keeps equal names of different producers apart."""
    return f"reader|{producer}|{group}"


def read(
    client: redis.Redis, group: str, consumer: str, producer: str, *, count: int = 10, block_ms: int = 0
) -> list[Event]:
    """Return up to ``count`` new events of a producer, waiting up to ``block_ms`` for the first (0: no wait).

    They are pending for this consumer until ``ack``; events of other producers are acknowledged at once.  The first
    call creates the group, from the start of the stream.  Raises RedisError.
    """
    return _read(client, group, consumer, producer, count, block_ms)[0]


def _read(
    client: redis.Redis, group: str, consumer: str, producer: str, count: int, block_ms: int
) -> tuple[list[Event], bool]:
    """Return the same, and whether there may be more entries in the stream."""
    name = group_of(producer, group)
    wait = block_ms or None
    found = _with_group(client, name, lambda: client.xreadgroup(name, consumer, {keys.EVENTS: ">"}, count, block=wait))
    listed = entries(found)
    return _own_events(client, name, producer, listed), len(listed) >= count


def reclaim(
    client: redis.Redis, group: str, consumer: str, producer: str, *, idle_ms: int, count: int = 10
) -> list[Event]:
    """Return up to ``count`` events that are pending for at least ``idle_ms``."""
    name, start = group_of(producer, group), b"0-0"
    while True:
        claim = (keys.EVENTS, name, consumer, idle_ms, start.decode(), count)
        start, listed = claimed(_with_group(client, name, lambda claim=claim: client.xautoclaim(*claim)))  # type: ignore[misc]
        events = _own_events(client, name, producer, listed)
        if events or start == b"0-0":
            return events


def ack(client: redis.Redis, group: str, producer: str, *events: Event) -> None:
    """Acknowledge events, so that they are not delivered again."""
    _ack(client, group_of(producer, group), [event.id for event in events])


def is_for(producer: str, event: Event) -> bool:
    """Return whether an event is a producer's; "" is the producer of messages without a name.

    A reply with neither producer nor route is of an earlier version, which showed it to all: it belongs to nobody.
    """
    return event.producer == producer and not is_left_over(event)


def is_left_over(event: Event) -> bool:
    """Return whether a reply was published for all producers, as earlier versions do; it is shown with the inbox."""
    return isinstance(event, Reply) and not event.producer and not event.route


class EventReader:
    """Iterates over a producer's events, each at least once; use one reader per thread.

    ::

        for event in reader:
            match event:
                case Outcome(status="delivered"): ...
            reader.ack(event)

    The iteration ends after ``block_seconds`` without one of the producer's events (None: never), and can be started
    again.  Events of others do not prolong it, but it ends only when it has reached the end of the stream, since there
    may be own ones behind them.  An event that is not acknowledged within ``idle_seconds`` is delivered again, to any
    consumer of the group, so process one batch within that time.  Raises RedisError when Redis is unavailable; iterate
    again when it is back.
    """

    def __init__(
        self,
        client: redis.Redis,
        group: str,
        consumer: str,
        producer: str,
        *,
        block_seconds: float | None = 5.0,
        idle_seconds: float = IDLE_SECONDS,
        batch: int = 10,
    ) -> None:
        """Read as ``consumer`` (a name of this process) in ``group``; raises ValueError for an invalid name."""
        if producer and not LABEL.fullmatch(producer):
            raise ValueError(f"{producer!r} is not a producer name: up to 64 letters, digits, spaces and . _ : / -")
        if not group or not consumer:
            raise ValueError("give a group and a consumer: names of the application and of this process")
        self._client = client
        self._who = (group, consumer, producer)
        self._block_seconds = block_seconds
        self._idle_seconds = idle_seconds
        self._batch = batch
        self._buffer: deque[Event] = deque()
        self._reclaim_at = float("-inf")
        timeout = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._slice_ms = min(_SLICE_MS, max(1, int(timeout * 500))) if timeout else _SLICE_MS

    def __iter__(self) -> Iterator[Event]:
        """Yield events until none of the producer's arrives for ``block_seconds``."""
        while self._buffer or self._fetch():
            yield self._buffer.popleft()

    def ack(self, *events: Event) -> None:
        """Acknowledge events, so that they are not delivered again."""
        group, _, producer = self._who
        ack(self._client, group, producer, *events)

    def _fetch(self) -> bool:
        deadline = None if self._block_seconds is None else time.monotonic() + self._block_seconds
        while True:
            remaining = self._slice_ms if deadline is None else int((deadline - time.monotonic()) * 1000)
            block_ms = min(self._slice_ms, remaining)
            self._buffer.extend(self._reclaimed())
            has_more = False
            if not self._buffer:
                found, has_more = _read(self._client, *self._who, self._batch, max(0, block_ms))
                self._buffer.extend(found)
            if self._buffer or (remaining <= 0 and not has_more):
                return bool(self._buffer)

    def _reclaimed(self) -> list[Event]:
        if time.monotonic() < self._reclaim_at:
            return []
        idle_ms = int(self._idle_seconds * 1000)
        found = reclaim(self._client, *self._who, idle_ms=idle_ms, count=self._batch)
        if not found:  # otherwise there may be another batch
            self._reclaim_at = time.monotonic() + self._idle_seconds / 4
        return found


def _own_events(client: redis.Redis, name: str, producer: str, listed: list[tuple[str, Raw]]) -> list[Event]:
    decoded = [(entry_id, decode(entry_id, raw)) for entry_id, raw in listed]
    own = [event for _, event in decoded if event and is_for(producer, event)]
    kept = {event.id for event in own}
    _ack(client, name, [entry_id for entry_id, _ in decoded if entry_id not in kept])
    return own


def _ack(client: redis.Redis, name: str, ids: list[str]) -> None:
    if ids:
        client.xack(keys.EVENTS, name, *ids)


def _with_group(client: redis.Redis, name: str, command: Callable[[], T]) -> T:
    """Run a command of a group; if the group does not exist, create it and repeat the command."""
    try:
        return command()
    except ResponseError as failed:
        if not is_lost(failed):
            raise
    try:
        client.xgroup_create(keys.EVENTS, name, id="0", mkstream=True)
    except ResponseError as failed:
        if not is_there(failed):
            raise
    return command()
