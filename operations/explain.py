"""Explain: the history of one message, from its record and from holds, windows, budgets and events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis

from threelane.contract.accounts.account import shown
from threelane.contract.counted import counted
from threelane.contract.message import Message
from threelane.contract.refusal import Owner
from threelane.contract.window import Windows
from threelane.operations import opening
from threelane.operations.outage import outage
from threelane.store import accounts, budgets, events, keys, pauses, readable, registry, rows, waiting, windows
from threelane.store import status as statuses
from threelane.store.diverted import parse as parse_diverted
from threelane.store.keys import HERE, Space, space_of
from threelane.store.readable import UnreadableBody, body_of
from threelane.store.record import Field
from threelane.store.states import FINAL, SUCCESSFUL, Status
from threelane.store.status import MessageStatus
from threelane.store.waiting import Cause
from threelane.worker.account import hold
from threelane.worker.gateway.overrides import in_force
from threelane.worker.policy.legacy import TRANSPORT
from threelane.worker.policy.ours import MEANINGS, OURS
from threelane.worker.policy.rule import UNTIL_EXPIRY, Scope, Table
from threelane.worker.policy.statuses import OF_ACCOUNT
from threelane.worker.process.identity import SILENT_MS
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.webhooks.delivery import decode as decode_delivery
from threelane.worker.webhooks.intake import GROUP

BEFORE_MS, AFTER_MS = (
    1_000,
    5_000,
)  # an event is written within this span around its time: clocks differ, rounds take time
MOST_EVENTS = 50_000  # most stream entries to scan
NOT_KEPT = (
    "the times of attempts between the first and the last; their number and the waits between them are kept",
    "whether it waited for the rate, a hold or its window, once it was sent; the sum of these waits is kept",
    "the result of each look-up; their number is kept",
    "its text, once it was sent or has ended",
    "the events of an earlier end, if it was redriven",
)


class Step(msgspec.Struct, frozen=True):
    """One thing that happened; ``at`` in milliseconds of Unix time."""

    at: int
    what: str
    detail: str = msgspec.field(name="told", default="")


class Wait(msgspec.Struct, frozen=True):
    """How long the message waited for one cause: ``schedule``, ``before_first_attempt``, ``retries`` or ``network``."""

    cause: str
    seconds: float


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """The policy rule that decided last; ``listed`` is False when the table does not list the code itself."""

    code: str
    verdict: str = ""
    scope: str = ""
    owner: str = ""
    reason: str = ""
    most_attempts: int | None = None  # None: until the validity ends
    spends_attempt: bool = True
    holds_seconds: float = 0.0
    alarm: bool = False
    listed: bool = True
    meaning: str = ""


class Pending(msgspec.Struct, frozen=True):
    """What the message waits for now; ``until`` in milliseconds, 0 when unknown."""

    cause: str
    until: int = 0
    detail: str = msgspec.field(name="told", default="")


class BudgetShare(msgspec.Struct, frozen=True):
    """A budget that the message counts towards; millionths of a credit."""

    scope: str
    period: str
    limit: int
    spent: int
    over: str


class MessageCost(msgspec.Struct, frozen=True, kw_only=True):
    """Millionths of a credit: estimated, charged (None: not reported), and counted by its budgets."""

    estimate: int = 0
    charged: int | None = None
    counted: int = 0
    counted_on: str = ""  # the day of its budgets, YYYYMMDD
    budgets: tuple[BudgetShare, ...] = ()


class PublishedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event for the producer; ``webhook`` is none, on_its_way, taken, undelivered or not_fetched."""

    id: str
    type: str
    at: int
    status: str = ""
    webhook: str = "none"
    tries: int = 0
    reason: str = ""
    next_try_at: int = 0


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The history of one message, without its text.  Times are milliseconds of Unix time; 0: not yet."""

    message: MessageStatus
    client_message_id: str = ""
    producer: str = ""
    cost_centre: str = ""
    tags: tuple[str, ...] = ()
    sender: str = ""
    country: str = ""
    trace: str = ""
    steps: tuple[Step, ...] = ()
    waits: tuple[Wait, ...] = ()
    first_tried_at: int = 0
    look_ups: int = 0  # while it was in doubt
    status_look_ups: int = 0  # because no receipt came
    lapses: int = 0
    in_doubt_since: int = 0
    waiting_since: int = 0  # when it was accepted, became due or was redriven, while it is not sent
    waiting_cause: str = ""  # why it left the plain path, if it did: retry, hold, newer, window, in_doubt, ...
    rule: Matched | None = None
    pending: Pending | None = None
    money: MessageCost = MessageCost()
    receipts: tuple[Step, ...] = ()
    events: tuple[PublishedEvent, ...] = ()
    not_kept: tuple[str, ...] = NOT_KEPT


def explain(client: redis.Redis, message_id: str, now: int, settings: WorkerSettings) -> Story | None:
    """Return the history of a message, or None when its id is unknown or no longer remembered; raises WrongPolicy."""
    (known,) = statuses.read(client, [message_id])
    if known is None:
        return None
    record = readable.read(client, message_id) or {}
    receipts = tuple(_receipts(known))
    sms = _body(record.get(Field.BODY, ""), message_id)
    return Story(
        message=known,
        client_message_id=record.get("client", ""),
        producer=record.get("producer", ""),
        cost_centre=record.get("centre", ""),
        tags=tuple(filter(None, record.get("tags", "").split(","))),
        sender=sms.sender if sms else "",
        country=record.get("country", ""),
        trace=record.get("trace", ""),
        steps=tuple(_steps(known, record, receipts)),
        waits=tuple(_waits(known, record, now)),
        first_tried_at=int(record.get("first", 0)),
        look_ups=int(record.get("probes", 0)),
        status_look_ups=int(record.get("asks", 0)),
        lapses=int(record.get("lapses", 0)),
        in_doubt_since=int(record.get("doubted", 0)),
        waiting_since=_since(known, record, now),
        waiting_cause=waiting.cause_of(record.get(Field.WAITING, "")),
        rule=_rule(client, known, record, settings),
        pending=_pending(client, known, record, sms, now),
        money=_money(client, known, record, now),
        receipts=receipts,
        events=tuple(_events(client, known, record.get("producer", ""), _late_at(known, record, settings))),
    )


def content(client: redis.Redis, message_id: str) -> Message | None:
    """Return the content of a waiting message, or None when it is unknown, was sent or erased."""
    record = readable.read(client, message_id) or {}
    if record.get(Field.STATUS) == Status.SENT:  # it keeps its text in case that it comes back, and for nothing else
        return None
    return _body(record.get(Field.BODY, ""), message_id)


def damaged(client: redis.Redis, message_id: str) -> str:
    """Return what was unreadable of a record, ``field=value`` in lines with escapes; "" if nothing was."""
    record = readable.read(client, message_id) or {}
    return record.get(Field.DAMAGED, "")


def _body(body: str, message_id: str) -> Message | None:
    try:
        return body_of(body.encode(), message_id) if body else None
    except UnreadableBody:
        return None


MILLISECONDS = re.compile(r"[0-9]{1,15}")


def _rule(
    client: redis.Redis, known: MessageStatus, record: Mapping[str, str], settings: WorkerSettings
) -> Matched | None:
    """Return the rule that decided last: that of the status that returned the message, or of its code."""
    status = record.get(Field.FORMER_STATUS, "")
    cause = OF_ACCOUNT.get(status)
    if cause and known.code == cause.code and known.reason == cause.reason:
        meaning = f"the network's status {status}, by which the account is on hold; the message is sent again, once"
        return Matched(code=cause.code, reason=cause.reason, scope=Scope.ACCOUNT, owner=Owner.OPERATOR, meaning=meaning)
    return matched(known.code, table_of(client, record.get(Field.ACCOUNT, ""), settings)) if known.code else None


def table_of(client: redis.Redis, account: str, settings: WorkerSettings) -> Table:
    """Return the policy table of an account, which is named as in keys.

    It has the operator's changes if the settings are of this account; of another one only its API is known here.
    """
    known = accounts.read(client).routing.accounts.get(shown(account)) if account != settings.space.account else None
    return in_force(known.gateway, None) if known else in_force(settings.gateway, settings.policy_file)


def matched(code: str, table: Table) -> Matched:
    """Return the policy rule for a code of a record."""
    if code in MEANINGS and code not in OURS.rules:
        return Matched(code=code, meaning=MEANINGS[code])
    rule = next((own for own in (TRANSPORT, OURS) if code in own.rules), table).rule_for(code)
    return Matched(
        code=code,
        verdict=rule.verdict,
        scope=rule.scope,
        owner=rule.owner,
        reason=rule.reason,
        most_attempts=None if rule.most_attempts >= UNTIL_EXPIRY else rule.most_attempts,
        spends_attempt=rule.spends_attempt,
        holds_seconds=rule.hold_seconds,
        alarm=rule.alarm,
        listed=rule.code == code,
        meaning=MEANINGS.get(code, ""),
    )


def _receipts(known: MessageStatus) -> Iterator[Step]:
    for report in known.reports:
        at, _, status = report.partition(" ")
        if MILLISECONDS.fullmatch(at):  # a later line may be damaged
            yield Step(int(at), "receipt", status)


_AT_ITS_TIME = "its delivery time"


def _leaves(record: Mapping[str, str]) -> int:
    """Return when Threelane sends the message, 0: immediately."""
    return int(record.get(Field.DUE, 0))


def _is_early(known: MessageStatus, record: Mapping[str, str]) -> bool:
    """Return whether the message leaves before its delivery time, until which the gateway keeps it."""
    return known.due_at > _leaves(record)


def _steps(known: MessageStatus, record: Mapping[str, str], receipts: tuple[Step, ...]) -> Iterator[Step]:
    """Yield the steps in the order of their times."""
    parts = f"{known.parts} part{'s' if known.parts > 1 else ''}, lane {known.lane}"
    steps = [Step(known.accepted_at, "accepted", parts)]
    if leaves := _leaves(record):
        steps.append(Step(leaves, "due", "its handover to the gateway" if _is_early(known, record) else _AT_ITS_TIME))
    if _is_early(known, record):
        steps.append(Step(known.due_at, "due at the gateway", _AT_ITS_TIME))
    if first := int(record.get("first", 0)):
        tried = f"{known.attempts} attempts in total" if known.attempts > 1 else ""
        steps.append(Step(first, "first attempt", tried))
    if (doubted := int(record.get("doubted", 0))) and "retry" not in record:
        steps.append(Step(doubted, "in doubt", "the gateway is queried by the client message id"))
    if resent := int(record.get("resent", 0)):
        steps.append(Step(resent, "sent again", "the gateway had never accepted it; this happens once at most"))
    if returned := int(record.get("returned", 0)):
        why = f"status {record.get('former_status', '')} is about the account; it is sent again, once"
        steps.append(Step(returned, "returned", why))
    if diverted := parse_diverted(record.get("diverted", "")):
        tried = f" after {counted(diverted.attempts, 'attempt')}" if diverted.attempts else ""
        why = (
            f"from the account {diverted.account}, which could not send ({diverted.why}); it was not sent there{tried}"
        )
        steps.append(Step(diverted.at, "taken over by the stand-by", why))
    if known.sent_at:
        steps.append(Step(known.sent_at, "sent", f"gateway id {known.gateway_id}" if known.gateway_id else ""))
    steps += receipts
    if known.ended_at:
        why = " ".join(filter(None, (known.code, known.reason))) if known.status not in SUCCESSFUL else ""
        steps.append(Step(known.ended_at, str(known.status), why))
    yield steps[0]  # always first, even when a worker's clock is behind
    yield from sorted(steps[1:], key=lambda step: step.at)


_UNSENT = (Status.SCHEDULED, Status.QUEUED, Status.PAUSED, Status.SENDING, Status.IN_DOUBT)


def _waits(known: MessageStatus, record: Mapping[str, str], now: int) -> Iterator[Wait]:
    """Yield how long it has waited, by cause, without causes of no duration."""
    first, ended = int(record.get("first", 0)), known.ended_at or now
    due = _leaves(record)
    begins = max(known.accepted_at, min(due, ended))
    spans = {
        "schedule": begins - known.accepted_at,
        "before_first_attempt": (first or (ended if due <= ended else begins)) - begins,
        "retries": round(sum(known.waits) * 1000),
        "network": ended - known.sent_at if known.sent_at else 0,
    }
    yield from (Wait(cause, span / 1000) for cause, span in spans.items() if span > 0)


def _since(known: MessageStatus, record: Mapping[str, str], now: int) -> int:
    """Return since when it waits to be sent; 0 if it does not, or is not due."""
    since = max(known.accepted_at, _leaves(record), int(record.get(Field.REDRIVEN, 0)))
    return since if known.status in _UNSENT and since <= now else 0


def _late_at(known: MessageStatus, record: Mapping[str, str], settings: WorkerSettings) -> int:
    """Return when it was late; 0 if it was not.  Earlier versions did not record it."""
    sent = known.sent_at + settings.keeping.late if known.sent_at and known.lane == 1 else 0
    return int(record.get(Field.LATE, 0)) or sent


def _pending(
    client: redis.Redis, known: MessageStatus, record: Mapping[str, str], sms: Message | None, now: int
) -> Pending | None:
    """Return what it waits for now, or None when it has ended."""
    if known.status in FINAL:
        return None
    if known.status is Status.DEAD:
        return Pending(
            "redrive", 0, f"dead; when the {known.owner or 'operator'} has fixed it: threelane dead redrive {known.id}"
        )
    if known.status is Status.PAUSED:
        return _paused(client, known)
    space = space_of(record.get(Field.ACCOUNT, ""))
    at = int(_score(client, known, space))
    held = hold.holds(client, now, space)
    breaker = outage(client, held, now, space)
    if breaker and known.status is Status.IN_DOUBT:
        cause = "retry" if "retry" in record else "look_up"
        return Pending(cause, 0, f"{breaker.cause}; nothing is looked up until {hold.way_back(breaker)}")
    if tried := _tried(known, record, at):
        return tried
    if waiting.cause_of(record.get(Field.WAITING, "")) == Cause.NEWER:
        return Pending("newer", at, f"its schema is {record.get('schema', '')}: it waits for a newer worker")
    if scope := hold.stopping(held, known.lane, sms.sender if sms else "", known.to, known.producer):
        one = held[scope]
        why = "; ".join(filter(None, (f"{one.code} {one.cause}", hold.evidence_of(one), "threelane holds")))
        return Pending("hold", one.until, f"{scope} is on hold: {why}")
    if breaker and known.status is Status.QUEUED:
        return Pending("hold", 0, f"{breaker.cause}; it is sent when {hold.way_back(breaker)}")
    tags = record.get("tags", "").split(",") if record.get("tags") else ()
    hours = windows.read(client) if known.lane > 1 else Windows()
    opens = hours.opening(known.lane, tags, known.to, now)
    if opens != now and (known.status is Status.QUEUED or opens == at):
        reasons = opening.reason(hours.applying_to(known.lane, tags), hours.holidays, known.to, now)
        return Pending("window", opens or 0, "; ".join(("its sending window is closed", *reasons)))
    if known.status is Status.SCHEDULED:
        if known.waits:
            return Pending("retry", at, f"retried after {known.code} {known.reason}")
        return Pending("schedule", at, _scheduled(known, record))
    before: Any = client.zcount(keys.names(space).QUEUED[known.lane], "-inf", f"({at}")
    if space != HERE and not rows.workers_of(client, now - SILENT_MS, space):
        return Pending("lane", 0, "no worker serves its account: threelane worker --account NAME")
    return Pending(
        "lane",
        0,
        f"{before} messages of lane {known.lane} are ahead of it; see workers, rate and reserve: threelane top",
    )


def _scheduled(known: MessageStatus, record: Mapping[str, str]) -> str:
    if not _is_early(known, record):
        return _AT_ITS_TIME
    due = datetime.fromtimestamp(known.due_at / 1000, UTC)
    return f"its handover to the gateway, which keeps it until {due:%Y-%m-%d %H:%M} UTC"


def _paused(client: redis.Redis, known: MessageStatus) -> Pending:
    """Return that it waits for the end of its batch's pause; ``until`` is when its validity ends."""
    found = pauses.find(client, known.producer, known.batch)
    resume, _ = pauses.commands(known.producer, known.batch)
    if found is None:
        return Pending("pause", 0, "the pause of its batch has ended; workers put it back within seconds")
    since = f" since {datetime.fromtimestamp(found.since / 1000, UTC):%Y-%m-%d %H:%M} UTC" if found.since else ""
    by = f" by {found.by}" if found.by else ""
    return Pending("pause", known.expires_at, f"paused with its batch {known.batch}{since}{by}: {resume}")


