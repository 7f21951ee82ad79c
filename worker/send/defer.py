"""Defer: messages due outside their sending window go back to the due set until the window opens.

Deferral costs no attempt and no rate.  A default validity moves along; a validity that the caller set does not, and
the message expires at its end.  A message scheduled at the gateway must be in its window at the scheduled time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
import redis.asyncio

from threelane.contract import message
from threelane.contract.message import Message
from threelane.contract.window import Windows
from threelane.producer.reschedule import later, reschedule_async
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.store.readable import UnreadableBody, body_of, row
from threelane.store.record import Field
from threelane.store.states import Status
from threelane.worker.process import metrics

_READ = [Field.STATUS, Field.TO, Field.TAGS, Field.BODY, Field.EXPIRES, Field.GATEWAY_DUE, Field.SCHEMA]


async def defer(
    client: redis.asyncio.Redis, windows: Windows, lane: int, ids: Sequence[str], now: int, space: Space = HERE
) -> Sequence[str]:
    """Defer those of a nudge's messages whose window is closed; returns the others."""
    if lane == 1 or not windows.by_scope:
        return ids
    async with client.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hmget(keys.record(one), _READ)
        rows = [row(_READ, reply) or {} for reply in await pipe.execute(raise_on_error=False)]
    moves = []
    for message_id, record in zip(ids, rows, strict=True):
        with suppress(UnreadableBody):  # claim sets it aside
            moves += _move(windows, lane, message_id, record, now)
    if not moves:
        return ids
    await reschedule_async(client, moves, Status.QUEUED, now, space)
    metrics.DEFERRED.labels(lane).inc(len(moves))
    logs.event("deferred", lane=lane, messages=len(moves))
    gone = {sms.id for _, sms in moves}
    return [one for one in ids if one not in gone]


def _move(
    windows: Windows, lane: int, message_id: str, record: Mapping[str, str], now: int
) -> list[tuple[bytes, Message]]:
    """Return the body of a message whose window is closed, and the message for later; else nothing."""
    if record.get(Field.STATUS) != Status.QUEUED or int(record[Field.EXPIRES]) <= now:  # claim ends expired messages
        return []
    if int(record.get(Field.SCHEMA, 1)) > message.SCHEMA:  # rewriting it would lose fields unknown to us
        return []
    goes_at = max(now, int(record.get(Field.GATEWAY_DUE, 0)))
    tags = tuple(filter(None, record.get(Field.TAGS, "").split(",")))
    opens = windows.opening(lane, tags, record[Field.TO], goes_at)
    if opens == goes_at:
        return []
    body = record.get(Field.BODY, "").encode()
    return [(body, _deferred(body_of(body, message_id), opens, now))]


def _deferred(sms: Message, opens: int | None, now: int) -> Message:
    """Return the message moved to its window's opening, or to the end of its validity if that comes first."""
    if opens is not None:
        moved = later(sms, opens, now)
        if moved.expires_at > opens:
            return moved
    return msgspec.structs.replace(sms, due_at=sms.expires_at, own_validity=True)
