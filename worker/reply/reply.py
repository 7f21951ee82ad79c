"""Reply: publishes each reply of a recipient once; STOP and START update the suppression list first.

Long replies come in parts, in any order; they are published as one text.  If parts are still missing after an hour,
the others are published, marked incomplete.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

import msgspec
import redis.asyncio

from threelane.contract import phone
from threelane.contract.reply_address import is_person, senders_of
from threelane.contract.subscriber import subscriber
from threelane.runtime import logs
from threelane.store import keys, suppression
from threelane.store.events import Route
from threelane.store.inbox import Removal
from threelane.store.keys import HERE, ConfirmedKey, RecordKey, ReplyKey, ReplyPartsKey, Space
from threelane.store.scripts import number, script
from threelane.store.suppression import STOP, Entry
from threelane.worker.gateway import tables
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.inbound.joining import join
from threelane.worker.inbound.media import types_of
from threelane.worker.inbound.report import InboundReply
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.internal_error import OUTAGES, FaultStep, report
from threelane.worker.reply import audience, confirm
from threelane.worker.reply import words as lists
from threelane.worker.reply.near import NearStop, looks_like_stop
from threelane.worker.reply.words import Word, Words

REMEMBERED_MS = 8 * 24 * 3600 * 1000  # the gateway repeats a reply for less than an hour
HALVES_SECONDS = 30.0
HALF_MS = 3600 * 1000
BATCH = 20
OPTED_OUT = "opted_out"  # the reason of a code in the policy tables
_words = cache(lists.load)  # a changed file takes effect at the next start


class PartResult(StrEnum):
    """The result for one part of a long reply while others are missing."""

    PART = "part"
    REPEATED = "repeated"


@script(__file__, number, [Route, Removal])
def _reply(
    *,
    parts: ReplyPartsKey,
    related: RecordKey,
    taken: Sequence[ReplyKey],
    confirmed: ConfirmedKey,
    key: str,
    remember_ms: int,
    word: str,
    counted: str,
    looks_like_stop: str,
    entry: str,
    source: str,
    lifted: Sequence[str],
    id: str,
    sender: str,
    to: str,
    ours: Sequence[str],
    text: str,
    at: int,
    received_at: int,
    network: str,
    message: str,
    incomplete: str,
    media: str,
    media_types: str,
    media_octets: str,
    owner: str,
    owned_by: str,
    texted: str | None,
    default: str,
    confirmation: str,
    confirmation_id: str,
    confirm_until: int,
    confirm_again_ms: int,
    now: int,
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


class Reading(NamedTuple):
    """What a reply means: its word, and the rule by which it looks like a STOP."""

    word: Word
    near: str = ""
    confirmation: str = ""

    @property
    def result(self) -> str:
        """The result that metrics count, "" for a reply without a meaning."""
        return ("near_stop" if self.word else "looks_like_stop") if self.near else self.word


NOTHING = Reading("")


class _Policy(NamedTuple):
    """How replies are read."""

    words: Words
    near_stop: NearStop
    confirmation: str = ""

    def read(self, text: str, sender: str) -> Reading:
        if found := self.words.find(text, sender):
            return Reading(found.word, confirmation=self.confirmation and (found.confirmation or self.confirmation))
        if self.near_stop is NearStop.OFF:
            return NOTHING
        near = looks_like_stop(text, self.words)
        return Reading("stop" if near and self.near_stop.suppresses(sender) else "", near, self.confirmation)


@cache
def lifted_by_start() -> tuple[str, ...]:
    """Return the sources of the entries that a START lifts: STOP, and the codes for recipients who opted out.

    Entries of an operator, of an import, and of codes for numbers that the gateway itself blocks stay.
    """
    rules = (rule for table in tables.each() for rule in table.rules.values())
    return (STOP, *(f"code {code}" for code in sorted({rule.code for rule in rules if rule.reason == OPTED_OUT})))


_INCOMPLETE = {one.encode() for one in PartResult}


async def take(
    client: redis.asyncio.Redis,
    reply: InboundReply,
    words: Words,
    now: int,
    near_stop: NearStop = NearStop.SUPPRESS_US,
    confirmation: str = "",
    space: Space = HERE,
) -> str:
    """Process a reply to an account.

    Returns the result: told, stop, start, help, near_stop, looks_like_stop, part or repeated.
    ``confirmation`` is the text that confirms a STOP; "": none is sent.
    """
    policy = _Policy(words, near_stop, confirmation)
    if reply.part is None:
        return await _publish(client, [reply], reply.text, policy, now, space)
    key = f"{reply.from_}:{reply.to}:{reply.part.reference}:{reply.part.total}"
    found = await _reply_part.within(space).run(
        client,
        parts=keys.reply_parts(key, space),
        taken=keys.reply(reply.id, space),
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
    return await _publish_parts(client, key, found, policy, now, space)


async def publish_halves(
    client: redis.asyncio.Redis,
    words: Words,
    now: int,
    near_stop: NearStop = NearStop.SUPPRESS_US,
    space: Space = HERE,
) -> int:
    """Publish up to 20 long replies to an account with missing parts; returns how many were due."""
    halves = keys.names(space).REPLY_HALVES
    due: Any = await client.zrange(halves, "-inf", now, byscore=True, offset=0, num=BATCH)
    for one in due:
        key = one.decode()
        parts: Any = await client.hvals(keys.reply_parts(key, space))
        if not parts:
            await client.zrem(halves, key)
            continue
        try:
            await _publish_parts(client, key, parts, _Policy(words, near_stop), now, space)
        except OUTAGES:
            raise
        except Exception as failed:  # a damaged part: the other replies are published
            report(FaultStep.REPLY, one.decode().rpartition(":")[0].rpartition(":")[2], failed)
            await client.zrem(halves, key)
    return len(due)


async def _publish_parts(
    client: redis.asyncio.Redis, key: str, found: Sequence[bytes], policy: _Policy, now: int, space: Space
) -> str:
    parts = [msgspec.json.decode(one, type=InboundReply) for one in found]
    texts = {one.part.number: one.text for one in parts if one.part}
    total = max(one.part.total for one in parts if one.part)
    parts.sort(key=lambda one: one.part.number if one.part else 0)
    return await _publish(client, parts, join(texts, total), policy, now, space, key, incomplete=len(texts) < total)


async def _publish(
    client: redis.asyncio.Redis,
    parts: Sequence[InboundReply],
    text: str,
    policy: _Policy,
    now: int,
    space: Space,
    key: str = "",
    *,
    incomplete: bool = False,
) -> str:
    first, media = parts[0], [one for part in parts for one in part.media]
    is_whole = not incomplete and is_person(first.from_)  # a word is a whole message
    read = policy.read(text, first.from_) if is_whole else NOTHING
    whom = await audience.find(client, first.from_, first.to, text, now, space)
    received_at = first.at or now
    at = min(received_at, now)  # the gateway's clock may be ahead; a START of then would lift nothing before
    why = f", looks like STOP: {read.near}" if read.near else ""
    entry = Entry(source=STOP, evidence=f"reply {first.id} to {first.to}{why}", first=at, last=at)
    related = first.related_id
    confirm_until = confirm.until(first, now) if read.word == "stop" and read.confirmation else 0
    wanted = confirm.confirmation(first, read.confirmation)
    is_new = await _reply.within(space).run(
        client,
        parts=keys.reply_parts(key, space),
        related=keys.record(related),
        taken=[keys.reply(one.id, space) for one in parts],
        key=key,
        remember_ms=REMEMBERED_MS,
        word=read.word,
        counted=read.result or "other",
        looks_like_stop="1" if read.near else "",
        entry=suppression.encode(entry).decode(),
        source=STOP,
        lifted=lifted_by_start(),
        id=first.id,
        sender=first.from_,
        to=first.to,
        ours=senders_of(first.to),
        text=text,
        at=at,
        received_at=received_at,
        network=first.network,
        message=related,
        incomplete="1" if incomplete else "",
        media=str(len(media) or ""),
        media_types=types_of(media),
        media_octets=str(sum(one.octets for one in media) or ""),
        owner=whom.owner,
        owned_by=whom.owned_by,
        texted=whom.texted,
        default=whom.default,
        confirmed=keys.confirmed(subscriber(first.from_)),
        confirmation=msgspec.json.encode(wanted).decode() if confirm_until else "",
        confirmation_id=wanted.id,
        confirm_until=confirm_until,
        confirm_again_ms=confirm.AGAIN_MS,
        now=now,
    )
    for one in media if is_new else ():
        metrics.REPLY_MEDIA.labels(one.kind).inc()
    result = (read.result or "told") if is_new else "repeated"
    _count(result, first, read.word)
    return result


def _count(result: str, reply: InboundReply, word: str) -> None:
    metrics.REPLIES.labels(result).inc()
    logs.event("reply", id=reply.id, sender=phone.mask(reply.from_), result=result, word=word)


async def _round(context: WorkerContext) -> bool:
    words, near_stop = _words(context.settings.words_file), NearStop(context.settings.near_stop)
    return await publish_halves(context.client, words, context.clock.now(), near_stop, context.settings.space) > 0


DUTY = Duty(name="tell_halves", interval_seconds=HALVES_SECONDS, work=_round)
