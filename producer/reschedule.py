"""Reschedule: another time for a scheduled message; its validity moves along."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import redis
import redis.asyncio

from threelane.contract import message
from threelane.contract.message import Message
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.runtime import logs
from threelane.store import keys, readable
from threelane.store.keys import IndexKey, RecordKey, Space
from threelane.store.readable import UnreadableBody, body_of
from threelane.store.record import Field
from threelane.store.scripts import Item, script, words
from threelane.store.spaces import in_its_space
from threelane.store.states import Status

MOST_TRIES = 5  # another caller may move it at the same time
_MOVED = "1"


class Time(Item, frozen=True):
    """The new time of a message: its body as read and the new one, when it is due and when it expires."""

    id: str
    was: str
    body: str
    due: int
    expires: int


@script(__file__, words)
def _reschedule(
    *, records: Sequence[RecordKey], former: IndexKey, now: int, source: Status, times: Sequence[Time]
) -> None:
    """Reschedule messages; returns for each whether it was."""


class Moved(msgspec.Struct, frozen=True):
    """A rescheduled message; times are Unix time in milliseconds."""

    id: str
    due_at: int
    expires_at: int


def move(client: redis.Redis, message_id: str, due_at: int, now: int) -> Moved | Refusal:
    """Reschedule a message, or refuse if it is not scheduled."""
    for _ in range(MOST_TRIES):
        status, body, schema = read(client, message_id)
        if status != Status.SCHEDULED.value.encode():
            return _not_waiting(message_id, status.decode())
        if schema > message.SCHEMA:  # rewriting it would drop unknown fields
            return Refusal(
                code=Code.INVALID,
                field="id",
                problem=f"the message has schema {schema}; this version knows {message.SCHEMA}",
                remedy="move it with the version that sent it, or cancel it",
                accepted_id=message_id,
            )
        try:
            sms = later(body_of(body, message_id), due_at, now)
        except UnreadableBody:
            return _damaged(message_id)
        if sms.expires_at <= due_at:
            return Refusal(
                code=Code.TIME_OR_CLIENT_ID,
                field="deliver_at",
                problem="the validity of this message ends before that time",
                remedy="give an earlier time, or cancel it and send it again",
                accepted_id=message_id,
            )
        if reschedule(client, [(body, sms)], Status.SCHEDULED, now) == [True]:
            logs.event("moved", id=message_id, due_at=due_at)
            return Moved(message_id, sms.due_at, sms.expires_at)
    return _not_waiting(message_id, "")


def _damaged(message_id: str) -> Refusal:
    return Refusal(
        code=Code.INVALID,
        field="id",
        problem="the record of this message is damaged",
        remedy="its worker sets it aside as a dead letter when it is due: threelane explain ID; send it again",
        owner=Owner.OPERATOR,
        accepted_id=message_id,
    )


def _not_waiting(message_id: str, status: str) -> Refusal:
    problem = f"the message is not scheduled: it is {status}" if status else "unknown or expired message id"
    return Refusal(
        code=Code.TIME_OR_CLIENT_ID if status else Code.CLIENT_ID,
        field="id",
        problem=problem,
        remedy="only scheduled messages can be moved" if status else "give the id of the accepted message",
        accepted_id=message_id,
    )


def read(client: redis.Redis, message_id: str) -> tuple[bytes, bytes, int]:
    """Return a message's status, body and schema; the first two are empty if it is unknown."""
    found = readable.read(client, message_id) or {}
    return found.get(Field.STATUS, "").encode(), found.get(Field.BODY, "").encode(), int(found.get(Field.SCHEMA, 1))


def later(sms: Message, due_at: int, now: int) -> Message:
    """Return the message for another time; a validity that the caller gave does not move."""
    shift = due_at - (sms.due_at or now)
    expires_at = sms.expires_at if sms.own_validity else sms.expires_at + shift
    return msgspec.structs.replace(sms, due_at=due_at, expires_at=expires_at)


def reschedule(client: redis.Redis, moves: Sequence[tuple[bytes, Message]], source: Status, now: int) -> list[bool]:
    """Write new times, given with the bodies that they replace; False: the message changed."""

    def call(space: Space, times: Sequence[Time]) -> Sequence[str]:
        records, former = keys.records(one.id for one in times), keys.names(space).FORMER[Status.SCHEDULED]
        script = _reschedule.within(space)
        return script(client, records=records, former=former, now=now, source=source, times=times)

    return [one.reply == _MOVED for one in in_its_space(_times(moves), call)]


async def reschedule_async(
    client: redis.asyncio.Redis, moves: Sequence[tuple[bytes, Message]], source: Status, now: int, space: Space
) -> list[bool]:
    """Do the same for messages of one account on an asyncio client; those of others do not change."""
    times, former = _times(moves), keys.names(space).FORMER[Status.SCHEDULED]
    records = keys.records(one.id for one in times)
    script = _reschedule.within(space)
    replies = await script.run(client, records=records, former=former, now=now, source=source, times=times)
    return [reply == _MOVED for reply in replies]


def _times(moves: Sequence[tuple[bytes, Message]]) -> list[Time]:
    return [Time(sms.id, was.decode(), message.encode(sms).decode(), sms.due_at, sms.expires_at) for was, sms in moves]
