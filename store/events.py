"""Events: what became of messages, and what recipients replied, as producers read it.

The scripts write to the stream ``keys.EVENTS``.  Each application reads it with a consumer group of its own, in which
its processes share the work; or it has the events brought by a webhook, as the same fields in JSON.  Either way an
event comes at least once, in no promised order; the ``id`` of an event tells a second one from the first.
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
_SLICE_MS = 1000  # the longest single wait; a client's socket gives up after a few seconds
_LOST = ("NOGROUP", "UNBLOCKED")


class EventType(StrEnum):
    """What an entry of the stream tells of."""

    OUTCOME = "outcome"
    LATE = "late"
    REPLY = "reply"


class EventField(StrEnum):
    """A field of an entry of the stream; what tells of a message has fields of its record besides."""

    TYPE = "type"
    ID = "id"  # of the message, or of the reply
    MESSAGE = "message"  # the id of the one that a reply answers
    FROM = "from"
    TO = "to"
    TEXT = "text"
    AT = "at"  # when a reply was received, ms
    NETWORK = "network"
    INCOMPLETE = "incomplete"
    WORD = "word"


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all events have: ``id`` is the event's own, the same however often it comes."""

    id: str
    producer: str = ""


class Outcome(_Event, frozen=True, kw_only=True, tag="outcome"):
    """A message reached its end; times are milliseconds of Unix time, 0 when it has not happened.

    ``status`` is delivered, undelivered, expired, cancelled, dead, unknown or emulated; ``code``, ``reason`` and
    ``owner`` tell why when it is no success; ``charge_millionths`` is in millionths of a credit.
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
    """A message of lane 1 was sent, and no receipt came in time: fall back to another way if you have one."""

    type: ClassVar[str] = "late"
    message_id: str
    client_message_id: str = ""
    lane: int = 0
    to: str = ""
    sent_at: int = 0


class Reply(_Event, frozen=True, kw_only=True, tag="reply"):
    """A recipient wrote: ``sender`` is the handset, ``to`` our number.

    ``message_id`` is the message that it answers, if that is known; without one ``producer`` is empty and every
    producer gets it.  ``incomplete``: parts of a long reply never came.  ``word`` is ``stop`` or ``start`` when the
    reply changed whether we may send.
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


Event: TypeAlias = Outcome | Late | Reply

_MESSAGE = {"id": "message_id", "client": "client_message_id", "sent": "sent_at"}
_SPELT = {  # type of event -> the stream's names of fields -> ours, where they differ
    "outcome": _MESSAGE
    | {"accepted": "accepted_at", "ended": "ended_at", "network": "network_status", "charge": "charge_millionths"},
    "late": _MESSAGE,
    "reply": {"id": "reply_id", "message": "message_id", "from": "sender", "at": "received_at"},
}
Raw: TypeAlias = Mapping[bytes, bytes]
T = TypeVar("T")


def decode(event_id: str, raw: Raw) -> Event | None:
    """Return an entry of the stream as an event; None when this version cannot read it, which is logged."""
    named = {name.decode(): value.decode("utf-8", "replace") for name, value in raw.items()}
    spelt = _SPELT.get(named.get("type", ""), {})
    fields = {spelt.get(name, name): value for name, value in named.items()} | {"id": event_id}
    try:
        event: Event = msgspec.convert(fields, Event, strict=False)
    except msgspec.ValidationError:
        logs.event("event_unreadable", level=30, id=event_id)
        return None
    return event


def from_json(body: bytes) -> Event:
    """Return the event in a webhook's body; raises msgspec.DecodeError when it is none."""
    try:
        event: Event = msgspec.json.decode(body, type=Event)
    except UnicodeDecodeError as broken:
        raise msgspec.DecodeError(f"not UTF-8: {broken.reason}") from None
    return event


def entries(found: Any) -> list[tuple[str, Raw]]:
    """Return ids and fields of what XREADGROUP answered, in either of Redis's protocols."""
    if isinstance(found, dict):  # RESP3, where the entries of a stream are wrapped in one more list
        batches = [batch for wrapped in found.values() for batch in wrapped]
    else:
        batches = [batch for _, batch in found or []]
    return [(entry_id.decode(), fields) for batch in batches for entry_id, fields in batch if fields is not None]


def claimed(found: Any) -> tuple[bytes, list[tuple[str, Raw]]]:
    """Return where XAUTOCLAIM goes on, and the entries it claimed."""
    return found[0], [(entry_id.decode(), fields) for entry_id, fields in found[1] if fields is not None]


def is_lost(failed: ResponseError) -> bool:
    """Tell whether the group is not there (any more): create it, and ask again."""
    return str(failed).startswith(_LOST)


def is_there(failed: ResponseError) -> bool:
    """Tell whether a group could not be created because another consumer was faster."""
    return str(failed).startswith("BUSYGROUP")


def group_of(producer: str, group: str) -> str:
    """Return the group's name in Redis: two producers may give theirs the same name and share nothing."""
    return f"reader|{producer}|{group}"


