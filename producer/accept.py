"""Accept: one script accepts up to 99 messages, or refuses them with a reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import repeat
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import redis
import redis.asyncio
from redis.exceptions import OutOfMemoryError, RedisError

from threelane.contract import countries, message, phone
from threelane.contract.accounts.account import DEFAULT
from threelane.contract.accounts.routing import Chosen
from threelane.contract.message import Draft, Message
from threelane.contract.prices import CREDIT, Prices, country
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.contract.schedule import DAY, GATEWAY_VALIDITY_MINUTES, handover
from threelane.contract.why_parts import WhyParts
from threelane.producer.nudge import NUDGE_SIZE
from threelane.runtime import logs
from threelane.runtime.tracing import Tracer
from threelane.store import batches, budgets, ceiling, keys, limits
from threelane.store.accounts import AccountsField
from threelane.store.batches import BatchField, BatchRow, NewBatch
from threelane.store.countries import SeenCountries
from threelane.store.keys import HERE, BatchKey, RecordKey, Space
from threelane.store.record import Field
from threelane.store.scripts import Item, script, texts
from threelane.store.spaces import Elsewhere
from threelane.store.states import Status
from threelane.store.suppression import DAMAGED, IMPORT, OPERATOR, Entry
from threelane.store.tally import Count

BATCH = NUDGE_SIZE
FIRST = ":first"  # ends the reply for the first message to a country
ANY_PRICE = Prices({})


class NewMessage(Item, frozen=True):
    """A message as argument of the script; ``due`` is 0 if it is sent immediately."""

    id: str
    to: str
    lane: str
    parts: int
    due: int
    print: str
    estimate: int
    sender: str
    legal_notice: bool
    needs_right: bool  # to bypass opt-outs
    producer: str
    centre: str
    country: str
    same_text: str  # who gets which text: subscriber, colon, checksum
    repeats: bool  # the limit of the same text does not apply
    values: Sequence[str]  # fields, each with its value, as text, which costs Redis less; EXPIRES is always among them


class AcceptResult(StrEnum):
    """The first part of a reply of the script."""

    NEW = "new"
    SAME = "same"
    OTHER = "other"  # before the results for a message that was accepted with its id in the other form
    CONFLICT = "conflict"
    ERASED = "erased"
    DAMAGED = "damaged"
    NO_RIGHT = "no_right"
    OVER = "over"
    FULL = "full"
    ABROAD = "abroad"
    LIMITED = "limited"
    STALE = "stale"  # its account was chosen by other routes than those that are published


@script(__file__, texts, [AcceptResult, AccountsField, Code, BatchField], intake=True)
def _accept(
    *,
    records: Sequence[RecordKey],
    others: Sequence[RecordKey],
    now: int,
    today: str,
    tomorrow: str,
    tomorrow_at: int,
    is_tight: bool,
    routes: str,
    unseen: Sequence[str],
    has_same_texts: bool,
    messages: Sequence[NewMessage],
    others_of: Sequence[int],
    other_ids: Sequence[str],
    line_parts: Mapping[str, int],
    former_prints: Mapping[str, str],
    batches: Sequence[NewBatch],
    batch_rows: Sequence[BatchRow],
    batch_kept_ms: int,
    rows_kept_ms: int,
    batch_keys: tuple[BatchKey, ...],
) -> None:
    """Accept messages; returns a reply for each."""


class Place(NamedTuple):
    """Where a message waits: its lane, and its account as records have it."""

    lane: int
    account: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An accepted message, which Threelane does not lose.

    ``status`` is its current status; ``repeated``: it was accepted before with the same client message id;
    ``parts_saved`` is the number of parts that look-alikes saved, ``characters_cut`` the number of characters that
    ``onTooLong=cut`` removed and ``text_cut`` the first of them; ``explanation`` is ``why_parts`` as the HTTP API
    has sent it; ``due_at`` is Unix time in milliseconds, 0 if it is sent immediately.
    """

    id: str
    lane: int
    parts: int
    encoding: str
    units: int
    status: Status
    due_at: int = 0
    repeated: bool = False
    parts_saved: int = 0
    characters_cut: int = 0
    text_cut: str = ""
    template: str = ""
    opt_out: str = ""
    opt_out_parts: int = 0
    explanation: WhyParts | None = msgspec.field(name="why_parts", default=None)

    @property
    def why_parts(self) -> WhyParts | None:
        """What the parts beyond the first are for, computed when it is read; None for one part."""
        draft: Draft | None = self.__dict__.get(_DRAFT)
        return draft.why_parts if draft else self.explanation

    def explained(self) -> Accepted:
        """Return the same with its explanation, for JSON."""
        return msgspec.structs.replace(self, explanation=self.why_parts) if self.parts > 1 else self

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the explanation, not the message."""
        return _from_fields, (msgspec.structs.asdict(self.explained()), self.account)

    @property
    def account(self) -> str:
        """The name of the account that it is sent through; "" if the installation has one, and in the HTTP API."""
        name: str = self.__dict__.get(_ACCOUNT_NAME, "")
        return name

    @property
    def accepted(self) -> bool:
        """True, in contrast to a refusal."""
        return True


def _from_fields(fields: dict[str, Any], account: str = "") -> Accepted:
    """Return an answer from its fields, for pickle and copy."""
    found = Accepted(**fields)
    if account:
        found.__dict__[_ACCOUNT_NAME] = account
    return found


_ACCOUNT_NAME = "account_name"  # the attribute of an answer, outside of its fields: JSON has it where it is added
_DRAFT = "draft"  # the attribute of an answer, outside of its fields, with the message of several parts
Admission = Accepted | Refusal  # the result for one message, as a plain value
_NEW, _SAME, _TAKEN = f"{AcceptResult.NEW}:", AcceptResult.SAME.value, frozenset((AcceptResult.NEW, AcceptResult.SAME))
_STATUS = {status.value: status for status in Status}
_NEW_QUEUED = f"{AcceptResult.NEW}:{Status.QUEUED}:0"
_OTHER = f"{AcceptResult.OTHER}:"
ANY_ROUTES = "*"
"""In place of a version: the account does not follow from routes."""
_QUEUED = (f"{AcceptResult.NEW}:{Status.QUEUED}:", f"{AcceptResult.SAME}:{Status.QUEUED}:")


def accept(
    client: redis.Redis,
    drafts: Sequence[Draft],
    now: int,
    prices: Prices = ANY_PRICE,
    tracer: Tracer | None = None,
    validity_minutes: int = GATEWAY_VALIDITY_MINUTES,
    space: Space = HERE,
) -> list[Admission]:
    """Accept up to 99 drafts, with ``prices`` for the estimates; the results are in the same order.

    All are to be sent through the account of ``space``, unless they are known: a message keeps its account.

    Safe to repeat with the same drafts: a known message gets the same result as the first time.
    """
    accept_call = AcceptCall(drafts, now, prices, tracer, validity_minutes=validity_minutes, space=space)
    accept_call.begin(client)
    return accept_call.answers(accept_call.wait())


class AcceptCall:
    """One call of the script in steps, so that a bulk can do other work while Redis runs it."""

    def __init__(
        self,
        drafts: Sequence[Draft],
        now: int,
        prices: Prices = ANY_PRICE,
        tracer: Tracer | None = None,
        seen: SeenCountries | None = None,
        rows_kept_ms: int = batches.ROWS_KEPT_MS,
        validity_minutes: int = GATEWAY_VALIDITY_MINUTES,
        space: Space = HERE,
        chosen: Sequence[Chosen] = (),
        routes: str = ANY_ROUTES,
    ) -> None:
        """Prepare the call for up to 99 drafts.

        ``seen`` are the countries that need no look-up in Redis; batches list these messages for ``rows_kept_ms``.
        ``validity_minutes`` is the longest validity that the gateway takes.  All are sent through the account of
        ``space``, which was ``chosen`` for each by the routes of this version; nothing is accepted by other routes than
        those that are published.
        """
        self._drafts = drafts
        self._accept = _accept.within(space)
        self._spans = [tracer.begin("accept") for _ in drafts] if tracer else []
        traces = [span.traceparent for span in self._spans] or [""] * len(drafts)
        self._now = now
        self._space, self._chosen, self._routes = space, chosen, routes
        self._messages = [
            _new_message(draft, prices, trace, _due(draft.message, now, validity_minutes), space.account, one)
            for draft, trace, one in zip(drafts, traces, chosen or repeat(None), strict=False)
        ]
        self._former_prints = {
            draft.message.id: " ".join(draft.former_fingerprints) for draft in drafts if draft.former_fingerprints
        }
        self._line_parts = {draft.message.id: draft.opt_out_parts for draft in drafts if draft.opt_out}
        self._records = keys.records(draft.message.id for draft in drafts)
        self._others = {at: draft.other_id for at, draft in enumerate(drafts, 1) if draft.other_id}
        self._seen = seen or SeenCountries()
        self._unseen = self._seen.others({one.country for one in self._messages}, now)
        self._batches = batches.listing([draft.message for draft in drafts])
        self._rows_kept_ms = rows_kept_ms
        self._failed: RedisError | None = None

    def begin(self, client: redis.Redis) -> None:
        """Send the call to Redis; does not raise."""
        self._client = client
        try:
            if ceiling.is_near(client, ceiling.INTAKE_SHARE, len(self._drafts)):
                self._failed = OutOfMemoryError()
            is_tight = ceiling.is_near(client, ceiling.TIGHT_SHARE, 0)
        except RedisError as failed:
            self._failed = failed
        if self._failed:
            return
        self._call = self._accept.begin(client, **self._arguments(is_tight=is_tight))

    async def run(self, client: redis.asyncio.Redis) -> list[Admission]:
        """Make the call on an asyncio client, and return the results; raises RedisError."""
        return self.answers(await self._accept.run(client, **self._arguments(is_tight=False)))

    def _arguments(self, *, is_tight: bool) -> dict[str, Any]:
        tomorrow_at = (self._now // DAY + 1) * DAY
        return {
            "records": self._records,
            "others": keys.records(self._others_of_all()),
            "others_of": list(self._others),
            "other_ids": list(self._others.values()),
            "now": self._now,
            "today": budgets.day(self._now),
            "tomorrow": budgets.day(tomorrow_at),
            "tomorrow_at": tomorrow_at,
            "is_tight": is_tight,
            "routes": self._routes,
            "unseen": self._unseen,
            "has_same_texts": len({one.same_text for one in self._messages}) < len(self._messages),
            "messages": self._messages,
            "line_parts": self._line_parts,
            "former_prints": self._former_prints,
            "batches": self._batches.batches,
            "batch_rows": self._batches.rows,
            "batch_kept_ms": batches.KEPT_MS,
            "rows_kept_ms": self._rows_kept_ms,
            "batch_keys": self._batches.keys,
        }

    def _others_of_all(self) -> list[str]:
        """Return for each message its id in the other form, or its own; nothing if none has a client message id."""
        if not self._others:
            return []
        return [self._others.get(at, one.id) for at, one in enumerate(self._messages, 1)]

    def wait(self) -> list[str]:
        """Return the script's reply for each draft; raises RedisError."""
        try:
            if self._failed:
                raise self._failed
            return self._call.answer()
        except Exception as failed:
            if isinstance(failed, OutOfMemoryError) and not self._failed:
                ceiling.reached(self._client)
            for span in self._spans:
                span.end(failed=True, error=type(failed).__name__)
            raise

    def due(self, replies: Sequence[str]) -> dict[str, Place]:
        """Return the messages to send immediately: id -> lane and account."""
        here = Place(self._drafts[0].message.lane, self._space.account)
        return {
            draft.message.id: here if one == _NEW_QUEUED else Place(here.lane, _account_of(one, here.account))
            for draft, one in self._stored(replies)
            if one.startswith(_QUEUED)
        }

    def answers(self, replies: Sequence[str]) -> list[Admission]:
        """Return the results for the callers, and log them."""
        pairs = self._stored(replies)
        taken = (draft.message for draft, one in pairs if one.startswith(_NEW))
        logs.events(
            "accepted",
            ({"id": one.id, "lane": one.lane, "parts": one.parts, "to": phone.mask(one.to)} for one in taken),
        )
        if self._unseen:
            self._note_countries(replies)
        answers = [_answer(draft, one) for draft, one in pairs]
        if self._chosen:
            self._name_accounts(answers, replies)
        for (draft, _), span, answer in zip(pairs, self._spans, answers, strict=False):
            span.end(id=draft.message.id, lane=draft.message.lane, parts=draft.message.parts, **_result(answer))
        return answers

    def _stored(self, replies: Sequence[str]) -> list[tuple[Draft, str]]:
        """Return the drafts with the ids under which they are stored, and the replies without that difference."""
        pairs = list(zip(self._drafts, replies, strict=True))
        return [_stored(*pair) for pair in pairs] if self._others else pairs

    def _name_accounts(self, answers: Sequence[Admission], replies: Sequence[str]) -> None:
        """Note in the answers to accepted messages which account each has."""
        for answer, reply in zip(answers, replies, strict=True):
            if isinstance(answer, Accepted):
                answer.__dict__[_ACCOUNT_NAME] = _account_of(reply, self._space.account) or DEFAULT

    def _note_countries(self, replies: Sequence[str]) -> None:
        """Remember the countries of accepted messages, and log those that nothing was ever sent to."""
        for one, reply in zip(self._messages, replies, strict=True):
            if reply.startswith(_NEW):
                self._seen.add(one.country)
                if reply.endswith(FIRST):
                    logs.event("new_country", level=30, country=one.country, producer=one.producer, id=one.id)