def _tried(known: MessageStatus, record: Mapping[str, str], at: int) -> Pending | None:
    """Return what a message waits for that the gateway may have; None if it waits to be sent."""
    match known.status:
        case Status.SENDING:
            return Pending("attempt", at, "an attempt is in progress; this is when its lease ends")
        case Status.IN_DOUBT if "retry" in record:
            why = f"refused with {known.code} {known.reason}; looked up first, and retried if it is unknown"
            return Pending("retry", max(at, int(record["retry"])), why)
        case Status.IN_DOUBT:
            return Pending("look_up", at, _look_up(record))
        case Status.SENT:
            return Pending("receipt", at, "the gateway has it; without a receipt, this is when it is queried")
    return None


def _score(client: redis.Redis, known: MessageStatus, space: Space) -> float:
    """Return its score in the index of its state, which an earlier version may have written."""
    for index in filter(
        None, (keys.names(space).FORMER.get(known.status), keys.index_of(known.status, known.lane, space))
    ):
        score: Any = client.zscore(index, known.id)
        if score is not None:
            return float(score)
    return 0


def _look_up(record: Mapping[str, str]) -> str:
    """Return why the gateway is queried, and what follows."""
    if "body" not in record:
        return "it was sent, and the gateway no longer knows it; its content is gone, so it is not sent again"
    if "returned" in record:
        until = "look-ups may show its first attempt only, so it waits for a receipt at most until its validity ends"
        return f"its second attempt; {until}; this is when the gateway is queried next"
    again = "it was sent again once and is not sent a third time; " if "resent" in record else ""
    return f"{again}this is when the gateway is queried next"


