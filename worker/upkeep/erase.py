"""Erase: deletes numbers and texts at the end of their retention or at a recipient's request; keeps counts and costs.

It covers everything that holds a number or a text: records, events of the stream, replies in the inbox, pending webhook
events, parts of long replies, who texted a number, and the tags by which batches recognise a person.  The suppression
list protects a recipient from further messages, so its entries stay unless an operator removes them; expired entries
are deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from threelane.contract.subscriber import spellings
from threelane.producer.cancel import GatewayStops, cancel
from threelane.runtime import logs
from threelane.store import events, inbox, keys, registry, rows, suppression, texted
from threelane.store.events import Reply
from threelane.store.keys import RecordKey, StreamKey
from threelane.store.rewrite_rows import erase_tags
from threelane.store.scripts import script, texts
from threelane.store.spaces import spaces, spaces_async
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.upkeep.expire import expire
from threelane.worker.webhooks.delivery import decode as decode_delivery

BATCH = 500
LOOK_SECONDS = 60.0  # how often a worker checks whether it is its turn
TURN_MS = 3600 * 1000  # how often all records are scanned
PAUSE_SECONDS = 0.02  # between two batches, so that sending has priority


class Erasing(StrEnum):
    """The result for one record; "" if it did not match, or was erased before."""

    ERASED = "erased"
    WAITS = "waits"  # the message is still to be sent
    UNDER_WAY = "under_way"  # an attempt has no known result


@script(__file__, texts, [Erasing])
def _erase(
    *, records: Sequence[RecordKey], now: int, spelled: Sequence[str], ended_by: int, ids: Sequence[str]
) -> None:
    """Erase records of a number, or all that ended by a time; returns each result."""


class Rewriting(StrEnum):
    """The state of Redis' append-only file, which contains the whole history until it is rewritten."""

    NONE = "none"  # Redis has none
    BEGUN = "begun"
    REFUSED = "refused"  # not permitted, or busy: the file still contains the erased data


class Erased(msgspec.Struct, kw_only=True):
    """The counts of what was erased for one number, and of what could not be.

    ``waiting`` messages are still to be sent, ``under_way`` ones have an attempt without a known result; ``file`` is
    the append-only file.
    """

    messages: int = 0
    cancelled: int = 0
    events: int = 0
    deliveries: int = 0
    replies: int = 0
    suppressed: int = 0
    waiting: int = 0
    under_way: int = 0
    file: Rewriting = Rewriting.NONE

    @property
    def complete(self) -> bool:
        """Return whether nothing is left, except for an entry on the suppression list."""
        return not self.waiting and not self.under_way


def erase(
    client: redis.Redis, number: str, retention_ms: int, now: int, *, stop: bool = False, forget: bool = False
) -> Erased:
    """Erase all data of the person whom a number (an MSISDN) reaches, under all its spellings, that can be erased.

    Data that arrives meanwhile may remain.
    ``stop`` first cancels waiting messages; ``forget`` also removes the number from the suppression list.
    """
    erased, spelled = Erased(), spellings(number)
    begins = tuple(keys.reply_parts(f"{one}:") for one in spelled)
    left: dict[str, str] = {}  # a scan may return a key twice
    hooked = set(registry.read_all(client))
    for found in _batches(client.scan_iter(match="tl:*", count=BATCH)):
        ids = [key.removeprefix(keys.record("")) for key in found if key.startswith(keys.record(""))]
        left |= _records(client, ids, spelled, now, erased)
        hooked |= {key.removeprefix(keys.delivery("")) for key in found if key.startswith(keys.delivery(""))}
        for key in found:
            if key.startswith(begins):
                erased.replies += int(client.delete(key))
                for space in spaces(client):
                    parts = key.removeprefix(keys.reply_parts("")).removesuffix(f"@{space.account}")
                    client.zrem(keys.names(space).REPLY_HALVES, parts)
    if stop:
        waiting = [one for one, answer in left.items() if answer == Erasing.WAITS]
        results = cancel(client, waiting, retention_ms, now, lambda _: GatewayStops(held=False))
        erased.cancelled = sum(one.answer == "cancelled" for one in results)
        for ids in _batches(iter(waiting)):
            left = {one: answer for one, answer in left.items() if one not in ids}
            left |= _records(client, ids, spelled, now, erased)
    erased.waiting = sum(answer == Erasing.WAITS for answer in left.values())
    erased.under_way = len(left) - erased.waiting
    # after the records: first the stream of events, then the deliveries made from it
    erased.events = sum(_events(client, stream, spelled) for stream in (keys.EVENTS, keys.INBOX))
    texted.forget(client, number, now)
    erase_tags(client, spelled)
    erased.deliveries = sum(_deliveries(client, name, spelled) for name in hooked)
    if forget:
        erased.suppressed = suppression.lift(client, number)
    erased.file = _rewrite(client)
    return erased


async def take_turn(client: redis.asyncio.Redis) -> bool:
    """Return whether it is this worker's turn to erase old data: one worker, once an hour."""
    return bool(await client.set(keys.ERASING, 1, nx=True, px=TURN_MS))