def _account_of(reply: str, here: str) -> str:
    """Return the account of an accepted message; its reply names one that is not ``here``, where it is known."""
    _, found, account = reply.partition(Elsewhere.ACCOUNT)
    return account if found else here


def _result(answer: Admission) -> dict[str, Any]:
    """Return the attributes of a span for a result."""
    if isinstance(answer, Refusal):
        return {"result": "refused", "code": answer.code}
    return {"result": "repeated" if answer.repeated else "accepted"}


def count_refusals(client: redis.Redis, refusals: Collection[Refusal]) -> None:
    """Count refusals that were made before the script."""
    if refusals:
        with client.pipeline(transaction=False) as pipe:
            for code, times in Counter(refused.code for refused in refusals).items():
                pipe.hincrby(keys.TALLY, Count.REFUSED.field(code), times)
            pipe.execute()


# plain strings: members are slower to look up and encode, and every message has several
_EXPIRES, _BODY, _ESTIMATE, _PRODUCER, _CENTRE = (
    name.value for name in (Field.EXPIRES, Field.BODY, Field.ESTIMATE, Field.PRODUCER, Field.CENTRE)
)
_CLIENT, _BATCH, _TAGS, _GATEWAY_DUE, _TRACE, _SCHEMA, _ACCOUNT, _STAND_BY, _ROUTE = (
    name.value
    for name in (
        Field.CLIENT,
        Field.BATCH,
        Field.TAGS,
        Field.GATEWAY_DUE,
        Field.TRACE,
        Field.SCHEMA,
        Field.ACCOUNT,
        Field.STAND_BY,
        Field.ROUTE,
    )
)


