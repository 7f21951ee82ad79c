"""Producer: the Python API to send messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar, Unpack

import redis

from threelane.contract import schedule
from threelane.contract.accounts.account import DEFAULT
from threelane.contract.errors import ProducerClosed, Refused
from threelane.contract.fields import known_batch_name
from threelane.contract.keywords import MessageFields, MessageMapping
from threelane.contract.message import Draft
from threelane.contract.reading import INTERNATIONAL, Reading, parse_reading
from threelane.contract.refusal import Refusal
from threelane.producer import cancel as cancelling
from threelane.producer import pause as pausing
from threelane.producer import rehearse as rehearsing
from threelane.producer import reschedule as rescheduling
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled, stops_of
from threelane.producer.enqueue import Enqueuer
from threelane.producer.events import ProducerEvents
from threelane.producer.nudge import Nudger
from threelane.producer.outage import Answer, Unavailable, call
from threelane.producer.pause import PauseResult
from threelane.producer.rehearse import Rehearsed
from threelane.producer.reschedule import Moved
from threelane.runtime.settings import InvalidSettings, ProducerSettings, load
from threelane.store import audit, batches, find, progress, registry
from threelane.store import status as statuses
from threelane.store.access import Holder
from threelane.store.api_key import ApiKey
from threelane.store.batches import Batch
from threelane.store.connect import connect
from threelane.store.events import IDLE_SECONDS
from threelane.store.find import FoundMessage
from threelane.store.outcome import BatchMessage
from threelane.store.progress import Progress
from threelane.store.status import MessageStatus

T = TypeVar("T")


class Producer:
    """Enqueues messages and returns their status; threads may share it.

    ``send`` returns ``Accepted`` or raises ``Refused`` for an invalid or disallowed message, ``Unavailable`` for an
    outage.  For several messages each gets an answer, ``Accepted`` or ``Refused``, and only an outage raises.
    """

    def __init__(
        self,
        settings: ProducerSettings | None = None,
        *,
        name: str | None = None,
        redis_url: str | None = None,
        numbers: str | None = None,
    ) -> None:
        """Read the settings from the environment (THREELANE_...) unless they are given here.

        ``name`` is the name of the service, instead of THREELANE_PRODUCER: messages are sent under it, client message
        ids are unique within it, and ``events`` returns its events only.  ``numbers`` is how numbers without + or 00
        are read: international, national:COUNTRY or e164; without it, the producer's setting decides, then
        THREELANE_NUMBERS.  Raises InvalidSettings.
        """
        named = {"producer": name, "redis_url": redis_url}
        given = {setting: value for setting, value in named.items() if value is not None}
        if settings and given:
            raise TypeError("give either settings, or name and redis_url")
        self._settings = settings or load(ProducerSettings, **given)
        reading = _reading(numbers, self._settings.country)
        self._client = connect(self._settings)
        self._is_closed = False
        self.nudger = Nudger(self._settings)
        self._enqueuer = Enqueuer(self._settings, self.nudger, self._redis, reading)

    def send(self, to: str, text: str | None = None, **fields: Unpack[MessageFields]) -> Accepted:
        """Enqueue one message; raises Refused or Unavailable.

        ``to`` is the recipient in international form.  ``lane`` is 1 (first), 2 or 3 (default).
        Repeating a call with the same ``client_message_id`` never sends twice.  ``deliver_at`` is an aware datetime
        within 7 days, ``delay`` a number of seconds; ``validity_period`` minutes.  All fields: docs/fields.md.
        """
        return _accepted(self._enqueuer.one({"to": to, "text": text, **fields}))

    def try_send(
        self, to: str, text: str | None = None, **fields: Unpack[MessageFields]
    ) -> Accepted | Refused | Unavailable:
        """Enqueue one message, and return the exception that ``send`` would raise."""
        try:
            return self._enqueuer.one({"to": to, "text": text, **fields})
        except Unavailable as away:
            return away.with_traceback(None)  # a returned exception must not keep the frames of this call

    def send_as(self, key: ApiKey, message: Mapping[str, Any]) -> Accepted:
        """Enqueue one message for the holder of an API key and within its rights; raises as ``send`` does."""
        return _accepted(self._enqueuer.one(message, Holder(key)))

    def reading_as(self, key: ApiKey) -> Reading:
        """Return how numbers without + or 00 are read for the holder of an API key."""
        self._check_open()
        return self._enqueuer.reading(Holder(key))

    def send_many(self, messages: Iterable[MessageMapping]) -> list[Answer]:
        """Enqueue messages; the answers are in the same order.

        Unavailable has the answers from before the outage.
        """
        return self._send_all(messages)

    def send_many_as(self, key: ApiKey, messages: Iterable[Mapping[str, Any]]) -> list[Answer]:
        """Enqueue messages for the holder of an API key and within its rights."""
        self._check_open()
        return self._send_all(messages, Holder(key, is_list=True))

    def send_stream(self, messages: Iterable[MessageMapping]) -> Iterator[Answer]:
        """Enqueue messages, a thousand at a time, as the answers are consumed: for more than fits in memory."""
        self._check_open()
        return self._enqueuer.stream(messages)

    def send_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Answer]:
        """Do the same as ``send_stream`` for untyped rows, from JSON, CSV or a database.

        The gateway's names of fields are allowed, too; an invalid name or value is answered with Refused.
        """
        self._check_open()
        return self._enqueuer.stream(rows)

    def rehearse(self, messages: Iterable[Mapping[str, Any]]) -> Iterator[Rehearsed | Refused]:
        """Return the answers and costs that ``send_rows`` would have; nothing is stored and no credits are spent."""
        self._check_open()
        return self._enqueuer.rehearse(messages)

    def reading(self, producer: str) -> Reading | None:
        """Return how the setting of a producer reads numbers without + or 00, None without a setting."""
        self._check_open()
        return call(lambda: registry.readings(self._redis(), [producer])[0]) if producer else None

    def estimate(self, to: str, parts: int, account: str = "") -> int:
        """Return the estimated cost of parts to a number, digits only, through an account: millionths of a credit."""
        self._check_open()
        return self._enqueuer.estimate(to, parts, account or DEFAULT)

    def preview(self, message: Mapping[str, Any]) -> Draft | Refusal:
        """Return the message as handsets will show it, with its parts; it is not sent, and no right is checked."""
        self._check_open()
        return self._enqueuer.preview(message)

    def over_budgets(self, estimates: Counter[tuple[str, str]]) -> dict[str, int]:
        """Return the exceeded budgets and by how much (millionths), for estimates by cost centre and producer."""
        now = self.now()
        return call(lambda: rehearsing.over(self._redis(), estimates, now))

    def query(self, read: Callable[[redis.Redis], T]) -> T:
        """Return what ``read`` returns for the connection of this producer; raises Unavailable."""
        return call(lambda: read(self._redis()))

    def status(self, message_id: str) -> MessageStatus | None:
        """Return the status of a message, or None if its id is unknown or expired."""
        return self.statuses([message_id])[0]

    def statuses(self, ids: Sequence[str]) -> list[MessageStatus | None]:
        """Return the status of messages, in the order of the ids."""
        ids = _list(ids)
        return call(lambda: statuses.read(self._redis(), ids))

    def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by id; each result says whether it was cancelled, or why it was too late."""
        ids = _list(ids)
        now, keep, apis = self.now(), self._settings.retention_ms, self._enqueuer.apis()
        return call(lambda: cancelling.cancel(self._redis(), ids, keep, now, lambda space: stops_of(apis(space))))

    def cancel_all(
        self, *, batch: str = "", tag: str = "", to: str = "", producer: str = "", lane: int = 0
    ) -> Iterator[Cancelled]:
        """Cancel all matching scheduled and queued messages and dead letters, as the results are consumed.

        Raises ValueError without a criterion, which would match everything.
        """
        wanted = self._filter(to, batch=batch, tag=tag, producer=producer, lane=lane)
        if not wanted:
            raise ValueError("give a criterion: a batch, a tag, a recipient, a producer or a lane")
        return self._cancel_found(find.cancellable(self._redis(), wanted))

    def batches(self, *, producer: str | None = None) -> Iterator[Batch]:
        """Return the batches of this producer's name, or of another, the latest first."""
        return _consumed(batches.listed(self._redis(), self._own(producer)))

    def batch(self, name: str, *, producer: str | None = None) -> Progress | None:
        """Return how far a batch is, None if none of its messages was accepted in 400 days.

        It reads the batch's own messages only.
        """
        whose, own, now = self._own(producer), known_batch_name(name), self.now()
        return call(lambda: progress.read(self._redis(), whose, own, now))

    def batch_report(self, name: str, *, producer: str | None = None) -> Iterator[BatchMessage]:
        """Return each message of a batch with its outcome, unordered, as the results are consumed."""
        return _consumed(progress.messages(self._redis(), self._own(producer), known_batch_name(name)))

    def pause_batch(self, name: str, *, producer: str | None = None) -> PauseResult | None:
        """Pause a batch: nothing of it is sent until ``resume_batch``; None if it is unknown.

        Attempts in progress go on.  Validity goes on, too: what is past it ends as expired.
        """
        whose, own, now = self._own(producer), known_batch_name(name), self.now()
        by = self._settings.producer or audit.user()

        def pause() -> PauseResult | None:
            client = self._redis()
            if batches.find(client, whose, own) is None:
                return None
            return pausing.pause(client, whose, own, (one for one, _ in batches.rows(client, whose, own)), now, by)

        return call(pause)

    def resume_batch(self, name: str, *, producer: str | None = None) -> PauseResult:
        """Resume a batch: its messages go back to their lanes, lane 1 first, or wait for their time again."""
        whose, own, now = self._own(producer), known_batch_name(name), self.now()
        return call(lambda: pausing.resume(self._redis(), self.nudger, whose, own, now))

    def cancel_batch(self, name: str, *, producer: str | None = None) -> Iterator[Cancelled]:
        """Cancel each message of a batch that has not ended, as ``cancel`` does, as the results are consumed."""
        return self._cancel_found(progress.cancellable(self._redis(), self._own(producer), known_batch_name(name)))

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
    ) -> list[FoundMessage]:
        """Return the matching scheduled messages, the earliest first.

        ``after`` and ``before`` are aware datetimes or strings as in ``deliver_at``; raises ValueError for others.
        """
        wanted = self._filter(to, batch=batch, tag=tag, producer=producer, lane=lane)
        first, last = schedule.bound(after, "after"), schedule.bound(before, "before")
        return call(lambda: list(find.scheduled(self._redis(), wanted, first or 0, last, most)))

    def _filter(self, to: str, **criteria: Any) -> find.Filter:
        """Return a filter whose recipient is read as the recipients of messages are."""
        reading = self._enqueuer.reading() if to else INTERNATIONAL
        return find.Filter(to=to, **criteria).parsed(reading)

    def move(self, message_id: str, deliver_at: datetime | str) -> Moved:
        """Reschedule a scheduled message within 7 days; its validity moves along, unless the caller gave one.

        Raises Refused for an invalid time and for a message that is not scheduled.
        """
        now = self.now()
        due_at = schedule.instant(deliver_at, "deliver_at")
        if not isinstance(due_at, Refusal):
            due_at = schedule.due(due_at, None, now, "deliver_at")
        if isinstance(due_at, Refusal):
            raise Refused.from_refusal(due_at)
        moved = call(lambda: rescheduling.move(self._redis(), message_id, due_at or now, now))
        if isinstance(moved, Refusal):
            raise Refused.from_refusal(moved)
        return moved

    def events(
        self,
        group: str,
        consumer: str,
        *,
        block_seconds: float | None = 5.0,
        idle_seconds: float = IDLE_SECONDS,
        batch: int = 10,
    ) -> ProducerEvents:
        """Return a reader of the events of this producer's name; the consumers of a group share them.

        Without a name it reads the events of messages that were sent without a name.
        """
        return ProducerEvents(
            self._redis,
            group,
            consumer,
            self._settings.producer,
            block_seconds=block_seconds,
            idle_seconds=idle_seconds,
            batch=batch,
        )

    def now(self) -> int:
        """Return the time of Redis in milliseconds of Unix time."""
        return self._enqueuer.now()

    @property
    def unpublished(self) -> int:
        """The number of messages of this producer whose nudge the broker did not take: workers send them all the same.

        If it grows, this process cannot reach the broker, and its messages are a second or two late.
        """
        return self.nudger.unpublished

    def close(self) -> None:
        """Close all connections; every other method raises ProducerClosed from now on."""
        if not self._is_closed:
            self._enqueuer.report_unpublished()
            self._is_closed = True
            self.nudger.close()
            self._client.close()

    def __enter__(self) -> Self:
        """Use it in a ``with`` block."""
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _redis(self) -> redis.Redis:
        """Return the Redis client; raises ProducerClosed."""
        self._check_open()
        return self._client

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProducerClosed

    def _send_all(self, messages: Iterable[Mapping[str, Any]], holder: Holder | None = None) -> list[Answer]:
        self._check_open()
        answers: list[Answer] = []
        try:
            for answer in self._enqueuer.stream(messages, holder):
                answers.append(answer)
        except Unavailable as away:
            raise away.including(answers) from None
        return answers

    def _own(self, producer: str | None) -> str:
        return self._settings.producer if producer is None else producer

    def _cancel_found(self, batches: Iterator[Sequence[str]]) -> Iterator[Cancelled]:
        while (ids := call(lambda: next(batches, None))) is not None:
            yield from self.cancel(ids)


def _reading(numbers: str | None, country: str) -> Reading | None:
    """Return a reading, None without one; raises InvalidSettings."""
    try:
        return None if numbers is None else parse_reading(numbers, country)
    except ValueError as wrong:
        raise InvalidSettings(f"  numbers: {wrong}") from None


def _consumed(found: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator over data in Redis has; raises Unavailable for an outage."""
    while (one := call(lambda: next(found, None))) is not None:
        yield one


def _accepted(answer: Answer) -> Accepted:
    """Return an accepted message; raises Refused."""
    if isinstance(answer, Refused):
        raise answer
    return answer


def _list(ids: Sequence[str]) -> list[str]:
    """Return the ids as a list; raises TypeError for one id alone, whose characters would be taken for ids."""
    if isinstance(ids, str):
        raise TypeError("give a list of ids, as in [accepted.id]")
    return list(ids)
