"""Attempt: the steps of a nudge in the worker: claim, send, settle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import redis.asyncio

from threelane.contract.features import reports_charge
from threelane.contract.message import Message
from threelane.contract.window import Windows
from threelane.runtime import tracing
from threelane.runtime.clock import Clock
from threelane.runtime.raised import place_of
from threelane.store.states import Status
from threelane.worker.account import credentials
from threelane.worker.account.hold import Hold, credentials_scope, of_producer, scopes_of
from threelane.worker.fetch.lanes import Lanes
from threelane.worker.gateway.breaker import Breaker
from threelane.worker.gateway.context import LastAccepted
from threelane.worker.gateway.outcome import EMULATED, FAULTS, NOT_TRIED, AttemptOutcome, OutcomeKind
from threelane.worker.gateway.overrides import effective
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.policy.rule import Scope
from threelane.worker.process import metrics
from threelane.worker.process.internal_error import OUTAGES, FaultStep
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.blame import Blame, Fault, blame
from threelane.worker.send.call import allows, call
from threelane.worker.send.claim import Claimed, claim
from threelane.worker.send.defer import defer
from threelane.worker.send.gate import Gate
from threelane.worker.send.judge import Patience, Tried, judge
from threelane.worker.send.measure import measure, trace
from threelane.worker.send.settle import Settlement
from threelane.worker.send.settler import Settler
from threelane.worker.send.unrecorded import Unrecorded

SETTLE_EVERY_SECONDS = 0.2  # settle finished calls at this interval; slow ones do not delay them
STOP_SECONDS = 1.0  # longer than this process takes to see its own hold in Redis


class Attempts:
    """Makes the attempts of one event loop; all its dependencies are arguments."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        gateway: Gateway,
        settings: WorkerSettings,
        clock: Clock,
        lanes: Lanes,
        rng: Random,
        gate: Gate,
        breaker: Breaker,
        blame: Blame | None = None,
        unrecorded: Unrecorded | None = None,
    ) -> None:
        """Work with one gateway and one Redis; all event loops of this process share what comes after ``rng``."""
        self._client = client
        self._gateway = gateway
        self._table = effective(gateway.table, settings.policy_file)
        self._settings = settings
        self._clock = clock
        self._lanes = lanes
        self._rng = rng
        self._gate = gate
        self._breaker = breaker
        self._blame = blame or Blame()
        self._unrecorded = unrecorded or Unrecorded()
        self._patience = Patience(
            settings.retry_every_seconds,
            settings.stop_retrying_after_seconds,
            settings.doubt_delays_seconds[0],
            settings.inference,
            gateway.can_look_up,
        )
        assumes = not reports_charge(gateway.name)
        self._settler = Settler(client, settings, clock, self._blame, assumes=assumes)
        self._tracer = tracing.tracer(enabled=settings.otel)
        self._seconds = metrics.CALL.labels(gateway.name)
        self._narrowed: dict[str, int] = {}  # sender or prefix -> when this process learned of its hold, ms
        self.claimed = 0
        self.draining = False
        self.windows = Windows({})
        self.last_accepted: LastAccepted | None = None

    async def attempt(self, lane: int, ids: Sequence[str], on_claim: Callable[[int], None] | None = None) -> bool:
        """Attempt a nudge's messages; False: some could not be tried now, and the nudge goes back.

        ``on_claim`` gets the number of claimed messages before they are sent.  After an exception of our own code, the
        messages that it concerns are blamed for it, and the others are attempted.
        """
        try:
            return await self._attempt(lane, ids, on_claim)
        except OUTAGES:
            raise
        except Exception as failed:
            return await self._isolate(lane, ids, on_claim, failed)

    async def _isolate(
        self, lane: int, ids: Sequence[str], on_claim: Callable[[int], None] | None, failed: Exception
    ) -> bool:
        """Attempt the halves of a nudge that failed as a whole, and blame a message that fails alone."""
        if len(ids) > 1:
            middle = len(ids) // 2
            return all([await self.attempt(lane, part, on_claim) for part in (ids[:middle], ids[middle:])])
        fault = Fault(ids[0], "", FaultStep.CLAIM, place_of(failed))
        await blame(self._client, lane, [fault], self._settings, self._clock.now())
        self._blame.note(ids, has_success=False)
        return True

    async def _attempt(self, lane: int, ids: Sequence[str], on_claim: Callable[[int], None] | None) -> bool:
        if self._is_stopped(lane):
            return False
        ids = await defer(self._client, self.windows, lane, ids, self._clock.now(), self._settings.space)
        now = self._clock.now()  # before the claim: the lease starts here, however long the claim takes
        claims = await claim(self._client, lane, ids, self._settings, now)
        if claims.held:
            self._lanes.close_for(lane, 0.5)  # until the next look at the holds
            return False
        if claims.wait_ms:
            self._lanes.close_for(lane, claims.wait_ms / 1000)
        self._lanes.served(lane, len(claims.claimed))
        self.claimed += len(claims.claimed)
        metrics.CLAIMED.labels(lane).inc(len(claims.claimed))
        if on_claim:
            on_claim(len(claims.claimed))
        if claims.faulty:
            await blame(self._client, lane, claims.faulty, self._settings, self._clock.now())
            failed = [one.id for one in claims.faulty if not one.is_damaged]
            self._blame.note(failed, has_success=bool(claims.claimed))
        with self._recording(claims.claimed):
            all_tried = await self._send_and_settle(lane, claims.claimed, now)
        return all_tried and not claims.wait_ms

    async def try_one(self, lane: int, ids: Sequence[str], pass_token: str) -> AttemptOutcome | None:
        """Attempt the first of these messages that may be sent although the breaker is open; None: there is none.

        It does not wait for a place among the calls under way, which may all hang.
        """
        ids = await defer(self._client, self.windows, lane, ids, self._clock.now(), self._settings.space)
        now = self._clock.now()
        claims = await claim(self._client, lane, ids, self._settings, now, pass_token)
        self.claimed += len(claims.claimed)
        metrics.CLAIMED.labels(lane).inc(len(claims.claimed))
        if claims.faulty:
            await blame(self._client, lane, claims.faulty, self._settings, self._clock.now())
        if not claims.claimed:
            return None
        with self._recording(claims.claimed):
            settlements = await self._call_and_judge(claims.claimed, now)
            if not settlements:
                return None
            await self._settle(settlements)
        measure(lane, settlements[0], now)
        self._note_faults(settlements)
        return settlements[0].outcome

    @contextmanager
    def _recording(self, claims: Sequence[Claimed]) -> Iterator[None]:
        """Note which claims have no recorded result yet; those that never get one stay noted if the process ends."""
        self._unrecorded.add(claims)
        try:
            yield
        finally:
            if not self.draining:
                self._unrecorded.remove(claims)

    def _is_stopped(self, lane: int) -> bool:
        """Return whether nothing of the lane may be claimed or sent now."""
        return self.draining or self._lanes.is_held(lane) or self._breaker.is_open or not credentials.is_accepted()

    async def _send_and_settle(self, lane: int, claimed: Sequence[Claimed], claimed_at: int) -> bool:
        size = self._gateway.batch_size
        ended: list[Settlement] = []
        every: list[Settlement] = []
        batches = [claimed[start : start + size] for start in range(0, len(claimed), size)]
        pending = {asyncio.create_task(self._send(lane, batch, claimed_at, ended)) for batch in batches}
        all_tried, failed = True, None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=SETTLE_EVERY_SECONDS)
            failed = next(filter(None, (task.exception() for task in done)), failed)
            all_tried = all_tried and all(task.result() for task in done if not task.exception())
            if ended:
                settlements = ended[:]
                ended.clear()
                every += settlements
                await self._settle(settlements)
        self._note_faults(every)
        if failed:  # after the other calls of the nudge are settled
            raise failed
        return all_tried

    def _note_faults(self, settlements: Sequence[Settlement]) -> None:
        """Note which messages of a nudge our own code failed at; if others were processed, it works."""
        # one exception is one failure, however many messages its request had: they share its outcome
        failed = {id(one.outcome): one.claimed.id for one in settlements if one.outcome.kind in FAULTS}.values()
        processed = any(one.outcome.kind not in FAULTS and one.outcome is not NOT_TRIED for one in settlements)
        if failed or processed:
            self._blame.note(failed, has_success=processed)

    async def _send(self, lane: int, batch: Sequence[Claimed], claimed_at: int, ended: list[Settlement]) -> bool:
        """Send one request's messages; returns whether none of them goes back to its lane."""
        send_by = claimed_at + self._settings.lease_ms - int(self._settings.gateway_timeout_seconds * 1000)
        async with self._gate.pass_through(lane) as has_place:
            now = self._clock.now()
            if has_place and not self._is_stopped(lane) and now <= send_by:
                settlements = await self._call_and_judge(batch, claimed_at)
            else:
                settlements = await self._judge_each(batch, [NOT_TRIED] * len(batch))
            holds = [one.decision.hold for one in settlements if one.decision.hold]
            if any(one.needs <= 1 for one in holds):  # it stops the next message, too
                self._heed_account(holds)
                if any(one.credentials for one in holds):
                    await credentials.postpone(self._client, self._settings.fingerprint, self._settings.space)
                await self._settle(settlements)  # before the next call gets the place
                self._heed_account(holds)  # claims made until now did not see the hold
            else:
                ended.extend(settlements)
        for one in settlements:
            measure(lane, one, now)
        return all(one.decision.to is not Status.QUEUED for one in settlements)

    async def _call_and_judge(self, batch: Sequence[Claimed], claimed_at: int) -> list[Settlement]:
        """Make the call for some claimed messages, whatever it leads to."""
        now, began_ns = self._clock.now(), time.time_ns()
        with metrics.UNDER_WAY.track_inprogress(), self._seconds.time():
            outcomes = await self._call([one.message for one in batch], claimed_at, now)
        outcomes = [_of_this_attempt(one, outcome) for one, outcome in zip(batch, outcomes, strict=True)]
        self._note_accepted(batch, outcomes, now)
        if self._breaker.heed(outcomes, now, self._clock.now()):
            await self._breaker.report(self._client, self._clock.now())
        settlements = await self._judge_each(batch, outcomes)
        if self._tracer:
            trace(self._tracer, self._gateway.name, settlements, began_ns)
        return settlements

    def _note_accepted(self, batch: Sequence[Claimed], outcomes: Sequence[AttemptOutcome], began_at: int) -> None:
        """Note the latest accepted message, on which the visibility of look-ups is measured.

        Look-ups find the attempt before of one that was returned.
        """
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome.kind is OutcomeKind.ACCEPTED and not one.former_id:
                self.last_accepted = LastAccepted(one.id, began_at, self._clock.now())
                return

    def _heed_account(self, holds: Sequence[Hold]) -> None:
        """Apply a hold of the account or of these credentials at once, even to claimed messages."""
        if any(one.scope == Scope.ACCOUNT for one in holds):
            self._lanes.stop_all_for(STOP_SECONDS)
        for one in holds:
            if one.credentials:
                credentials.refuse(one.code, one.cause)

    def _heed(self, scopes: Sequence[str], now: int) -> None:
        """Apply new holds of senders and prefixes at once, even to claimed messages."""
        known = self._narrowed | dict.fromkeys(scopes, now)
        self._narrowed = {scope: at for scope, at in known.items() if at > now - self._settings.lease_ms}

    def _is_held(self, message: Message, claimed_at: int) -> bool:
        """Return whether its sender or prefix was put on hold after the claim; the claim checks earlier holds."""
        if message.lane == 1:  # it ignores such holds
            return False
        return any(claimed_at <= self._narrowed.get(scope, 0) for scope in _scopes(message))

    async def _call(self, messages: Sequence[Message], claimed_at: int, now: int) -> Sequence[AttemptOutcome]:
        """Send the messages that may be sent; the rest is put back or emulated.

        After a call without an answer only one message goes with each request, so that an outage leaves few in doubt.
        """
        if len(messages) > 1 and self._breaker.is_suspected:
            first = await self._call(messages[:1], claimed_at, now)
            return [*first, *[NOT_TRIED] * (len(messages) - 1)]
        if not self._narrowed and not self._settings.allow_only:
            return await call(self._gateway, messages, now)
        free = [one for one in messages if not self._is_held(one, claimed_at)]
        going = [one for one in free if allows(self._settings.allow_only, one.to)]
        answers = await call(self._gateway, going, now) if going else ()
        outcomes = {one.id: NOT_TRIED for one in messages} | {one.id: EMULATED for one in free}
        outcomes |= dict(zip((one.id for one in going), answers, strict=True))
        return [outcomes[one.id] for one in messages]

    async def _judge_each(self, batch: Sequence[Claimed], outcomes: Sequence[AttemptOutcome]) -> list[Settlement]:
        """Judge each outcome; a message at which that fails is blamed for it, and has no settlement."""
        settlements: list[Settlement] = []
        for one, outcome in zip(batch, outcomes, strict=True):
            try:
                settlements.append(self._judge(one, outcome))
            except Exception as failed:
                await self._settler.blame_for(one, outcome, FaultStep.JUDGE, failed)
        return settlements

    def _judge(self, claimed: Claimed, outcome: AttemptOutcome) -> Settlement:
        tried = Tried(
            claimed.message,
            claimed.attempt,
            claimed.first_tried_at,
            claimed.queued_at,
            claimed.faults,
            claimed.may_move,
        )
        now = self._clock.now()
        decision = judge(tried, outcome, self._table, self._patience, now, self._rng, paused=self._breaker.is_open)
        if decision.hold and decision.hold.scope == Scope.CREDENTIALS:
            fingerprint = self._settings.fingerprint
            refused = replace(decision.hold, scope=credentials_scope(fingerprint), credentials=fingerprint)
            decision = replace(decision, hold=refused)
        return Settlement(claimed, outcome, decision)

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        held = await self._settler.settle(settlements)
        self._unrecorded.remove(one.claimed for one in settlements)
        if held or self._narrowed:
            self._heed(held, self._clock.now())


def _of_this_attempt(one: Claimed, outcome: AttemptOutcome) -> AttemptOutcome:
    """Return an attempt's outcome; an acceptance with the id of the attempt before shows nothing of this one."""
    if outcome.kind is OutcomeKind.ACCEPTED and outcome.gateway_id == one.former_id:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text="the id of the attempt before")
    return outcome


def _scopes(message: Message) -> tuple[str, ...]:
    """Return the scopes that its own code can put on hold, of its producer and of all."""
    scopes = scopes_of(message.sender, message.to)
    return (*scopes, *(of_producer(scope, message.producer) for scope in scopes))