def _due(sms: Message, now: int, validity_minutes: int) -> int:
    """Return when Threelane sends a message, 0: now; one for the gateway's scheduler when it is handed over."""
    if not sms.at_gateway:
        return sms.due_at
    due = handover(sms.due_at, sms.expires_at, validity_minutes)
    return due if due > now else 0


def _new_message(draft: Draft, prices: Prices, trace: str, due: int, account: str, chosen: Chosen | None) -> NewMessage:
    """Return a draft as argument of the script."""
    sms = draft.message
    where = country(sms.to)
    estimate = prices.price(sms.to, where) * sms.parts
    values = [_EXPIRES, str(sms.expires_at), _BODY, message.encode(sms).decode()]
    if estimate:
        values += _ESTIMATE, str(estimate)
    if sms.producer:
        values += _PRODUCER, sms.producer
    if sms.cost_centre:
        values += _CENTRE, sms.cost_centre
    if sms.client_message_id:
        values += _CLIENT, sms.client_message_id
    if sms.batch:
        values += _BATCH, sms.batch
    if sms.tags:
        values += _TAGS, ",".join(sms.tags)
    if sms.at_gateway:
        values += _GATEWAY_DUE, str(sms.due_at)
    if trace:
        values += _TRACE, trace
    stand_by = chosen.stand_by if chosen else ""
    schema = max(sms.schema, message.OF_ACCOUNT) if account or stand_by else sms.schema
    if account:
        values += _ACCOUNT, account
    if schema > 1:  # the default account's too, if it has a stand-by: workers of earlier versions note no doubt
        values += _SCHEMA, str(schema)
    if stand_by:
        values += _STAND_BY, stand_by
    if chosen and chosen.rule:
        values += _ROUTE, chosen.rule
    return NewMessage(
        sms.id,
        sms.to,
        str(sms.lane),
        sms.parts,
        due,
        draft.fingerprint,
        estimate,
        sms.sender,
        sms.legal_notice,
        sms.bypasses != "",
        sms.producer,
        sms.cost_centre,
        where,
        _same_text(sms),
        draft.repeats,
        values,
    )


