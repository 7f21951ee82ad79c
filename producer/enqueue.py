"""Enqueue: messages are parsed, accepted on Redis and published to the workers, alone or a thousand at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import redis
from redis.exceptions import RedisError

from threelane.contract.accounts.account import DEFAULT, stored
from threelane.contract.errors import Refused
from threelane.contract.message import Draft
from threelane.contract.reading import Reading
from threelane.contract.refusal import Refusal
from threelane.producer import accept as acceptance
from threelane.producer import rehearse as rehearsing
from threelane.producer.accept import AcceptResult, Admission, Place
from threelane.producer.drafting import Caller, Drafter, Routed
from threelane.producer.group_commit import GroupCommit
from threelane.producer.nudge import NUDGE_SIZE, Nudger
from threelane.producer.outage import Answer, call, unavailable
from threelane.producer.rehearse import Rehearsed
from threelane.runtime import tracing
from threelane.runtime.clock import RedisClock
from threelane.runtime.deadline import Deadline
from threelane.runtime.settings import ProducerSettings
from threelane.store import keys, missing
from threelane.store.access import Holder
from threelane.store.countries import SeenCountries
from threelane.store.keys import Space
from threelane.store.tally import Count

MOST_TRIES = 5  # of a message during whose calls the routes change
REPORT_MS = 1_000  # between two reports of unpublished nudges
OUTAGE_SECONDS = 0.1  # for the nudges of a bulk that an outage ended: workers also find messages without a nudge
WINDOW = 10 * NUDGE_SIZE  # messages of a bulk that are parsed and accepted together


class _Pending:
    """A call of accept in progress: its messages, their replies, and the answers to those that were routed again."""

    def __init__(self, routed: Sequence[Routed], call: acceptance.AcceptCall) -> None:
        self.routed, self.call = routed, call
        self.replies: list[str] = []
        self.again: Mapping[int, Admission] = {}

    def answers(self) -> list[Admission]:
        """Return the results, in the order of the messages."""
        found = self.call.answers(self.replies)
        return [self.again.get(at, one) for at, one in enumerate(found)] if self.again else found


class Enqueuer:
    """Enqueues messages; answers each with Accepted or Refused, raises Unavailable; threads may share it.

    A ``key`` is an API key, whose producer, cost centre and rights apply.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        nudger: Nudger,
        connection: Callable[[], redis.Redis],
        numbers: Reading | None = None,
    ) -> None:
        """Take ``connection``, which returns the Redis client or raises when it is closed.

        ``numbers`` is how this process reads numbers without + or 00, whatever the producer's setting says.
        """
        self._settings = settings
        self._drafter = Drafter(settings, connection, numbers)
        self._nudger = nudger
        self._redis = connection
        self._deadline = Deadline(settings.redis_timeout_seconds)
        self._clock = RedisClock()
        self._tracer = tracing.tracer(enabled=settings.otel)
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
        caller = self._drafter.caller(self.now(), holder)
        self._drafter.learn([raw], caller)
        routed = self._drafter.draft(raw, caller)
        refused = [routed] if isinstance(routed, Refusal) else []
        try:
            acceptance.count_refusals(self._redis(), refused)
            return _answer(routed if isinstance(routed, Refusal) else self._lanes[routed.lane].submit(routed))
        except RedisError as failed:
            unsure = [] if isinstance(routed, Refusal) else [routed.id]
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
            caller = self._drafter.caller(now, None)
            self._drafter.learn(window, caller)
            call(lambda: self._drafter.read_routes(now))  # noqa: B023 - no script notices here that they have changed
            drafts = [self._drafter.draft(raw, caller) for raw in window]
            good = [draft for draft in drafts if not isinstance(draft, Refusal)]
            found = iter(call(lambda: rehearsing.rehearse(self._redis(), good, now)))  # noqa: B023
            results = (draft if isinstance(draft, Refusal) else next(found) for draft in drafts)
            yield from (Refused.from_refusal(one) if isinstance(one, Refusal) else one for one in results)

    def reading(self, holder: Holder | None = None) -> Reading:
        """Return how numbers without + or 00 are read: those of a key, or of this process."""
        return self._drafter.reading(self._drafter.caller(self.now(), holder))

    def preview(self, message: Mapping[str, Any]) -> Draft | Refusal:
        """Return a message with the parts that it would have."""
        return self._drafter.preview(message, self.now())

    def apis(self) -> Callable[[Space], str]:
        """Return a function that returns the API of a space's account, as of the last minute."""
        self._drafter.refresh(self.now())
        return self._drafter.routes.api

    def estimate(self, to: str, parts: int, account: str = DEFAULT) -> int:
        """Return the estimated cost of parts to a number, in millionths of a credit, by the prices last read."""
        return self._drafter.routes.prices(account).price(to) * parts

    def now(self) -> int:
        """Return the time of Redis in milliseconds of Unix time."""
        call(lambda: self._clock.sync(self._redis()))
        return self._clock.now()

    def _window(self, window: Sequence[Mapping[str, Any]], holder: Holder | None) -> list[Admission]:
        caller = self._drafter.caller(self.now(), holder)
        self._drafter.learn(window, caller)
        answers: dict[int, Admission] = {}
        refused: dict[int, Refusal] = {}
        routed: list[list[tuple[int, Routed]]] = []

        def batches() -> Iterator[list[Routed]]:
            for batch in self._batches(window, caller, refused):
                routed.append(batch)
                yield [one for _, one in batch]

        try:
            for number, given in enumerate(self._accept_all(batches())):
                answers.update(zip((position for position, _ in routed[number]), given, strict=True))
            acceptance.count_refusals(self._redis(), refused.values())
        except RedisError as failed:
            unsure = [one.id for batch in routed for position, one in batch if position not in answers]
            known = [_answer(one) for one in _in_order(answers | refused)]
            raise unavailable(failed, known, unsure) from None
        return _in_order(answers | refused)

    def _batches(
        self, window: Sequence[Mapping[str, Any]], caller: Caller, refused: dict[int, Refusal]
    ) -> Iterator[list[tuple[int, Routed]]]:
        """Yield messages of a lane and account with their positions, up to 99 at a time; refusals go to ``refused``."""
        places: dict[Any, list[tuple[int, Routed]]] = defaultdict(list)
        for position, raw in enumerate(window):
            routed = self._drafter.draft(raw, caller)
            if isinstance(routed, Refusal):
                refused[position] = routed
                continue
            place = routed.place
            batch = places[place]
            batch.append((position, routed))
            if len(batch) == acceptance.BATCH:
                yield places.pop(place)
        yield from (places[place] for place in sorted(places))

    def _accept(self, routed: Sequence[Routed]) -> list[Admission]:
        """Accept up to 99 messages of a lane, and publish them; raises RedisError."""
        first = routed[0].routes
        if first.is_single and {one.routes for one in routed} == {first}:  # the usual installation, at no cost
            return [*next(self._accept_all([routed]))]
        return self._accept_by_place(routed, MOST_TRIES)

    def _accept_by_place(self, routed: Sequence[Routed], tries: int) -> list[Admission]:
        """Accept messages in a call for each account and version of the routes; raises RedisError."""
        places: dict[Any, list[int]] = defaultdict(list)
        for position, one in enumerate(routed):
            places[one.place].append(position)
        answers: dict[int, Admission] = {}
        batches = ([routed[position] for position in positions] for positions in places.values())
        for positions, given in zip(places.values(), self._accept_all(batches, tries), strict=True):
            answers.update(zip(positions, given, strict=True))
        return _in_order(answers)

    def _accept_all(
        self, batches: Iterable[Sequence[Routed]], tries: int = MOST_TRIES
    ) -> Iterator[Sequence[Admission]]:
        """Accept batches of up to 99 messages of a lane and account each, and publish them, as results are consumed.

        While Redis runs one call, the results of the last are consumed and the next batch is parsed.  Lane 1 is
        published after each batch, the other lanes after all batches.  Raises RedisError after the results of the
        batches that were accepted before.
        """
        due: dict[str, Place] = {}
        pending: _Pending | None = None
        try:
            for routed in batches:
                following = _Pending(routed, self._call(routed))
                if pending:
                    self._finish(pending, due, tries)
                following.call.begin(self._redis())
                if pending:
                    yield pending.answers()
                pending = following
            if pending:
                self._finish(pending, due, tries)
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
            yield pending.answers()

    def _call(self, routed: Sequence[Routed]) -> acceptance.AcceptCall:
        """Return the call that accepts messages of one account."""
        first, routes = routed[0], routed[0].routes
        return acceptance.AcceptCall(
            [one.draft for one in routed],
            self._clock.now(),
            routes.prices(first.chosen.account),
            self._tracer,
            self._seen,
            self._settings.batch_ms,
            routes.accounts[first.chosen.account].validity_minutes,
            keys.space_of(stored(first.chosen.account)),
            () if routes.is_single else [one.chosen for one in routed],
            routes.version,
        )

    def _finish(self, pending: _Pending, due: dict[str, Place], tries: int) -> None:
        """Wait for Redis; publish messages of lane 1 that are due, and add those of other lanes to ``due``.

        What was accepted by no call, since other routes are published, is accepted by these.
        """
        with self._deadline.within():
            pending.replies = pending.call.wait()
            fresh = pending.call.due(pending.replies)
            if fresh and pending.routed[0].lane == keys.LANES[0]:
                self._nudge(fresh)
            else:
                due.update(fresh)
            if AcceptResult.STALE in pending.replies:
                pending.again = self._accept_again(pending, tries)

    def _accept_again(self, pending: _Pending, tries: int) -> dict[int, Admission]:
        """Accept messages whose routes have changed by those that are published now; raises RedisError."""
        stale = [position for position, reply in enumerate(pending.replies) if reply == AcceptResult.STALE]
        if not tries:
            return dict.fromkeys(stale, acceptance.changing())
        if self._drafter.routes.version == pending.routed[0].routes.version:
            self._drafter.read_routes(self._clock.now())
        before = {position: pending.routed[position] for position in stale}
        found = {at: self._drafter.draft_again(one.raw, one.caller, one.draft) for at, one in before.items()}
        refused: dict[int, Admission] = {at: one for at, one in found.items() if isinstance(one, Refusal)}
        acceptance.count_refusals(self._redis(), [one for one in refused.values() if isinstance(one, Refusal)])
        routed = {at: one for at, one in found.items() if not isinstance(one, Refusal)}
        answers = self._accept_by_place([*routed.values()], tries - 1)
        return refused | dict(zip(routed, answers, strict=True))

    def _nudge(self, due: Mapping[str, Place]) -> None:
        """Publish ids by lane and account, also of repeated messages, whose first nudge may be lost."""
        places: dict[Place, list[str]] = defaultdict(list)
        for one, place in due.items():
            places[place].append(one)
        published = [self._nudger.publish(place.lane, places[place], place.account) for place in sorted(places)]
        if not all(published) and self._clock.now() - self._reported_at > REPORT_MS:
            self._reported_at = self._clock.now()
            self.report_unpublished()

    def report_unpublished(self) -> None:
        """Count in Redis the messages that the broker did not take; if Redis is unavailable, the next call does."""
        unpublished = self._nudger.take_unreported()
        try:
            if unpublished:
                missing.count_each(self._redis(), Count.UNPUBLISHED, unpublished, self._clock.now())
        except RedisError:
            self._nudger.give_back(unpublished)


def _in_order(answers: Mapping[int, Admission]) -> list[Admission]:
    return [answers[position] for position in sorted(answers)]


def _answer(admission: Admission) -> Answer:
    """Return the answer for an admission."""
    return Refused.from_refusal(admission) if isinstance(admission, Refusal) else admission
