"""Enqueue: messages are parsed, accepted on Redis and published to the workers, alone or a thousand at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import redis
from redis.exceptions import RedisError

from threelane.contract import countries, features, message, phone, prices, senders
from threelane.contract.errors import Refused
from threelane.contract.message import Draft, Message
from threelane.contract.reading import Reading
from threelane.contract.refusal import Refusal
from threelane.contract.wording import Wording
from threelane.producer import accept as acceptance
from threelane.producer import rehearse as rehearsing
from threelane.producer.accept import Admission
from threelane.producer.group_commit import GroupCommit
from threelane.producer.nudge import NUDGE_SIZE, Nudger
from threelane.producer.outage import Answer, call, unavailable
from threelane.producer.readings import Readings
from threelane.producer.rehearse import Rehearsed
from threelane.producer.wording import StoredWording
from threelane.runtime import logs, tracing
from threelane.runtime.clock import RedisClock
from threelane.runtime.deadline import Deadline
from threelane.runtime.settings import ProducerSettings
from threelane.store import keys, missing, rows
from threelane.store.access import Holder
from threelane.store.countries import SeenCountries
from threelane.store.tally import Count

PRICES_MS = 60_000
REPORT_MS = 1_000  # between two reports of unpublished nudges
OUTAGE_SECONDS = 0.1  # for the nudges of a bulk that an outage ended: workers also find messages without a nudge
WINDOW = 10 * NUDGE_SIZE  # messages of a bulk that are parsed and accepted together


class Enqueuer:
    """Enqueues messages; answers each with Accepted or Refused, raises Unavailable; threads may share it.

    A ``key`` is an API key, whose producer, cost centre and rights apply.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        api: str,
        nudger: Nudger,
        connection: Callable[[], redis.Redis],
        numbers: Reading | None = None,
    ) -> None:
        """Take ``connection``, which returns the Redis client or raises when it is closed.

        ``numbers`` is how this process reads numbers without + or 00, whatever the producer's setting says.
        """
        self._settings = settings
        self._readings = Readings(settings.reading, numbers)
        self._wording = StoredWording()
        self._numeric_countries = settings.numeric_countries
        self._api = api
        self._alphabet = settings.alphabet
        self._nudger = nudger
        self._redis = connection
        self._deadline = Deadline(settings.redis_timeout_seconds)
        self._clock = RedisClock()
        self._tracer = tracing.tracer(enabled=settings.otel)
        self._prices = prices.parse(settings.prices)
        self._prices_at = 0
        self._countries = settings.allowed_countries
        self._seen = SeenCountries()
        self._reported_at = 0
        self._lanes = {lane: GroupCommit(self._accept, acceptance.BATCH) for lane in keys.LANES}

    def one(self, raw: Mapping[str, Any], holder: Holder | None = None) -> Answer:
        """Enqueue one message, in a batch with those that other threads send on the same lane at this moment.

        It returns or raises within ``redis_timeout_seconds``, whatever it waits for.
        """
        with self._deadline.within():
            return self._one(raw, holder)

    def _one(self, raw: Mapping[str, Any], holder: Holder | None) -> Answer:
        now = self.now()
        self._learn(now, [raw], holder)
        draft = self._draft(raw, now, holder)
        refused = [draft] if isinstance(draft, Refusal) else []
        try:
            acceptance.count_refusals(self._redis(), refused)
            return _answer(draft if isinstance(draft, Refusal) else self._lanes[draft.message.lane].submit(draft))
        except RedisError as failed:
            unsure = [] if isinstance(draft, Refusal) else [draft.message.id]
            raise unavailable(failed, [_answer(one) for one in refused], unsure) from None

    def stream(self, messages: Iterable[Mapping[str, Any]], holder: Holder | None = None) -> Iterator[Answer]:
        """Enqueue messages, a thousand at a time, as the answers are consumed."""
        remaining = iter(messages)
        while window := list(islice(remaining, WINDOW)):
            yield from map(_answer, self._window(window, holder))

    def rehearse(self, messages: Iterable[Mapping[str, Any]]) -> Iterator[Rehearsed | Refused]:
        """Return the answers and costs that ``stream`` would have."""
        remaining = iter(messages)
        while window := list(islice(remaining, WINDOW)):
            now = self.now()
            self._learn(now, window, None)
            drafts = [self._draft(raw, now, None) for raw in window]
            good = [draft for draft in drafts if not isinstance(draft, Refusal)]
            found = iter(call(lambda: rehearsing.rehearse(self._redis(), good, now, self._prices)))  # noqa: B023
            results = (draft if isinstance(draft, Refusal) else next(found) for draft in drafts)
            yield from (Refused.from_refusal(one) if isinstance(one, Refusal) else one for one in results)

    def reading(self, holder: Holder | None = None) -> Reading:
        """Return how numbers without + or 00 are read: those of a key, or of this process."""
        name = holder.key.producer if holder else self._settings.producer
        self._readings.learn([{}], name, self._redis, self.now())
        return self._readings.applying({}, name, holder)

    def wording(self, message: Mapping[str, Any]) -> Wording:
        """Return the stored templates and opt-out lines that a message may need."""
        self._wording.learn([message], self._redis, self.now())
        return self._wording

    def estimate(self, to: str, parts: int) -> int:
        """Return the estimated cost of parts to a number, in millionths of a credit, by the prices last read."""
        return self._prices.price(to) * parts

    def now(self) -> int:
        """Return the time of Redis in milliseconds of Unix time."""
        call(lambda: self._clock.sync(self._redis()))
        return self._clock.now()

    def _window(self, window: Sequence[Mapping[str, Any]], holder: Holder | None) -> list[Admission]:
        now = self.now()
        self._learn(now, window, holder)
        answers: dict[int, Admission] = {}
        refused: dict[int, Refusal] = {}
        drafted: list[list[tuple[int, Draft]]] = []

        def batches() -> Iterator[list[Draft]]:
            for batch in self._batches(window, now, holder, refused):
                drafted.append(batch)
                yield [draft for _, draft in batch]

        try:
            for number, given in enumerate(self._accept_all(batches())):
                answers.update(zip((position for position, _ in drafted[number]), given, strict=True))
            acceptance.count_refusals(self._redis(), refused.values())
        except RedisError as failed:
            unsure = [draft.message.id for batch in drafted for position, draft in batch if position not in answers]
            known = [_answer(one) for one in _in_order(answers | refused)]
            raise unavailable(failed, known, unsure) from None
        return _in_order(answers | refused)

    def _batches(
        self, window: Sequence[Mapping[str, Any]], now: int, holder: Holder | None, refused: dict[int, Refusal]
    ) -> Iterator[list[tuple[int, Draft]]]:
        """Yield drafts of a lane with their positions, up to 99 at a time; refusals go to ``refused``."""
        lanes: dict[int, list[tuple[int, Draft]]] = defaultdict(list)
        for position, raw in enumerate(window):
            draft = self._draft(raw, now, holder)
            if isinstance(draft, Refusal):
                refused[position] = draft
                continue
            batch = lanes[draft.message.lane]
            batch.append((position, draft))
            if len(batch) == acceptance.BATCH:
                yield lanes.pop(draft.message.lane)
        yield from (lanes[lane] for lane in sorted(lanes))

    def _accept(self, drafts: Sequence[Draft]) -> list[Admission]:
        """Accept up to 99 drafts of a lane, and publish them; raises RedisError."""
        return next(self._accept_all([drafts]))

    def _accept_all(self, batches: Iterable[Sequence[Draft]]) -> Iterator[list[Admission]]:
        """Accept batches of up to 99 drafts of a lane each, and publish them, as the results are consumed.

        While Redis runs one call, the results of the last are consumed and the next batch is parsed.  Lane 1 is
        published after each batch, the other lanes after all batches.  Raises RedisError after the results of the
        batches that were accepted before.
        """
        due: dict[str, int] = {}
        pending: acceptance.AcceptCall | None = None
        replies: list[str] = []
        try:
            for drafts in batches:
                accept_call = acceptance.AcceptCall(
                    drafts,
                    self._clock.now(),
                    self._prices,
                    self._tracer,
                    self._seen,
                    self._settings.batch_ms,
                    self._settings.gateway_validity_minutes,
                )
                replies = self._finish(pending, due) if pending else []
                accept_call.begin(self._redis())
                if pending:
                    yield pending.answers(replies)
                pending = accept_call
            replies = self._finish(pending, due) if pending else []
        except RedisError:
            with self._deadline.within(OUTAGE_SECONDS):
                self._nudge(due)
            raise
        except BaseException:
            self._nudge(due)
            raise
        with self._deadline.within():
            self._nudge(due)
        if pending:
            yield pending.answers(replies)

    def _finish(self, accept_call: acceptance.AcceptCall, due: dict[str, int]) -> list[str]:
        """Wait for Redis; publish messages of lane 1 that are due, and add those of other lanes to ``due``."""
        with self._deadline.within():
            replies = accept_call.wait()
            fresh = accept_call.due(replies)
            if keys.LANES[0] in fresh.values():
                self._nudge(fresh)
            else:
                due.update(fresh)
        return replies

    def _nudge(self, due: Mapping[str, int]) -> None:
        """Publish ids by lane, also of repeated messages, whose first nudge may be lost."""
        lanes: dict[int, list[str]] = defaultdict(list)
        for one, lane in due.items():
            lanes[lane].append(one)
        published = [self._nudger.publish(lane, lanes[lane]) for lane in sorted(lanes)]
        if not all(published) and self._clock.now() - self._reported_at > REPORT_MS:
            self._reported_at = self._clock.now()
            self.report_unpublished()

    def report_unpublished(self) -> None:
        """Count in Redis the messages that the broker did not take; if Redis is unavailable, the next call does."""
        unpublished = self._nudger.take_unreported()
        try:
            if unpublished:
                missing.count(self._redis(), Count.UNPUBLISHED, unpublished, self._clock.now())
        except RedisError:
            self._nudger.give_back(unpublished)

    def _learn(self, now: int, window: Iterable[Any], holder: Holder | None) -> None:
        """Read what the parsing of these messages needs from Redis: nothing of it is read once they are accepted."""
        self._learn_prices(now)
        self._readings.learn(window, holder.key.producer if holder else self._settings.producer, self._redis, now)
        self._wording.learn(window, self._redis, now)

    def _learn_prices(self, now: int) -> None:
        """Read the learned prices, once a minute."""
        if now - self._prices_at > PRICES_MS:
            found: Any = call(lambda: rows.table(self._redis(), keys.PRICES))
            self._prices, self._prices_at = self._prices.with_learned(found), now

    def _draft(self, raw: Mapping[str, Any], now: int, holder: Holder | None) -> Draft | Refusal:
        if type(raw) is not dict and not isinstance(raw, Mapping):  # the latter is slow
            return message.not_an_object(raw)
        name, centre = self._settings.producer, self._settings.cost_centre
        if holder:
            key = holder.key
            name, centre = key.producer, key.cost_centres[0] if key.cost_centres else ""
        reading = self._readings.applying(raw, name, holder)
        centred, settings = _with_centre(raw, centre), self._settings
        draft = message.parse(centred, now, name, reading, self._wording, settings.wire_ids, self._alphabet)
        if not isinstance(draft, Refusal):
            sms = draft.message
            abroad = self._abroad(sms) if self._countries else None
            draft = (holder and holder.refuse(sms)) or abroad or self._refused(sms) or draft
        if isinstance(draft, Refusal):
            logs.event("refused", code=draft.code, field=draft.field, to=phone.mask(str(raw.get("to", ""))))
        return draft

    def _refused(self, sms: Message) -> Refusal | None:
        """Refuse what the API lacks, and a sender name where networks take none."""
        refusal = features.refuse(sms, self._api)
        if refusal or not self._numeric_countries:
            return refusal
        return senders.refuse(sms.sender, sms.to, self._numeric_countries)

    def _abroad(self, sms: Message) -> Refusal | None:
        """Refuse a recipient in a country that this installation does not send to."""
        if (where := prices.country(sms.to)) in self._countries:
            return None
        remedy = f"THREELANE_COUNTRIES={countries.join(sorted({*self._countries, where}))}"
        return countries.refuse(where, self._countries, "THREELANE_COUNTRIES", remedy)


def _with_centre(raw: Mapping[str, Any], centre: str) -> Mapping[str, Any]:
    """Return the message, with a cost centre if it has none."""
    if not centre or any(name in raw for name in ("cost_centre", "costCentre", "cost_center", "costCenter")):
        return raw
    return {**raw, "cost_centre": centre}


def _in_order(answers: Mapping[int, Admission]) -> list[Admission]:
    return [answers[position] for position in sorted(answers)]


def _answer(admission: Admission) -> Answer:
    """Return the answer for an admission."""
    return Refused.from_refusal(admission) if isinstance(admission, Refusal) else admission