def _same_text(sms: Message) -> str:
    """Return what two copies of a message have in common: whom they reach, their content and their producer.

    ``to`` is the person's identity already: phone.parse returns the present spelling.
    """
    content = f"{sms.producer}\0{sms.text}" if sms.text else f"{sms.producer}\0{sms.udh} {sms.binary}"
    return f"{sms.to}:{crc32(content.encode())}"


def _stored(draft: Draft, reply: str) -> tuple[Draft, str]:
    """Return a draft with the id under which it is stored, and the reply for it."""
    return (with_other_id(draft), reply.removeprefix(_OTHER)) if reply.startswith(_OTHER) else (draft, reply)


def with_other_id(draft: Draft) -> Draft:
    """Return a draft with its id in the other form."""
    sms = msgspec.structs.replace(draft.message, id=draft.other_id)
    return msgspec.structs.replace(draft, message=sms, other_id=draft.message.id)


def _answer(draft: Draft, reply: str) -> Admission:
    if reply == _NEW_QUEUED:
        return _accepted(draft, Status.QUEUED, draft.message.due_at)
    sms = draft.message
    result, _, rest = reply.partition(":")
    if result in _TAKEN:
        status, due, *_ = rest.split(":", 2)
        is_put_off = sms.at_gateway and result != _SAME  # until its handover, which comes before its delivery time
        due_at = max(int(due), sms.due_at) if is_put_off else int(due) or sms.due_at
        return _accepted(draft, _STATUS[status], due_at, repeated=result == _SAME)
    if reply in (AcceptResult.CONFLICT, AcceptResult.ERASED):
        return conflict(draft, erased=reply == AcceptResult.ERASED)
    if reply == AcceptResult.DAMAGED:
        return damaged(draft)
    if reply == AcceptResult.STALE:
        return changing()
    if reply == AcceptResult.FULL:
        return full(sms)
    if reply == AcceptResult.NO_RIGHT:
        return no_right(sms)
    if result == AcceptResult.ABROAD:
        return abroad(sms, rest.split(",") if rest else [])
    if result == AcceptResult.LIMITED:
        return limited(sms, rest)
    return _over_budget(reply) if result == AcceptResult.OVER else suppressed(msgspec.json.decode(reply, type=Entry))


