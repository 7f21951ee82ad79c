"""Confirm: one message that confirms a STOP, within five minutes, if the operator has switched that on.

Source: 47 CFR 64.1200(a)(12) allows one such message within five minutes.  reply.lua decides who gets one; a worker
accepts it as a message of the reserved producer ``CONFIRMATION``, under an id that follows from the reply, so that it
is accepted once.  It passes what a STOP set and nothing else, and is not sent again when its result stays in doubt.
"""

from __future__ import annotations

from typing import Any

import msgspec
import redis.asyncio

from threelane.contract import message, prices, senders
from threelane.contract.message import Draft
from threelane.contract.message_id import identify
from threelane.contract.prices import Prices
from threelane.contract.refusal import Refusal
from threelane.contract.text import GSM_7, Alphabet
from threelane.producer.accept import AcceptCall, Accepted
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.store.suppression import CONFIRMATION
from threelane.store.tally import Count
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.inbound.report import InboundReply
from threelane.worker.process.duty import Duty
from threelane.worker.process.internal_error import OUTAGES, FaultStep, report

WITHIN_MS = 270_000  # of the STOP; the rest of the five minutes is for the call of the gateway
LEAST_MS = 15_000  # left of it when the message is accepted
AGAIN_MS = 24 * 3600 * 1000  # repeated STOPs of a person get no second one within this time
CONFIRM_SECONDS = 1.0
BATCH = 20


class Confirmation(msgspec.Struct, frozen=True):
    """A confirmation to send: the message's id, the person's number, our number, and the text."""

    id: str
    to: str
    sender: str
    text: str


_decode = msgspec.json.Decoder(Confirmation).decode


def until(reply: InboundReply, now: int) -> int:
    """Return when the confirmation of a STOP expires, 0 if it is too late for one; ms."""
    expires_at = min(reply.at or now, now) + WITHIN_MS
    return expires_at if expires_at - now > LEAST_MS else 0


def confirmation(reply: InboundReply, text: str) -> Confirmation:
    """Return the confirmation of a STOP."""
    return Confirmation(identify(CONFIRMATION, reply.id), reply.from_, reply.to, text)


async def confirm(
    client: redis.asyncio.Redis, known: Prices, now: int, alphabet: Alphabet = GSM_7, space: Space = HERE
) -> list[str]:
    """Accept up to 20 confirmations of an account; returns the ids of their messages, which are to be nudged."""
    names = keys.names(space)
    due: Any = await client.zrange(names.CONFIRMATIONS, 0, BATCH - 1, withscores=True)
    taken = []
    for raw, expires_at in due:
        result, message_id = await _one(client, raw, int(expires_at), known, now, alphabet, space)
        if result == "accepted":
            taken.append(message_id)
        if await client.zrem(names.CONFIRMATIONS, raw):  # otherwise another worker has counted it
            await client.hincrby(names.TALLY, Count.CONFIRMATIONS.field(result), 1)
            logs.event("stop_confirmation", id=message_id, result=result)
    return taken


async def _one(
    client: redis.asyncio.Redis, raw: bytes, expires_at: int, known: Prices, now: int, alphabet: Alphabet, space: Space
) -> tuple[str, str]:
    """Accept a confirmation; returns the result and the id of its message."""
    try:
        wanted = _decode(raw)
        if expires_at - now <= LEAST_MS:
            return "late", wanted.id
        draft = _draft(wanted, expires_at, now, alphabet)
        if isinstance(draft, Refusal):
            return "refused", wanted.id
        (answer,) = await AcceptCall([draft], now, known, space=space).run(client)
    except OUTAGES:
        raise
    except Exception as failed:  # a damaged row: the others are sent
        report(FaultStep.REPLY, "", failed)
        return "refused", ""
    return "accepted" if isinstance(answer, Accepted) else "refused", wanted.id


def _draft(wanted: Confirmation, expires_at: int, now: int, alphabet: Alphabet) -> Draft | Refusal:
    given = {"to": wanted.to, "text": wanted.text, "lane": 1, "on_doubt": "drop"}  # no window defers lane 1
    if not isinstance(senders.parse(wanted.sender, "sender"), Refusal):
        given["sender"] = wanted.sender
    draft = message.parse(given, now, alphabet=alphabet)
    if isinstance(draft, Refusal):
        return draft
    sms = msgspec.structs.replace(
        draft.message, id=wanted.id, producer=CONFIRMATION, expires_at=expires_at, own_validity=True
    )
    return msgspec.structs.replace(draft, message=sms)


async def _round(context: WorkerContext) -> bool:
    settings = context.settings
    known, now = prices.parse(settings.prices), context.clock.now()
    taken = await confirm(context.client, known, now, settings.alphabet, settings.space)
    await context.nudge({1: taken} if taken else {})
    return len(taken) == BATCH


DUTY = Duty(name="confirm", interval_seconds=CONFIRM_SECONDS, work=_round, while_draining=False, on_lane_1=True)