def read(
    client: redis.Redis, group: str, consumer: str, producer: str, *, count: int = 10, block_ms: int = 0
) -> list[Event]:
    """Return up to ``count`` new events of a producer, after waiting ``block_ms`` for the first (0: not at all).

    Each is this consumer's until ``ack``; others' events are acknowledged in passing.  The group is created at first,
    from the start of the stream.  Raises RedisError when Redis is away.
    """
    name = group_of(producer, group)
    wait = block_ms or None
    found = _asked(client, name, lambda: client.xreadgroup(name, consumer, {keys.EVENTS: ">"}, count, block=wait))
    return _ours(client, name, producer, entries(found))


def reclaim(
    client: redis.Redis, group: str, consumer: str, producer: str, *, idle_ms: int, count: int = 10
) -> list[Event]:
    """Return up to ``count`` events that another consumer took ``idle_ms`` ago, or longer, and never acknowledged."""
    name, start = group_of(producer, group), b"0-0"
    while True:
        claim = (keys.EVENTS, name, consumer, idle_ms, start.decode(), count)
        start, listed = claimed(_asked(client, name, lambda claim=claim: client.xautoclaim(*claim)))  # type: ignore[misc]
        events = _ours(client, name, producer, listed)
        if events or start == b"0-0":
            return events


def ack(client: redis.Redis, group: str, producer: str, *events: Event) -> None:
    """Acknowledge events: they are done with, and nobody gets them again."""
    _ack(client, group_of(producer, group), [event.id for event in events])


class EventReader:
    """Iterates over a producer's events, each at least once; one reader for one thread.

    ::

        for event in reader:
            match event:
                case Outcome(status="delivered"): ...
            reader.ack(event)

    The iteration ends when nothing came for ``block_seconds`` (None: never), and can be begun again.  What is not
    acknowledged within ``idle_seconds`` comes again, to whichever consumer of the group asks first, so one batch has
    to be done in that time.  Raises RedisError when Redis is away; iterate again when it is back.
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
        """Read as ``consumer`` (a name of this process) in ``group``; raises ValueError for an impossible name."""
        if producer and not LABEL.fullmatch(producer):
            raise ValueError(f"{producer!r} is no name of a producer: up to 64 letters, digits, spaces and . _ : / -")
        if not group or not consumer:
            raise ValueError("a group and a consumer need names: those of an application and of a process of it")
        self._client = client
        self._who = (group, consumer, producer)
        self._block_seconds = block_seconds
        self._idle_seconds = idle_seconds
        self._batch = batch
        self._held: deque[Event] = deque()
        self._reclaim_at = float("-inf")
        timeout = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._slice_ms = min(_SLICE_MS, max(1, int(timeout * 500))) if timeout else _SLICE_MS

    def __iter__(self) -> Iterator[Event]:
        """Yield events until nothing came for a while."""
        while self._held or self._fetch():
            yield self._held.popleft()

    def ack(self, *events: Event) -> None:
        """Acknowledge events: they are done with."""
        group, _, producer = self._who
        ack(self._client, group, producer, *events)

    def _fetch(self) -> bool:
        deadline = None if self._block_seconds is None else time.monotonic() + self._block_seconds
        while True:
            remaining = self._slice_ms if deadline is None else int((deadline - time.monotonic()) * 1000)
            block_ms = min(self._slice_ms, remaining)
            self._held.extend(self._left_behind())
            if not self._held:
                self._held.extend(read(self._client, *self._who, count=self._batch, block_ms=max(0, block_ms)))
            if self._held or remaining <= 0:
                return bool(self._held)

    def _left_behind(self) -> list[Event]:
        if time.monotonic() < self._reclaim_at:
            return []
        idle_ms = int(self._idle_seconds * 1000)
        found = reclaim(self._client, *self._who, idle_ms=idle_ms, count=self._batch)
        if not found:  # there may be more than one batch
            self._reclaim_at = time.monotonic() + self._idle_seconds / 4
        return found


def _ours(client: redis.Redis, name: str, producer: str, listed: list[tuple[str, Raw]]) -> list[Event]:
    decoded = [(entry_id, decode(entry_id, raw)) for entry_id, raw in listed]
    ours = [event for _, event in decoded if event and _is_for(producer, event)]
    kept = {event.id for event in ours}
    _ack(client, name, [entry_id for entry_id, _ in decoded if entry_id not in kept])
    return ours


def _is_for(producer: str, event: Event) -> bool:
    return event.producer == producer or (isinstance(event, Reply) and not event.producer)


def _ack(client: redis.Redis, name: str, ids: list[str]) -> None:
    if ids:
        client.xack(keys.EVENTS, name, *ids)


def _asked(client: redis.Redis, name: str, question: Callable[[], T]) -> T:
    """Ask; when the group is not there, at first or after a flush, create it and ask again."""
    try:
        return question()
    except ResponseError as failed:
        if not is_lost(failed):
            raise
    try:
        client.xgroup_create(keys.EVENTS, name, id="0", mkstream=True)
    except ResponseError as failed:
        if not is_there(failed):
            raise
    return question()