def _accepted(draft: Draft, status: Status, due_at: int, *, repeated: bool = False) -> Accepted:
    sms = draft.message
    accepted = Accepted(
        id=sms.id,
        lane=sms.lane,
        parts=sms.parts,
        encoding=sms.encoding,
        units=sms.units,
        status=status,
        due_at=due_at,
        repeated=repeated,
        parts_saved=draft.parts_saved,
        characters_cut=draft.characters_cut,
        text_cut=draft.text_cut,
        template=draft.template,
        opt_out=draft.opt_out,
        opt_out_parts=draft.opt_out_parts,
    )
    if sms.parts > 1:
        accepted.__dict__[_DRAFT] = draft
    return accepted


def changing() -> Refusal:
    """Return the refusal of a message whose account was chosen by other routes than those that are published."""
    return Refusal(
        code=Code.NO_ROUTE,
        field="account",
        problem="the accounts and routes have changed since its account was chosen",
        remedy="send it again; it was not accepted",
        owner=Owner.OPERATOR,
        retry_after=1,
    )


def conflict(draft: Draft, *, erased: bool = False) -> Refusal:
    """Return the refusal of a client message id that was used with other content, or whose content was erased."""
    content = ", and its content has been erased since" if erased else " with other content"
    return Refusal(
        code=Code.CONFLICT,
        field=draft.id_field,
        problem=f"this client message id was accepted{content}",
        remedy="use a new id for a new message; the first one is unchanged",
        accepted_id=draft.message.id,
    )