async def erase_old(client: redis.asyncio.Redis, settings: WorkerSettings, now: int) -> int:
    """Erase numbers and texts at the end of their retention; returns how many messages were erased.

    If records are kept no longer than numbers, they expire on their own, and no scan is needed.
    """
    before = now - settings.erase_after_ms
    trim = client.xtrim(keys.EVENTS, minid=str(before), approximate=False)
    await rows.unless_damaged_async(keys.EVENTS, trim)
    await inbox.remove_old(client, before, now)
    await _old_deliveries(client, before)
    if misspelt := await suppression.forget_over(client, before):
        logs.event("suppressed_misspelt", level=30, numbers=misspelt, remedy="threelane suppress migrate --dry-run")
    if settings.erase_after_ms >= settings.retention_ms:
        return 0
    erased, cursor = 0, 0
    while True:
        page: Any = await client.scan(cursor, match=keys.record("*"), count=BATCH)
        cursor, found = page
        ids = rows.ids(key.removeprefix(keys.record("").encode()) for key in found)
        if ids:
            answers = await _erase.run(client, records=keys.records(ids), now=now, spelled=(), ended_by=before, ids=ids)
            erased += sum(answer == Erasing.ERASED for answer in answers)
        if not cursor:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    if erased:
        logs.event("erased", messages=erased)
    return erased


def _batches(found: Iterator[Any]) -> Iterator[list[str]]:
    while batch := [rows.text(one) if isinstance(one, bytes) else one for one in islice(found, BATCH)]:
        yield batch


def _records(
    client: redis.Redis, ids: Sequence[str], spelled: Sequence[str], now: int, erased: Erased
) -> dict[str, str]:
    """Erase the records of the number; returns those that cannot be erased: they wait, or are under way."""
    records = keys.records(ids)
    answers = _erase(client, records=records, now=now, spelled=spelled, ended_by=0, ids=ids) if ids else []
    erased.messages += sum(answer == Erasing.ERASED for answer in answers)
    return {
        one: answer for one, answer in zip(ids, answers, strict=True) if answer in (Erasing.WAITS, Erasing.UNDER_WAY)
    }


def _deliveries(client: redis.Redis, producer: str, spelled: Sequence[str]) -> int:
    key = keys.delivery(producer)
    contents = rows.unless_damaged(key, lambda: [*client.hscan_iter(key, count=BATCH)], [])
    about = [event_id for event_id, content in contents if _is_to_erase(key, event_id, content, spelled)]
    for batch in _batches(iter(about)):
        with client.pipeline(transaction=True) as pipe:
            _drop(pipe, producer, batch)
            pipe.execute()
    return len(about)


def _drop(pipe: Any, producer: str, event_ids: Sequence[str]) -> None:
    """Queue the removal of events from all delivery keys of a producer."""
    pipe.hdel(keys.delivery(producer), *event_ids)
    pipe.zrem(keys.deliveries(producer), *event_ids)
    pipe.zrem(keys.undelivered(producer), *event_ids)


def _events(client: redis.Redis, stream: StreamKey, spelled: Sequence[str]) -> int:
    """Delete the events of a number from a stream, even those that a producer has not read yet."""
    last, erased, numbers = "-", 0, {one.encode() for one in spelled}

    def page_after(last: str) -> Any:
        return rows.unless_damaged(stream, lambda: client.xrange(stream, min=last, count=BATCH), [])

    while page := page_after(last):
        entries: Any = page
        about = [event_id for event_id, raw in entries if numbers & {raw.get(b"to"), raw.get(b"from")}]
        erased += client.xdel(stream, *about) if about else 0
        last = "(" + entries[-1][0].decode()
    return erased


def _is_to_erase(key: str, event_id: bytes, content: bytes, spelled: Sequence[str]) -> bool:
    """Return whether a delivery is about a number; an unreadable one is if it names the number anywhere."""
    event = rows.decode(key, event_id, content, lambda raw: events.from_json(bytes(decode_delivery(raw).event)))
    if event is None:
        return any(number.encode() in content for number in spelled)
    return event.to in spelled or (isinstance(event, Reply) and event.sender in spelled)


def _rewrite(client: redis.Redis) -> Rewriting:
    """Start a rewrite of the append-only file, since it still contains the erased data."""
    try:
        persistence: Any = client.info("persistence")
        if not persistence.get("aof_enabled"):
            return Rewriting.NONE
        client.bgrewriteaof()
    except ResponseError:
        return Rewriting.REFUSED
    return Rewriting.BEGUN


async def _old_deliveries(client: redis.asyncio.Redis, before: int) -> None:
    """Drop pending webhook events by the age in their id, even if no dispatcher is running."""
    async for key in client.scan_iter(match=keys.delivery("*"), count=BATCH):
        producer = rows.text(key).removeprefix(keys.delivery(""))
        found = await rows.unless_damaged_async(key, client.hkeys(key)) or []
        old = [event_id for event_id in found if rows.number(event_id.partition(b"-")[0]) <= before]
        for batch in _batches(iter(old)):
            async with client.pipeline(transaction=True) as pipe:
                _drop(pipe, producer, batch)
                await pipe.execute()
        if old:
            logs.event("webhook_forgotten", level=30, producer=producer, events=len(old))


async def _turn(context: WorkerContext) -> bool:
    return await take_turn(context.client)


async def _round(context: WorkerContext) -> bool:
    for space in {context.settings.space, *await spaces_async(context.client)}:  # one worker has the turn for all
        await expire(context.client, context.settings.retention_ms, context.clock.now(), space)
    await erase_old(context.client, context.settings, context.clock.now())
    return False


DUTY = Duty(name="erase", interval_seconds=LOOK_SECONDS, work=_round, turn=_turn, while_draining=False)
