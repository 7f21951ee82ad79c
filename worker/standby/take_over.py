"""Take over: moves messages that wait in another account, and were certainly not sent, to its stand-by."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis.asyncio

from threelane.contract.accounts.account import shown
from threelane.contract.message import OF_ACCOUNT
from threelane.contract.prices import Prices
from threelane.producer.nudge import NUDGE_SIZE
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.diverted import Why
from threelane.store.keys import IndexKey, RecordKey, Space, TallyKey, WaitingKey
from threelane.store.readable import UnreadableBody, body_of, row
from threelane.store.record import Field
from threelane.store.scripts import Item, flags, script
from threelane.worker.account.hold import Held, stopping

BATCH = NUDGE_SIZE
_READ = (Field.STAND_BY, Field.TO, Field.PARTS, Field.COUNTRY)
_READ_IF_STOPPED = (*_READ, Field.PRODUCER, Field.BODY)


class Terms(NamedTuple):
    """What a stand-by takes messages by: its prices, and holds that persons set, which also stop what would move."""

    prices: Prices
    stops: Mapping[str, Held] = {}

    def with_stops(self, stops: Mapping[str, Held]) -> Terms:
        """Return the same with further holds, those of the account that has the messages."""
        return self._replace(stops={**self.stops, **stops})


class Offer(Item, frozen=True):
    """A message that may be taken over, and its estimated cost in the account that stands by (millionths)."""

    id: str
    estimate: int


@script(__file__, flags)
def _take_over(
    *,
    queued_there: IndexKey,
    waiting_there: WaitingKey,
    tally_there: TallyKey,
    records: Sequence[RecordKey],
    now: int,
    lane: str,
    former: str,
    name: str,
    new_account: str,
    of_account: int,
    why: Why,
    offers: Sequence[Offer],
) -> None:
    """Take over messages; returns which were taken."""


async def take_over(
    client: redis.asyncio.Redis,
    former: Space,
    stand_by: Space,
    lane: int,
    ids: Sequence[str],
    why: Why,
    terms: Terms,
    now: int,
) -> list[str]:
    """Take over messages of a lane of the account ``former``; returns the ids to be nudged, all of the stand-by's lane.

    What names another stand-by, may have been sent, or is on hold by a person, stays.
    """
    offers = await _offers(client, shown(stand_by.account), ids, lane, terms)
    there, taken = keys.names(stand_by), list[str]()
    for start in range(0, len(offers), BATCH):
        batch = offers[start : start + BATCH]
        answers = await _take_over.within(former).run(
            client,
            queued_there=there.QUEUED[lane],
            waiting_there=there.WAITING,
            tally_there=there.TALLY,
            records=keys.records(one.id for one in batch),
            now=now,
            lane=str(lane),
            former=shown(former.account),
            name=shown(stand_by.account),
            new_account=stand_by.account,
            of_account=OF_ACCOUNT,
            why=why,
            offers=batch,
        )
        taken += [one.id for one, is_taken in zip(batch, answers, strict=True) if is_taken]
    if taken:
        about = {"lane": lane, "account": shown(former.account), "why": why}
        logs.events("taken_over", ({"id": one} | about for one in taken), level=logging.WARNING)
    return taken


async def _offers(client: redis.asyncio.Redis, name: str, ids: Sequence[str], lane: int, terms: Terms) -> list[Offer]:
    """Return those of the messages that name this stand-by, and that nobody stopped."""
    names = _READ_IF_STOPPED if terms.stops else _READ
    async with client.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hmget(keys.record(one), names)
        rows = [row(names, reply) or {} for reply in await pipe.execute(raise_on_error=False)]
    price = terms.prices.price
    return [
        Offer(one, price(record.get(Field.TO, ""), record.get(Field.COUNTRY, "")) * int(record[Field.PARTS]))
        for one, record in zip(ids, rows, strict=True)
        if record.get(Field.STAND_BY) == name and Field.PARTS in record and not _is_stopped(one, record, lane, terms)
    ]


def _is_stopped(message_id: str, record: Mapping[str, str], lane: int, terms: Terms) -> bool:
    """Return whether a person put the sender or the prefix of a message on hold."""
    if not terms.stops:
        return False
    try:
        sender = body_of(record.get(Field.BODY, "").encode(), message_id).sender
    except UnreadableBody:  # its own account sets it aside
        return True
    return stopping(terms.stops, lane, sender, record.get(Field.TO, ""), record.get(Field.PRODUCER, "")) != ""
