"""Reply: what a recipient writes back goes to producers as an event, once; STOP and START change the list first.

Long replies come in parts, in any order; they are told of as one text.  Parts that stay alone for an hour are told of
as they are, marked incomplete.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import redis.asyncio

from threelane.contract import phone
from threelane.runtime import logs
from threelane.store import keys, suppression
from threelane.store.scripts import Script
from threelane.store.suppression import STOP, Entry
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.inbound.joining import join
from threelane.worker.inbound.report import Reply
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.reply import words as lists
from threelane.worker.reply.words import Words

REMEMBERED_MS = 8 * 24 * 3600 * 1000  # the gateway repeats a reply for less than an hour
HALVES_SECONDS = 30.0
HALF_MS = 3600 * 1000
BATCH = 20
_words = cache(lists.load)  # a change of the file is in force at the next start
_reply = Script(__file__, "reply", suppresses=True)
_part = Script(__file__, "reply_part")


async def take(client: redis.asyncio.Redis, reply: Reply, words: Words, now: int) -> str:
    """Take a reply; returns what was made of it: told, stop, start, part or repeated."""
    if reply.part is None:
        return await _tell(client, [reply], reply.text, words, now)
    key = f"{reply.from_}:{reply.to}:{reply.part.reference}:{reply.part.total}"
    shelved = [keys.REPLY_HALVES, keys.reply_parts(key), keys.reply(reply.id)]
    arguments = [
        key,
        now + HALF_MS,
        HALF_MS + REMEMBERED_MS,
        reply.part.number,
        reply.part.total,
        msgspec.json.encode(reply),
    ]
    found = await _part.run(client, shelved, arguments)
    if found[0] in (b"part", b"repeated"):
        result: str = found[0].decode()
        _count(result, reply, "")
        return result
    return await _tell_parts(client, key, found, words, now)


async def tell_halves(client: redis.asyncio.Redis, words: Words, now: int) -> int:
    """Tell of up to 20 long replies whose other parts did not come; returns how many."""
    due: Any = await client.zrange(keys.REPLY_HALVES, "-inf", now, byscore=True, offset=0, num=BATCH)
    for one in due:
        key = one.decode()
        parts: Any = await client.hvals(keys.reply_parts(key))
        if parts:
            await _tell_parts(client, key, parts, words, now)
        else:
            await client.zrem(keys.REPLY_HALVES, key)
    return len(due)


async def _tell_parts(client: redis.asyncio.Redis, key: str, found: Sequence[bytes], words: Words, now: int) -> str:
    parts = [msgspec.json.decode(one, type=Reply) for one in found]
    texts = {one.part.number: one.text for one in parts if one.part}
    total = max(one.part.total for one in parts if one.part)
    parts.sort(key=lambda one: one.part.number if one.part else 0)
    return await _tell(client, parts, join(texts, total), words, now, key, incomplete=len(texts) < total)


async def _tell(
    client: redis.asyncio.Redis,
    parts: Sequence[Reply],
    text: str,
    words: Words,
    now: int,
    key: str = "",
    *,
    incomplete: bool = False,
) -> str:
    first = parts[0]
    word = "" if incomplete else words.meaning(text)  # a word is a whole message
    at = first.at or now
    entry = Entry(source=STOP, evidence=f"reply {first.id} to {first.to}", first=at, last=at)
    related = first.related_id
    shelved = [
        keys.SUPPRESSED,
        keys.REPLY_HALVES,
        keys.reply_parts(key),
        keys.record(related),
        *(keys.reply(one.id) for one in parts),
    ]
    said = [first.id, first.from_, first.to, text, at, first.network, related, "1" if incomplete else ""]
    arguments = [key, REMEMBERED_MS, word, suppression.encode(entry), *said]
    told = await _reply.run(client, shelved, arguments)
    result = (word or "told") if told == [1] else "repeated"
    _count(result, first, word)
    return result


def _count(result: str, reply: Reply, word: str) -> None:
    metrics.REPLIES.labels(result).inc()
    logs.event("reply", id=reply.id, sender=phone.mask(reply.from_), result=result, word=word)


async def _round(context: WorkerContext) -> bool:
    words = _words(context.settings.words_file)
    return await tell_halves(context.client, words, context.clock.now()) > 0


DUTY = Duty(name="tell_halves", interval_seconds=HALVES_SECONDS, work=_round)