def damaged(draft: Draft) -> Refusal:
    """Return the refusal of a client message id whose record is damaged, so that its content cannot be compared."""
    return Refusal(
        code=Code.CONFLICT,
        field=draft.id_field,
        problem="this client message id was accepted, and its stored record is damaged",
        remedy="ask an operator whether the first one was sent: threelane explain ID; use a new id for a new message",
        accepted_id=draft.message.id,
        owner=Owner.OPERATOR,
    )


def no_right(sms: Message) -> Refusal:
    """Return the refusal of a message that bypasses opt-outs, and whose producer lacks the right."""
    return Refusal(
        code=Code.INVALID,
        field=sms.bypasses,
        problem=f"the producer {sms.producer!r} has no right to send to recipients who opted out",
        remedy="leave it out, or ask an operator to grant it: threelane producers set NAME --bypass",
        owner=Owner.OPERATOR,
    )


def abroad(sms: Message, allowed: Sequence[str]) -> Refusal:
    """Return the refusal of a recipient in a country that its producer may not send to; [] for an unreadable list."""
    if allowed:
        return countries.refuse_of_producer(country(sms.to), allowed, sms.producer)
    return Refusal(
        code=Code.DESTINATION,
        field="to",
        problem=f"the list of countries of the producer {sms.producer!r} is damaged, so nothing is sent for it",
        remedy="ask an operator to restore it: threelane doctor has the command",
        owner=Owner.OPERATOR,
    )


def full(sms: Message) -> Refusal:
    """Return the refusal of a producer that has most of what waits, while little memory is left for the others."""
    return Refusal(
        code=Code.FULL,
        field="producer",
        problem=f"Redis is almost full, and most of what waits is of the producer {sms.producer!r}",
        remedy="wait until more of them are sent, or cancel some; other producers are still accepted",
    )


