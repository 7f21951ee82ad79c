"""Reply: publishes each reply of a recipient once; STOP and START update the suppression list first.

Long replies come in parts, in any order; they are published as one text.  If parts are still missing after an hour,
the others are published, marked incomplete.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
import redis.asyncio

from threelane.contract import phone
from threelane.contract.reply_address import is_person
from threelane.runtime import logs
from threelane.store import keys, suppression
from threelane.store.events import Route
from threelane.store.keys import RecordKey, ReplyKey, ReplyPartsKey
from threelane.store.scripts import number, script
from threelane.store.suppression import STOP, Entry
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.inbound.joining import join
from threelane.worker.inbound.report import InboundReply
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.internal_error import OUTAGES, FaultStep, report
from threelane.worker.reply import audience
from threelane.worker.reply import words as lists
from threelane.worker.reply.words import Words

REMEMBERED_MS = 8 * 24 * 3600 * 1000  # the gateway repeats a reply for less than an hour
HALVES_SECONDS = 30.0
HALF_MS = 3600 * 1000
BATCH = 20
_words = cache(lists.load)  # a changed file takes effect at the next start


class PartResult(StrEnum):
    """The result for one part of a long reply while others are missing."""

    PART = "part"
    REPEATED = "repeated"


@script(__file__, number, [Route])
def _reply(
    *,
    parts: ReplyPartsKey,
    related: RecordKey,
    taken: Sequence[ReplyKey],
    key: str,
    remember_ms: int,
    word: str,
    entry: str,
    source: str,
    id: str,
    sender: str,
    to: str,
    text: str,
    at: int,
    network: str,
    message: str,
    incomplete: str,
    owner: str,
    owned_by: str,
    texted: str | None,
    default: str,
) -> None:
    """Publish a reply; returns 1, or 0 when it was published before."""


@script(__file__, list[bytes], [PartResult])
def _reply_part(
    *,
    parts: ReplyPartsKey,
    taken: ReplyKey,
    key: str,
    as_it_is_at: int,
    keep_ms: int,
    number: int,
    total: int,
    part: str,
) -> None:
    """Keep a part of a long reply; returns all of them when they are complete, or this part's result."""


_INCOMPLETE = {one.encode() for one in PartResult}


async def take(client: redis.asyncio.Redis, reply: InboundReply, words: Words, now: int) -> str:
    """Process a reply; returns the result: told, stop, start, part or repeated."""
    if reply.part is None:
        return await _publish(client, [reply], reply.text, words, now)
    key = f"{reply.from_}:{reply.to}:{reply.part.reference}:{reply.part.total}"
    found = await _reply_part.run(
        client,
        parts=keys.reply_parts(key),
        taken=keys.reply(reply.id),
        key=key,
        as_it_is_at=now + HALF_MS,
        keep_ms=HALF_MS + REMEMBERED_MS,
        number=reply.part.number,
        total=reply.part.total,
        part=msgspec.json.encode(reply).decode(),
    )
    if found[0] in _INCOMPLETE:
        result = found[0].decode()
        _count(result, reply, "")
        return result
    return await _publish_parts(client, key, found, words, now)


async def publish_halves(client: redis.asyncio.Redis, words: Words, now: int) -> int:
    """Publish up to 20 long replies with missing parts; returns how many were due."""
    due: Any = await client.zrange(keys.REPLY_HALVES, "-inf", now, byscore=True, offset=0, num=BATCH)
    for one in due:
        key = one.decode()
        parts: Any = await client.hvals(keys.reply_parts(key))
        if not parts:
            await client.zrem(keys.REPLY_HALVES, key)
            continue
        try:
            await _publish_parts(client, key, parts, words, now)
        except OUTAGES:
            raise
        except Exception as failed:  # a damaged part: the other replies are published
            report(FaultStep.REPLY, one.decode().rpartition(":")[0].rpartition(":")[2], failed)
            await client.zrem(keys.REPLY_HALVES, key)
    return len(due)


async def _publish_parts(client: redis.asyncio.Redis, key: str, found: Sequence[bytes], words: Words, now: int) -> str:
    parts = [msgspec.json.decode(one, type=InboundReply) for one in found]
    texts = {one.part.number: one.text for one in parts if one.part}
    total = max(one.part.total for one in parts if one.part)
    parts.sort(key=lambda one: one.part.number if one.part else 0)
    return await _publish(client, parts, join(texts, total), words, now, key, incomplete=len(texts) < total)


async def _publish(
    client: redis.asyncio.Redis,
    parts: Sequence[InboundReply],
    text: str,
    words: Words,
    now: int,
    key: str = "",
    *,
    incomplete: bool = False,
) -> str:
    first = parts[0]
    word = "" if incomplete or not is_person(first.from_) else words.meaning(text)  # a word is a whole message
    whom = await audience.find(client, first.from_, first.to, text, now)
    at = first.at or now
    entry = Entry(source=STOP, evidence=f"reply {first.id} to {first.to}", first=at, last=at)
    related = first.related_id
    is_new = await _reply.run(
        client,
        parts=keys.reply_parts(key),
        related=keys.record(related),
        taken=[keys.reply(one.id) for one in parts],
        key=key,
        remember_ms=REMEMBERED_MS,
        word=word,
        entry=suppression.encode(entry).decode(),
        source=STOP,
        id=first.id,
        sender=first.from_,
        to=first.to,
        text=text,
        at=at,
        network=first.network,
        message=related,
        incomplete="1" if incomplete else "",
        owner=whom.owner,
        owned_by=whom.owned_by,
        texted=whom.texted,
        default=whom.default,
    )
    result = (word or "told") if is_new else "repeated"
    _count(result, first, word)
    return result


def _count(result: str, reply: InboundReply, word: str) -> None:
    metrics.REPLIES.labels(result).inc()
    logs.event("reply", id=reply.id, sender=phone.mask(reply.from_), result=result, word=word)


async def _round(context: WorkerContext) -> bool:
    words = _words(context.settings.words_file)
    return await publish_halves(context.client, words, context.clock.now()) > 0


DUTY = Duty(name="tell_halves", interval_seconds=HALVES_SECONDS, work=_round)
