"""Producer: the way in for Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Self, TypeVar

from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.contract import features, message, phone, prices, schedule
from threelane.contract.message import Draft
from threelane.contract.refusal import Refused
from threelane.producer import accept as acceptance
from threelane.producer import cancel as cancelling
from threelane.producer import rehearse as rehearsing
from threelane.producer import reschedule as rescheduling
from threelane.producer.accept import Answer
from threelane.producer.cancel import Cancelled
from threelane.producer.nudge import NUDGE_SIZE, Nudger
from threelane.producer.rehearse import Rehearsed
from threelane.producer.reschedule import Moved
from threelane.producer.together import Together
from threelane.runtime import logs, tls, tracing
from threelane.runtime.clock import RedisClock
from threelane.runtime.settings import ProducerSettings, load
from threelane.store import access, find, keys
from threelane.store import status as statuses
from threelane.store.access import Key
from threelane.store.connect import connect
from threelane.store.events import EventReader
from threelane.store.find import Found
from threelane.store.status import MessageStatus

Told = TypeVar("Told")
PRICES_MS = 60_000
WINDOW = 10 * NUDGE_SIZE  # messages of a bulk that are parsed and accepted before the first of them is answered


class Unavailable(Exception):
    """Redis cannot take messages now; the text says why and what to do.

    ``answers`` are those that were given before it happened.  ``unsure`` are ids that may have been accepted, or
    not: ask ``status`` for them, or send again with the same client message id, which never sends twice.
    ``retry_after`` is how many seconds to wait, where that is known.
    """

    def __init__(
        self, problem: str, answers: Sequence[Answer] = (), unsure: Sequence[str] = (), retry_after: float = 0
    ) -> None:
        """Keep what is known and what is not."""
        super().__init__(problem)
        self.answers = list(answers)
        self.unsure = list(unsure)
        self.retry_after = retry_after


class Producer:
    """Enqueues messages and tells how they stand; safe to share between threads.

    Everything a caller can do wrong is answered with ``Refused``; only an outage raises (``Unavailable``).
    """

    def __init__(self, settings: ProducerSettings | None = None, *, redis_url: str | None = None) -> None:
        """Take the settings from the environment (THREELANE_...) unless they are given."""
        given = {"redis_url": redis_url} if redis_url else {}
        self._settings = settings or load(ProducerSettings, **given)
        self._redis = connect(self._settings)
        self._clock = RedisClock()
        self._api = features.Api(self._settings.gateway)
        self._tracer = tracing.of(self._settings)
        self.nudger = Nudger(self._settings)
        self._prices = prices.parse(self._settings.prices)
        self._prices_at = 0
        self._lanes = {lane: Together(self._accept, acceptance.BATCH) for lane in keys.LANES}

    def send(
        self,
        to: str,
        text: str | None = None,
        *,
        lane: int | None = None,
        sender: str | None = None,
        client_message_id: str | None = None,
        deliver_at: datetime | str | None = None,
        delay: float | timedelta | None = None,
        validity_period: int | None = None,
        **fields: Any,
    ) -> Answer:
        """Enqueue one message.

        ``to`` is the recipient in international form.  ``lane`` is 1 (first), 2 or 3 (as when left out).
        ``client_message_id`` makes a repeated call safe.  ``deliver_at`` is an aware datetime within 7 days,
        ``delay`` a number of seconds; ``validity_period`` minutes.  ``fields`` are the others of the README's
        table, by our name or the gateway's.  Returns Accepted or Refused; raises Unavailable when Redis does
        not answer.
        """
        named = {
            "to": to,
            "text": text,
            "lane": lane,
            "sender": sender,
            "client_message_id": client_message_id,
            "deliver_at": deliver_at,
            "delay": delay,
            "validity_period": validity_period,
        }
        return self._send_one({name: value for name, value in named.items() if value is not None} | fields)

    def send_as(self, key: Key, message: Mapping[str, Any]) -> Answer:
        """Enqueue one message, given as a mapping of field names, for the holder of a key and within its rights."""
        return self._send_one(message, key)

    def send_many(self, messages: Iterable[Mapping[str, Any]], key: Key | None = None) -> list[Answer]:
        """Enqueue messages given as mappings of field names; the answers come in the same order.

        With a ``key`` it is done for its holder, and within its rights.
        """
        answers: list[Answer] = []
        try:
            for answer in self.send_stream(messages, key):
                answers.append(answer)
        except Unavailable as away:
            raise Unavailable(str(away), [*answers, *away.answers], away.unsure) from None
        return answers

    def send_stream(self, messages: Iterable[Mapping[str, Any]], key: Key | None = None) -> Iterator[Answer]:
        """Enqueue messages while the answers are read, a thousand at a time: for files longer than memory."""
        remaining = iter(messages)
        while window := list(islice(remaining, WINDOW)):
            yield from self._send_window(window, key)

    def rehearse(self, messages: Iterable[Mapping[str, Any]]) -> Iterator[Rehearsed | Refused]:
        """Return what ``send_stream`` would answer, and at which cost; nothing is stored, and no credit spent."""
        remaining = iter(messages)
        while window := list(islice(remaining, WINDOW)):
            now = self.now()
            self._learn_prices(now)
            drafts = [self._draft(raw, now, None) for raw in window]
            good = [draft for draft in drafts if not isinstance(draft, Refused)]
            told = iter(self._asked(lambda: rehearsing.rehearse(self._redis, good, now, self._prices)))  # noqa: B023
            yield from (draft if isinstance(draft, Refused) else next(told) for draft in drafts)

    def over_budgets(self, estimates: Counter[tuple[str, str]]) -> dict[str, int]:
        """Return by how much (millionths) estimates, by cost centre and producer, would pass which budgets."""
        now = self.now()
        return self._asked(lambda: rehearsing.over(self._redis, estimates, now))

    def status(self, message_id: str) -> MessageStatus | None:
        """Return how a message stands, or None when its id is unknown or forgotten."""
        return self.statuses([message_id])[0]

    def statuses(self, ids: Sequence[str]) -> list[MessageStatus | None]:
        """Return how messages stand, in the order of the ids."""
        return self._asked(lambda: statuses.read(self._redis, ids))

    def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by their ids; each answer says whether it was cancelled, or why it was too late."""
        now, keep, stops = self.now(), self._settings.retention_ms, features.able("cancel", self._api)
        return self._asked(lambda: cancelling.cancel(self._redis, ids, keep, now, gateway_stops=stops))

    def cancel_all(
        self, *, batch: str = "", tag: str = "", to: str = "", producer: str = "", lane: int = 0
    ) -> Iterator[Cancelled]:
        """Cancel all that waits, is queued or is dead and matches what is given, while the answers are read.

        Raises ValueError when nothing is given: that would be everything.
        """
        wanted = find.Filter(batch=batch, tag=tag, to=to, producer=producer, lane=lane).parsed()
        if not wanted:
            raise ValueError("say what to cancel: a batch, a tag, a recipient, a producer or a lane")
        return self._cancel_found(find.cancellable(self._redis, wanted))

    def scheduled(
        self,
        *,
        batch: str = "",
        tag: str = "",
        to: str = "",
        producer: str = "",
        lane: int = 0,
        after: datetime | str | None = None,
        before: datetime | str | None = None,
        most: int | None = None,
    ) -> list[Found]:
        """Return what waits for a time and matches what is given, the earliest first.

        ``after`` and ``before`` are aware datetimes, or texts as in ``deliver_at``; raises ValueError for others.
        """
        wanted = find.Filter(batch=batch, tag=tag, to=to, producer=producer, lane=lane).parsed()
        first, last = schedule.bound(after, "after"), schedule.bound(before, "before")
        return self._asked(lambda: list(find.scheduled(self._redis, wanted, first or 0, last, most)))

    def move(self, message_id: str, deliver_at: datetime | str) -> Moved | Refused:
        """Put a message that waits to another time within 7 days; its validity moves along, unless it was named."""
        now = self.now()
        due_at = schedule.instant(deliver_at, "deliver_at")
        if not isinstance(due_at, Refused):
            due_at = schedule.due(due_at, None, now, "deliver_at")
        if isinstance(due_at, Refused):
            return due_at
        return self._asked(lambda: rescheduling.move(self._redis, message_id, due_at or now, now))

    def events(self, group: str, consumer: str, **options: Any) -> EventReader:
        """Return a reader of this producer's outcomes and replies; the consumers of a group share them."""
        return EventReader(self._redis, group, consumer, self._settings.producer, **options)

    def now(self) -> int:
        """Return the time of Redis, milliseconds of Unix time."""
        try:
            self._clock.ask(self._redis)
        except RedisError as failed:
            raise Unavailable(explain(failed)) from None
        return self._clock.now()

    def close(self) -> None:
        """Give all connections back."""
        self.nudger.close()
        self._redis.close()

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _cancel_found(self, lots: Iterator[Sequence[str]]) -> Iterator[Cancelled]:
        while (ids := self._asked(lambda: next(lots, None))) is not None:
            yield from self.cancel(ids)

    def _asked(self, question: Callable[[], Told]) -> Told:
        try:
            return question()
        except RedisError as failed:
            raise Unavailable(explain(failed)) from None

    def _send_one(self, raw: Mapping[str, Any], key: Key | None = None) -> Answer:
        """Send alone, or with what other threads send on the same lane at this moment."""
        now = self.now()
        self._learn_prices(now)
        draft = self._draft(raw, now, key)
        refused = [draft] if isinstance(draft, Refused) else []
        try:
            acceptance.count_refusals(self._redis, refused)
            return draft if isinstance(draft, Refused) else self._lanes[draft.message.lane].ask(draft)
        except RedisError as failed:
            unsure = [] if isinstance(draft, Refused) or never_sent(failed) else [draft.message.id]
            raise Unavailable(explain(failed), refused, unsure) from None

    def _send_window(self, window: Sequence[Mapping[str, Any]], key: Key | None) -> list[Answer]:
        now = self.now()
        self._learn_prices(now)
        answers: dict[int, Answer] = {}
        refused: dict[int, Refused] = {}
        drafted: list[list[tuple[int, Draft]]] = []

        def lots() -> Iterator[list[Draft]]:
            for lot in self._lots(window, now, key, refused):
                drafted.append(lot)
                yield [draft for _, draft in lot]

        try:
            for number, given in enumerate(self._accept_all(lots())):
                answers.update(zip((position for position, _ in drafted[number]), given, strict=True))
            acceptance.count_refusals(self._redis, refused.values())
        except RedisError as failed:
            asked = [draft.message.id for lot in drafted for position, draft in lot if position not in answers]
            raise Unavailable(
                explain(failed), _in_order(answers | refused), [] if never_sent(failed) else asked
            ) from None
        return _in_order(answers | refused)

    def _lots(
        self, window: Sequence[Mapping[str, Any]], now: int, key: Key | None, refused: dict[int, Refused]
    ) -> Iterator[list[tuple[int, Draft]]]:
        """Draft, as far as it is read: up to 99 of a lane with their positions; the others go to ``refused``."""
        lanes: dict[int, list[tuple[int, Draft]]] = defaultdict(list)
        for position, raw in enumerate(window):
            draft = self._draft(raw, now, key)
            if isinstance(draft, Refused):
                refused[position] = draft
                continue
            lot = lanes[draft.message.lane]
            lot.append((position, draft))
            if len(lot) == acceptance.BATCH:
                yield lanes.pop(draft.message.lane)
        yield from (lanes[lane] for lane in sorted(lanes))

    def _accept(self, drafts: Sequence[Draft]) -> list[Answer]:
        """Take up to 99 drafts of a lane into the house and tell its workers; raises what Redis raises."""
        return next(self._accept_all([drafts]))

    def _accept_all(self, lots: Iterable[Sequence[Draft]]) -> Iterator[list[Answer]]:
        """Take lots of up to 99 drafts of a lane each, and tell their workers, while the answers are read.

        While Redis takes one, the answers to the last are told and the next is drafted.  Workers of lane 1 are told as
        soon as a lot is taken, the others of all lots together.  Raises what Redis raises, after the answers to what
        it had taken before.
        """
        due: dict[str, int] = {}
        under_way: acceptance.Intake | None = None
        said: list[str] = []
        try:
            for drafts in lots:
                intake = acceptance.Intake(drafts, self._clock.now(), self._prices, self._tracer)
                said = self._finish(under_way, due) if under_way else []
                intake.begin(self._redis)
                if under_way:
                    yield under_way.answers(said)
                under_way = intake
            said = self._finish(under_way, due) if under_way else []
        finally:
            self._nudge(due)
        if under_way:
            yield under_way.answers(said)

    def _finish(self, intake: acceptance.Intake, due: dict[str, int]) -> list[str]:
        """Wait for Redis; what is to be sent at once is added to ``due``, or the workers of lane 1 are told of it."""
        said = intake.wait()
        fresh = intake.due(said)
        if keys.LANES[0] in fresh.values():
            self._nudge(fresh)
        else:
            due.update(fresh)
        return said

    def _nudge(self, due: Mapping[str, int]) -> None:
        """Tell the workers of ids with their lanes; also of what is repeated, since its nudge may be lost."""
        lanes: dict[int, list[str]] = defaultdict(list)
        for one, lane in due.items():
            lanes[lane].append(one)
        for lane in sorted(lanes):
            self.nudger.publish(lane, lanes[lane])

    def _learn_prices(self, now: int) -> None:
        """Take over, once a minute, what charges have told of prices."""
        if now - self._prices_at > PRICES_MS:
            found: Any = self._asked(lambda: self._redis.hgetall(keys.PRICES))
            self._prices, self._prices_at = self._prices.knowing(found), now

    def _draft(self, raw: Mapping[str, Any], now: int, key: Key | None) -> Draft | Refused:
        if not isinstance(raw, Mapping):
            return message.no_message(raw)
        name, centre = self._settings.producer, self._settings.cost_centre
        if key:
            name, centre = key.producer, key.cost_centres[0] if key.cost_centres else ""
        draft = message.parse(_with_centre(raw, centre), now, name)
        if not isinstance(draft, Refused):
            draft = (key and access.refuse(draft.message, key)) or features.refuse(draft.message, self._api) or draft
        if isinstance(draft, Refused):
            logs.event("refused", code=draft.code, field=draft.field, to=phone.mask(str(raw.get("to", ""))))
        return draft