def limited(sms: Message, reply: str) -> Refusal:
    """Return the refusal of a message over a limit, from the script's reply."""
    wait_ms, first, count, lanes, row = reply.split(":", 4)
    name = limits.name_of(row)
    seconds = math.ceil(int(wait_ms) / 1000)
    if name.kind == limits.TEXT:
        return Refusal(
            code=Code.LIMIT,
            field="text",
            problem=f"the same text was accepted for this recipient less than {count} s ago",
            remedy=f"nothing, if it was sent twice by mistake; otherwise change the text, or wait {seconds} s",
            accepted_id=first,
            retry_after=seconds,
        )
    what = {
        limits.PERSON: "this recipient",
        "prefix": f"numbers that begin with {name.of}",
        "country": f"the country {name.of}",
        "producer": f"the producer {name.of!r}",
    }[name.kind]
    of_lane = " of lane 1" if lanes == limits.LANE_1 else ""
    is_of_recipient = name.kind == limits.PERSON
    change = f"threelane limits set {name.scope} {name.period} NUMBER"
    change += " --lanes 1" if lanes == limits.LANE_1 else ""
    change += f" --producer {sms.producer!r}" if is_of_recipient and sms.producer else ""
    return Refusal(
        code=Code.LIMIT,
        field="producer" if name.kind == "producer" else "to",
        problem=f"{what}: the limit of {int(count):,} messages{of_lane} per {name.period} is reached",
        remedy=f"send it in {_duration(seconds)}, or ask an operator to raise the limit: {change}",
        owner=Owner.PRODUCER if is_of_recipient else Owner.OPERATOR,
        retry_after=seconds,
    )


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 7_200 else f"{math.ceil(seconds / 3_600)} hours"


def _over_budget(reply: str) -> Refusal:
    _, limit, spent, name = reply.split(":", 3)
    kind, _, rest = name.partition(":")
    whose, _, period = rest.rpartition(":")
    left = max(0, int(limit) - int(spent)) / CREDIT
    if int(limit) < 0:
        return _damaged_budget(kind, name)
    return Refusal(
        code=Code.BUDGET,
        field="cost_centre" if kind == "centre" else "producer",
        problem=f"{left:g} of the {int(limit) / CREDIT:g} credits of {whose} per {period} are left: too few",
        remedy=f"send it next {period}, or ask an operator to raise the budget: threelane money budget set",
        owner=Owner.OPERATOR,
    )


def _damaged_budget(kind: str, name: str) -> Refusal:
    """Return the refusal of what an unreadable budget limits."""
    return Refusal(
        code=Code.BUDGET,
        field="cost_centre" if kind == "centre" else "producer",
        problem=f"the stored budget {name} is damaged, so nothing that it limits is accepted",
        remedy="ask an operator to set or remove it: threelane doctor",
        owner=Owner.OPERATOR,
    )


_OWN_WAY_BACK = "only its owner can opt in again"
_WAYS_BACK = {
    OPERATOR: "an operator listed it, and can remove it",
    IMPORT: "an operator imported it, and can remove it",
    "code 121": "the gateway blocks it; its support can lift that",
    "code 128": "the gateway blocks it; its support can lift that",
}
"""How a number is sent to again, by the source of its entry; START lifts only STOP and opt-outs at the gateway."""


def suppressed(entry: Entry) -> Refusal:
    """Return the refusal of a suppressed recipient."""
    if entry.source == DAMAGED:
        return Refusal(
            code=entry.code,
            field="to",
            problem="the suppression entry of this recipient is damaged, so nothing is sent to it",
            remedy="ask an operator to replace it: threelane doctor",
            owner=Owner.OPERATOR,
        )
    since = datetime.fromtimestamp(entry.first / 1000, UTC).isoformat(timespec="seconds")
    scope = "" if entry.scope == "all" else f" for {entry.scope}"
    return Refusal(
        code=entry.code,
        field="to",
        problem=f"the recipient is suppressed{scope} since {since} by {entry.source}",
        remedy=f"do not send to this number; {_WAYS_BACK.get(entry.source, _OWN_WAY_BACK)}",
        owner=Owner.RECIPIENT,
    )