def _money(client: redis.Redis, known: MessageStatus, record: Mapping[str, str], now: int) -> MessageCost:
    scopes = {f"centre:{record.get('centre', '')}", f"producer:{record.get('producer', '')}"}
    standings = (one for one in budgets.usage(client, now) if one.scope in scopes)
    return MessageCost(
        estimate=int(record.get("estimate", 0)),
        charged=known.charge_millionths if "charge" in record else None,
        counted=int(record.get("counted", 0)),
        counted_on=record.get("period", ""),
        budgets=tuple(
            BudgetShare(one.scope, one.period, one.budget.limit, one.spent, one.budget.over) for one in standings
        ),
    )


def _events(client: redis.Redis, known: MessageStatus, producer: str, late_at: int) -> Iterator[PublishedEvent]:
    """Yield the events of its end or of its being late, as far as the stream still has them."""
    spans = [(at - BEFORE_MS, at + AFTER_MS) for at in (late_at, known.ended_at) if at]
    registered = registry.read(client, producer) if producer else None
    fetched = _fetched(client)
    for event_id, raw in _entries(client, known.id, spans):
        event = events.decode(event_id, raw)
        if event is None or getattr(event, "message_id", "") != known.id:
            continue
        at = int(event_id.partition("-")[0])
        published = PublishedEvent(id=event_id, type=event.type, at=at, status=getattr(event, "status", ""))
        yield _with_webhook(client, published, producer, fetched) if registered and registered.webhook else published