def _with_centre(raw: Mapping[str, Any], centre: str) -> Mapping[str, Any]:
    """Return a message with a cost centre, if it names none."""
    if not centre or any(name in raw for name in ("cost_centre", "costCentre", "cost_center", "costCenter")):
        return raw
    return {**raw, "cost_centre": centre}


def _in_order(answers: Mapping[int, Answer]) -> list[Answer]:
    return [answers[position] for position in sorted(answers)]


def never_sent(failed: RedisError) -> bool:
    """Tell whether the command surely did not reach Redis."""
    return isinstance(failed, OutOfMemoryError) or (
        isinstance(failed, RedisConnectionError) and "connecting to" in str(failed)
    )


def explain(failed: RedisError) -> str:
    """Return what happened and what to do about it; never an address or a password."""
    if isinstance(failed, OutOfMemoryError):
        return "Redis is at its memory ceiling: nothing is taken in until workers have drained the queue"
    if isinstance(failed, NoPermissionError):
        return f"Redis does not let this user do it ({failed}): compare its ACL with deploy/redis-users.acl"
    if isinstance(failed, AuthenticationError):
        return "Redis refuses the user or the password in THREELANE_REDIS_URL: correct them"
    if problem := tls.problem(failed):
        return problem
    if isinstance(failed, RedisTimeoutError):
        return (
            "Redis gave no answer within THREELANE_REDIS_TIMEOUT_SECONDS: see whether it is overloaded or the "
            "address is another server's, and ask again with the same client message id"
        )
    if never_sent(failed):
        return "Redis does not answer at THREELANE_REDIS_URL: start it, or correct the address"
    return f"Redis failed while it was asked ({type(failed).__name__}): ask again with the same client message id"
