"""Rehearse: the results and costs that accept would have; nothing is stored and no credits are spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import redis

from threelane.contract.accounts.account import CREDITS, DEFAULT
from threelane.contract.accounts.routing import Chosen
from threelane.contract.message import Draft, Message
from threelane.contract.prices import country
from threelane.contract.refusal import Refusal
from threelane.contract.subscriber import spellings
from threelane.contract.why_parts import WhyParts
from threelane.producer import accept as acceptance
from threelane.producer.drafting import Routed
from threelane.store import budgets, keys, readable, registry, rows, suppression
from threelane.store.readable import row
from threelane.store.record import Field
from threelane.store.registry import Registration
from threelane.store.suppression import Entry

_PRINTED = (Field.PRINT, Field.ERASED, Field.DAMAGED, Field.ACCOUNT)


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """A message that would be accepted; ``repeated``: it was accepted before, and is not sent again.

    ``parts_saved``, ``characters_cut``, ``text_cut``, ``why_parts``, ``template`` and those of the opt-out line are as
    in ``Accepted``.  ``account`` is the name of the account that it would be sent through, or was accepted for,
    ``route`` the name of the route that chose it and ``stand_by`` that of its stand-by; all are "" if the installation
    has one account.  The estimate is in millionths of the account's ``currency``.
    """

    id: str
    lane: int
    parts: int
    encoding: str
    units: int
    estimate_millionths: int
    country: str = ""
    cost_centre: str = ""
    producer: str = ""
    repeated: bool = False
    parts_saved: int = 0
    characters_cut: int = 0
    text_cut: str = ""
    why_parts: WhyParts | None = None
    template: str = ""
    opt_out: str = ""
    opt_out_parts: int = 0
    account: str = ""
    route: str = ""
    stand_by: str = ""
    currency: str = CREDITS

    @property
    def accepted(self) -> bool:
        """True, in contrast to a refusal."""
        return True


def rehearse(client: redis.Redis, routed: Sequence[Routed], now: int) -> list[Rehearsed | Refusal]:
    """Return the result that accept would have for each message; ``over`` checks the budgets for all together."""
    if not routed:
        return []
    drafts = [one.draft for one in routed]
    with client.pipeline(transaction=False) as pipe:
        spelled = [spellings(draft.message.to) for draft in drafts]
        pipe.hmget(keys.SUPPRESSED, [number for one in spelled for number in one])
        for draft in drafts:
            pipe.hmget(keys.record(draft.message.id), _PRINTED)
        for draft in drafts:
            if draft.other_id:
                pipe.hmget(keys.record(draft.other_id), _PRINTED)
        listed, *replies = pipe.execute(raise_on_error=False)
    flat = iter(rows.known(keys.SUPPRESSED, listed, [b""] * sum(map(len, spelled))))  # an unreadable list forbids
    entries = [suppression.joined(one, list(islice(flat, len(one)))) for one in spelled]
    of_others = iter(replies[len(drafts) :])
    stored = [
        _stored(draft, reply, next(of_others) if draft.other_id else None)
        for draft, reply in zip(drafts, replies, strict=False)
    ]
    producers = {draft.message.producer for draft in drafts if draft.message.producer}
    rights = {name: registry.rights(client, name) for name in producers}
    found = zip(stored, routed, entries, strict=True)
    return [
        _answer(msgspec.structs.replace(one, draft=draft), listed, record, now, rights)
        for (draft, record), one, listed in found
    ]


def _stored(draft: Draft, reply: Any, of_other: Any) -> tuple[Draft, Mapping[str, str]]:
    """Return a draft with the id that its record has, in either form, and that record."""
    if record := row(_PRINTED, reply):
        return draft, record
    if of_other is not None and (record := row(_PRINTED, of_other)):
        return acceptance.with_other_id(draft), record
    return draft, {}


def over(client: redis.Redis, estimates: Counter[tuple[str, str]], now: int) -> dict[str, int]:
    """Return the exceeded budgets and by how much (millionths), for estimates by cost centre and producer."""
    sums: Counter[str] = Counter()
    for (centre, producer), amount in estimates.items():
        sums[f"centre:{centre}"] += amount
        sums[f"producer:{producer}"] += amount
    usage = budgets.usage(client, now)
    passed = {
        f"{one.scope}:{one.period}": one.spent + sums[one.scope] - one.budget.limit for one in usage if sums[one.scope]
    }
    return {name: amount for name, amount in passed.items() if amount > 0}


def _answer(
    routed: Routed,
    entries: Sequence[Entry],
    record: Mapping[str, str],
    now: int,
    rights: Mapping[str, Registration | None],
) -> Rehearsed | Refusal:
    draft, chosen = routed.draft, routed.chosen
    sms, known, erased = draft.message, record.get(Field.PRINT), record.get(Field.ERASED)
    where = country(sms.to)
    if known is None and (record.get(Field.DAMAGED) or record.get(Field.CODE) == readable.CODE):
        return acceptance.damaged(draft)
    if erased or (known is not None and known not in (draft.fingerprint, *draft.former_fingerprints)):
        return acceptance.conflict(draft, erased=bool(erased))
    if known is None and (refused := _without_right(sms, where, rights.get(sms.producer, Registration()))):
        return refused
    if known is None and not sms.legal_notice and (entry := _forbidding(entries, sms, now)):
        return acceptance.suppressed(entry)
    if known is not None:  # it stays where it is, whatever the routes say now
        chosen = Chosen(record.get(Field.ACCOUNT) or DEFAULT)
    prices, several = routed.routes.prices(chosen.account), not routed.routes.is_single
    return Rehearsed(
        id=sms.id,
        lane=sms.lane,
        parts=sms.parts,
        encoding=sms.encoding,
        units=sms.units,
        estimate_millionths=prices.price(sms.to, where) * sms.parts,
        country=where,
        cost_centre=sms.cost_centre,
        producer=sms.producer,
        repeated=known is not None,
        parts_saved=draft.parts_saved,
        characters_cut=draft.characters_cut,
        text_cut=draft.text_cut,
        why_parts=draft.why_parts,
        template=draft.template,
        opt_out=draft.opt_out,
        opt_out_parts=draft.opt_out_parts,
        account=chosen.account if several else "",
        route=chosen.rule,
        stand_by=chosen.stand_by,
        currency=routed.routes.currency(chosen.account),
    )


def _without_right(sms: Message, where: str, rights: Registration | None) -> Refusal | None:
    """Return the refusal of a message that its producer has no right to; ``rights`` are None if they are damaged."""
    if rights is None:
        return acceptance.abroad(sms, [])
    if rights.countries and where not in rights.countries:
        return acceptance.abroad(sms, rights.countries)
    return acceptance.no_right(sms) if sms.bypasses and not rights.bypass else None


def _forbidding(entries: Sequence[Entry], sms: Message, now: int) -> Entry | None:
    """Return the entry that forbids sending a message, as suppression.lua does."""
    applying = (one for one in entries if one.forbids(now) and one.covers(sms.sender, sms.tags, sms.lane))
    return next(applying, None)