def _entries(
    client: redis.Redis, message_id: str, spans: list[tuple[int, int]]
) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """Yield the stream entries about a message within some spans of time (ms), each once."""
    seen: set[bytes] = set()
    for begins, ends in spans:
        entries = _range(client, max(0, begins), max(0, ends))
        for event_id, raw in entries:
            if raw.get(b"id") == message_id.encode() and event_id not in seen:
                seen.add(event_id)
                yield event_id.decode(), raw


def _range(client: redis.Redis, begins: int, ends: int) -> Any:
    return rows.unless_damaged(keys.EVENTS, lambda: client.xrange(keys.EVENTS, begins, ends, count=MOST_EVENTS), [])


def _fetched(client: redis.Redis) -> tuple[int, ...]:
    """Return the id of the last event that the webhook dispatcher read from the stream; none: (0, 0)."""
    if not client.exists(keys.EVENTS):
        return (0, 0)
    groups = rows.unless_damaged(keys.EVENTS, lambda: client.xinfo_groups(keys.EVENTS), [])
    last = next((group["last-delivered-id"].decode() for group in groups if group["name"].decode() == GROUP), "0-0")
    return _order(last)


def _order(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))


def _with_webhook(
    client: redis.Redis, event: PublishedEvent, producer: str, fetched: tuple[int, ...]
) -> PublishedEvent:
    """Return the event with the state of its webhook delivery."""
    if _order(event.id) > fetched:
        return msgspec.structs.replace(event, webhook="not_fetched")
    content = rows.entry(client, keys.delivery(producer), event.id)
    if content is None:
        return msgspec.structs.replace(event, webhook="taken")
    delivery = rows.decode(keys.delivery(producer), event.id, content, decode_delivery)
    if delivery is None:  # the dispatcher drops it when it is due
        return msgspec.structs.replace(event, webhook="undelivered", reason=rows.CODE)
    due: Any = client.zscore(keys.deliveries(producer), event.id)
    return msgspec.structs.replace(
        event,
        webhook="undelivered" if due is None else "on_its_way",
        tries=delivery.tries,
        reason=delivery.reason,
        next_try_at=int(due or 0),
    )
