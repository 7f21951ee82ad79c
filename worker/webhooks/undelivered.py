"""Undelivered: lists, redelivers and discards the events that a webhook never took."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import redis

from threelane.store import events, keys, rows
from threelane.store.keys import DeliveriesKey
from threelane.worker.webhooks.delivery import Delivery, decode, encode, shift

BATCH = 500


class Undelivered(NamedTuple):
    """One event that was set aside: its message or reply, the reason, and since when (ms)."""

    event: str
    type: str
    about: str
    tries: int
    reason: str
    since: int


def undelivered(client: redis.Redis, name: str) -> Iterator[Undelivered]:
    """Yield a producer's events that were set aside, oldest first, without numbers and texts."""
    for event_id, since, content in _listed(client, name, keys.undelivered(name)):
        delivery = rows.decode(keys.delivery(name), event_id, content, decode)
        posted = bytes(delivery.event) if delivery else b""
        event = rows.decode(keys.delivery(name), event_id, posted, events.from_json)
        if delivery is None or event is None:
            yield Undelivered(event_id, "", "", 0, rows.CODE, since)
            continue
        about = event.reply_id if isinstance(event, events.Reply) else event.message_id
        yield Undelivered(event_id, event.type, about, delivery.tries, delivery.reason, since)


def redeliver(client: redis.Redis, name: str, now: int) -> int:
    """Redeliver a producer's events, each once; returns how many."""
    return _shift_all(client, name, keys.undelivered(name), keys.deliveries(name), now, fresh=True)


def lay_aside(client: redis.Redis, name: str, now: int) -> int:
    """Set aside the pending events of a removed webhook; returns how many."""
    return _shift_all(client, name, keys.deliveries(name), keys.undelivered(name), now, fresh=False)


def discard(client: redis.Redis, name: str) -> int:
    """Delete all events of a removed producer, pending or set aside; returns how many."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hlen(keys.delivery(name))
        pipe.delete(keys.deliveries(name), keys.delivery(name), keys.undelivered(name))
        return int(rows.known(keys.delivery(name), pipe.execute(raise_on_error=False)[0], 0))


def _shift_all(
    client: redis.Redis, name: str, source: DeliveriesKey, target: DeliveriesKey, now: int, *, fresh: bool
) -> int:
    shifted = 0
    for event_id, _, content in _listed(client, name, source):
        was = rows.decode(keys.delivery(name), event_id, content, decode)
        if was is None:  # it stays, for discard
            continue
        after = encode(Delivery(was.event)) if fresh else content
        shifted += shift(
            client,
            source=source,
            target=target,
            contents=keys.delivery(name),
            id=event_id,
            was=content.decode(),
            content=after.decode(),
            score=now,
        )
    return shifted


def _listed(client: redis.Redis, name: str, source: str) -> Iterator[tuple[str, int, bytes]]:
    """Yield id, score and content; reads the whole list before any of them moves."""
    listed = rows.unless_damaged(source, lambda: client.zrange(source, 0, -1, withscores=True), [])
    for start in range(0, len(listed), BATCH):
        batch = listed[start : start + BATCH]
        key, names = keys.delivery(name), [event_id for event_id, _ in batch]
        contents = rows.unless_damaged(key, partial(client.hmget, key, names), [None] * len(batch))
        for (event_id, score), content in zip(batch, contents, strict=True):
            if content is not None:
                yield rows.text(event_id), int(score), content
