"""The scripts as a whole: in any order of steps, nothing is lost and nothing is sent twice.

A random walk over every verb of a message's life, on a real Redis.  The gateway is truthful: it finds what it took,
and a worker sends only while its lease leaves it the time, as the product does.  Everything else may happen: answers
come late, workers die in the middle, receipts come for anything, in any order, twice.

THREELANE_EXAMPLES and THREELANE_STEPS make the walks more and longer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.properties.system import Glance, PendingLookUp, System, reached
from tests.servers import RedisServer
from threelane.contract.message import Draft
from threelane.operations import age
from threelane.producer.accept import Accepted
from threelane.store import batches, keys, suppression
from threelane.store.keys import HERE
from threelane.store.states import AT_REST, FINAL, MAY_FOLLOW, Status
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import OF_ACCOUNT, STATUSES
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "20"))
STEPS = int(os.environ.get("THREELANE_STEPS", "40"))
ACCOUNT = "acme"

SCHEDULED, QUEUED, SENDING, SENT = Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT
IN_DOUBT, DEAD, UNKNOWN, EXPIRED = Status.IN_DOUBT, Status.DEAD, Status.UNKNOWN, Status.EXPIRED

PAUSED = Status.PAUSED

UNSENT = (SCHEDULED, QUEUED, SENDING, IN_DOUBT)

# fmt: off
MOVES: dict[str, set[tuple[Status | None, Status]]] = {
    "accept":  {(None, SCHEDULED), (None, QUEUED), (None, PAUSED)},
    "release": {(SCHEDULED, QUEUED), (SCHEDULED, PAUSED)},
    "claim":   {(QUEUED, SENDING), (QUEUED, EXPIRED), (QUEUED, DEAD), (QUEUED, PAUSED)},
    "settle":  {(SENDING, to) for to in (SENT, SCHEDULED, DEAD, IN_DOUBT, QUEUED, PAUSED)},
    "lapse":   {(SENDING, IN_DOUBT)},
    "resolve": {(IN_DOUBT, to) for to in (QUEUED, PAUSED, DEAD, UNKNOWN, *filter(None, STATUSES.values()))},
    "receipt": {(was, to) for was, following in MAY_FOLLOW.items() for to in following & set(STATUSES.values())},
    "return":  {(was, to) for was in (SCHEDULED, SENDING, IN_DOUBT, SENT) for to in (QUEUED, PAUSED)},
    "redrive": {(DEAD, QUEUED), (DEAD, PAUSED)},
    "pause":   {(SCHEDULED, PAUSED), (QUEUED, PAUSED)},
    "resume a batch": {(PAUSED, SCHEDULED), (PAUSED, QUEUED)},
    "expire":  {(QUEUED, EXPIRED), (PAUSED, EXPIRED)},
}
# fmt: on
"""What each verb may do; anything else that moves a message is a fault of the script."""

OUTCOMES = (
    AttemptOutcome(OutcomeKind.ACCEPTED),
    AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"),
    AttemptOutcome(OutcomeKind.REFUSED, "105", "invalid destination"),
    AttemptOutcome(OutcomeKind.REFUSED, "122", "opted out"),
    AttemptOutcome(OutcomeKind.REFUSED, "301", "no credit"),
    AttemptOutcome(OutcomeKind.REFUSED, "130", "limit reached"),
    AttemptOutcome(OutcomeKind.NOT_REACHED),
    AttemptOutcome(OutcomeKind.LOST, text="taken"),
    AttemptOutcome(OutcomeKind.LOST, text="not taken"),
    AttemptOutcome(OutcomeKind.UNREADABLE, text="taken"),
    AttemptOutcome(OutcomeKind.NOT_TRIED),
)
NUMBERS = ("27831234567", "27831234568", "27831234569")
TEXTS = ("Hello", "Hello", "News " * 40, "News " * 80)  # 1, 2 and 3 parts
BATCHES = ("news", "offers")
FIELDS = {
    "lane": st.sampled_from(keys.LANES),
    "to": st.sampled_from(NUMBERS),
    "text": st.sampled_from(TEXTS),
    "delay": st.sampled_from((0, 0, 0, 4, 3_000)),
    "validity": st.sampled_from((None, None, None, 1, 120)),
    "on_doubt": st.sampled_from(("resend", "resend", "hold", "drop")),
    "named": st.booleans(),
    "batch": st.sampled_from(("", *BATCHES)),
}
WAITS = (1, 300, 5_000, 30_000, 61_000, 61_000, 3_600_000)


def since(record: dict[str, str]) -> int:
    """Return since when a message waits."""
    return max(int(record.get(name, 0)) for name in ("accepted", "due", "redriven"))


@dataclass
class Attempt:
    """A claim in a worker's hands; the outcome is known once the request was made."""

    claimed: Claimed
    send_by: int
    outcome: AttemptOutcome | None = None


class Machine(RuleBasedStateMachine):
    """The model: who holds what, what the gateway took, and what Redis held after the last step."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system
        self.system.empty()
        self.seen = system.glance([])
        self.drafts: list[Draft] = []
        self.in_hand: list[Attempt] = []
        self.holder: dict[str, str] = {}  # id -> the token of its one live claim
        self.taken: Counter[str] = Counter()  # what the gateway took, less what it refused for the account afterwards
        self.gateway_ids: dict[str, list[str]] = {}  # of all that it took of a message, the last one last
        self.refused: dict[str, set[str]] = defaultdict(set)  # its ids of what it took and refused for the account
        self.tried: set[str] = set()  # what was claimed or redriven once
        self.spent: Counter[str] = Counter()  # claims since it was redriven, less those given back
        self.moved: Counter[str] = Counter()
        self.stale = 0
        self.swept: Counter[int] = Counter()
        self.pending: list[tuple[PendingLookUp, dict[str, bool]]] = []
        self.furthest_clock = system.now
        self.first_claim_at: int | None = None
        self.parts_claimed = 0
        self.tokens = 0
        self.expired_paused = 0

    @initialize(
        delays=st.sampled_from(((5,), (5, 30))),
        rate=st.sampled_from((2, 1_000)),
        first=st.lists(st.fixed_dictionaries(FIELDS), min_size=2, max_size=5),
    )
    def begin(self, delays: tuple[float, ...], rate: float, first: list[dict[str, Any]]) -> None:
        changes = {"doubt_delays_seconds": delays, "parts_per_second": rate, "look_ups_per_second": rate}
        self.system.settings = self.system.settings.model_copy(update=changes)
        for fields in first:
            self.accept_one(**fields)

    # -- taking in --

    @precondition(lambda self: len(self.drafts) < 8)
    @rule(fields=st.fixed_dictionaries(FIELDS))
    def accept_new(self, fields: dict[str, Any]) -> None:
        self.accept_one(**fields)

    def accept_one(
        self, lane: int, to: str, text: str, delay: int, validity: int | None, on_doubt: str, named: bool, batch: str
    ) -> None:
        fields: dict[str, Any] = {"to": to, "text": text, "lane": lane, "delay": delay, "on_doubt": on_doubt}
        if validity and validity * 60 > delay:
            fields["validity_period"] = validity
        if batch:
            fields["batch"] = batch
        if named:
            fields |= {"client_message_id": f"order{len(self.drafts)}", "cost_centre": "ops"}
        draft = self.system.draft(**fields)
        suppressed = self.is_suppressed(to)
        (answer,) = self.system.accept([draft])
        assert (not suppressed) == isinstance(answer, Accepted)
        if isinstance(answer, Accepted):
            status = PAUSED if self.is_paused(batch) else SCHEDULED if delay else QUEUED
            assert (False, status) == (answer.repeated, answer.status)
            self.drafts.append(draft)
        self.look("accept", {draft.message.id} - ({draft.message.id} if suppressed else set()))

    @precondition(lambda self: self.drafts)
    @rule(pick=st.integers(0, 7), conflicting=st.booleans())
    def accept_again(self, pick: int, conflicting: bool) -> None:
        """A repeated call finds the first one; other content under the same id is refused."""
        draft = self.pick(pick)
        named = bool(draft.message.client_message_id)
        if conflicting and named:
            draft = Draft(draft.message, "another")
        (answer,) = self.system.accept([draft])
        if conflicting and named:
            assert 409 == int(answer.code)
        else:
            assert (True, self.seen.status(answer.id)) == (answer.repeated, answer.status)
        self.look("accept", set())

    # -- the way out --

    @rule(data=st.data(), lane=st.sampled_from(keys.LANES), behind=st.sampled_from((0, 0, 0, 7)))
    def claim(self, data: st.DataObject, lane: int, behind: int) -> None:
        """Any ids, in any number and order: of other lanes, settled, unknown, twice."""
        known = [*self.ids(), "0" * 32]
        self.tokens += 1
        self.claim_these(lane, data.draw(st.lists(st.sampled_from(known), max_size=8)), f"token{self.tokens}", behind)

    @precondition(lambda self: self.queued())
    @rule(lane=st.sampled_from(keys.LANES))
    def claim_the_lane(self, lane: int) -> None:
        """What an honest nudge does; without it the walks would seldom get far."""
        lane = (
            lane
            if self.seen.indexes[self.system.names.QUEUED[lane]]
            else int(self.seen.records[self.queued()[0]]["lane"])
        )
        self.tokens += 1
        self.claim_these(lane, list(self.seen.indexes[self.system.names.QUEUED[lane]]), f"token{self.tokens}", 0)

    @precondition(lambda self: self.queued())
    @rule(lane=st.sampled_from(keys.LANES), outcome=st.sampled_from(OUTCOMES))
    def attempt(self, lane: int, outcome: AttemptOutcome) -> None:
        """A nudge's whole way at once, since a walk in single steps would seldom get to the second attempt."""
        before = len(self.in_hand)
        self.claim_the_lane(lane)
        for number in range(before, len(self.in_hand)):
            self.request_one(self.in_hand[number], outcome)
        ended = self.in_hand[before:]
        if ended:
            self.settle_these(ended, None)
            self.in_hand = self.in_hand[:before]

    @precondition(lambda self: self.in_hand)
    @rule(pick=st.integers(0, 50))
    def claim_again(self, pick: int) -> None:
        """The answer to a claim was lost on the way, and the command is repeated: the same is given once more."""
        attempt = self.in_hand[pick % len(self.in_hand)]
        held = {one for one, token in self.holder.items() if token == attempt.claimed.token}
        ids = [one.claimed.id for one in self.in_hand if one.claimed.token == attempt.claimed.token]
        self.claim_these(attempt.claimed.message.lane, ids, attempt.claimed.token, 0, already=held)

    def claim_these(
        self, lane: int, ids: list[str], token: str, behind: int, already: frozenset[str] | set[str] = frozenset()
    ) -> None:
        before, now = self.seen, self.system.now - behind
        claims = self.system.claim(lane, ids, token, behind)
        held = any(self.is_held(scope, now) for scope in ("account", f"lane:{lane}"))
        assert held == claims.held
        given = [one.id for one in claims.claimed]
        assert len(set(given)) == len(given), "one claim gave a message twice"
        for one in claims.claimed:
            self.take(one, token, lane, already, now)
        stopped = [one for one in given if one not in already and self.is_suppressed(before.records[one]["to"])]
        assert [] == stopped, "claimed although its recipient is suppressed"
        if not held:
            self.everything_free_is_given(lane, ids, set(given), claims.wait_ms, before, now)
        self.furthest_clock = max(self.furthest_clock, now)
        if self.first_claim_at is None:
            self.first_claim_at = now
        self.look("claim", set(ids))

    def take(self, one: Claimed, token: str, lane: int, already: frozenset[str] | set[str], now: int) -> None:
        holder = self.holder.get(one.id)
        if one.id in already:
            assert token == holder
            return
        assert holder is None, "claimed while another claim on it is live"
        assert QUEUED is self.seen.status(one.id), "claimed while it was not queued"
        assert not self.is_paused(one.message.batch), "claimed while its batch is paused"
        assert lane == one.message.lane
        self.holder[one.id] = token
        self.tried.add(one.id)
        self.spent[one.id] += 1
        self.parts_claimed += one.message.parts
        assert self.spent[one.id] == one.attempt
        settings = self.system.settings
        send_by = now + settings.lease_ms - int(settings.gateway_timeout_seconds * 1000)
        self.in_hand.append(Attempt(one, send_by))

    def everything_free_is_given(
        self, lane: int, ids: list[str], given: set[str], wait: int, before: Glance, now: int
    ) -> None:
        """A queued message that nothing stops is claimed; the rate is the one reason to wait."""
        free = {
            one
            for one in ids
            if before.status(one) is QUEUED
            and str(lane) == before.records[one]["lane"]
            and int(before.records[one]["expires"]) > now
            and not self.is_suppressed(before.records[one]["to"])
            and not self.is_paused(before.records[one].get("batch", ""))
        }
        assert (free - given == set()) or wait > 0
        assert wait <= 4_000 * 3 / self.system.settings.parts_per_second

    @precondition(lambda self: self.unsent())
    @rule(pick=st.integers(0, 50), outcome=st.sampled_from(OUTCOMES))
    def request(self, pick: int, outcome: AttemptOutcome) -> None:
        """The request leaves, if the lease leaves time for it."""
        unsent = self.unsent()
        self.request_one(unsent[pick % len(unsent)], outcome)

    def request_one(self, attempt: Attempt, outcome: AttemptOutcome) -> None:
        if self.system.now > attempt.send_by:
            outcome = AttemptOutcome(OutcomeKind.NOT_TRIED)
        attempt.outcome = outcome
        if reached(outcome):
            gateway_id = self.gateway_takes(attempt.claimed.id)
            if outcome.kind is OutcomeKind.ACCEPTED:
                attempt.outcome = outcome._replace(gateway_id=gateway_id)

    def gateway_takes(self, message_id: str) -> str:
        """Return its own id of what it took."""
        known = self.gateway_ids.setdefault(message_id, [])
        known.append(f"{len(known) + 1}{message_id[1:]}")
        self.taken[message_id] += 1
        return known[-1]

    @precondition(lambda self: self.in_hand)
    @rule(
        picks=st.lists(st.integers(0, 50), min_size=1, max_size=4),
        token=st.sampled_from((None, None, None, "token1", "never")),
        keep=st.booleans(),
    )
    def settle(self, picks: list[int], token: str | None, keep: bool) -> None:
        """Several at once, the same twice, late, or with a token that is not theirs."""
        ended = [one for one in self.in_hand if one.outcome is not None]
        chosen = [ended[pick % len(ended)] for pick in picks] if ended else []
        if not chosen:
            return
        self.settle_these(chosen, token)
        if not keep:
            self.in_hand = [one for one in self.in_hand if one not in chosen]

    def settle_these(self, chosen: list[Attempt], token: str | None) -> None:
        settlements: list[Settlement] = []
        for attempt in chosen:
            assert attempt.outcome
            claimed = dataclasses.replace(attempt.claimed, token=token) if token else attempt.claimed
            settlements.append(Settlement(claimed, attempt.outcome, self.system.judge(claimed, attempt.outcome)))
        done = self.system.settle(settlements)
        for one, settled in zip(settlements, done, strict=True):
            right = self.holder.get(one.claimed.id) == one.claimed.token
            assert right == settled, "settled without the token" if settled else "not settled with the right token"
            self.stale += not settled
            if settled:
                del self.holder[one.claimed.id]
                self.spent[one.claimed.id] -= not one.decision.spends_attempt
        settled_ids = {one.claimed.id for one, settled in zip(settlements, done, strict=True) if settled}
        self.look("settle", settled_ids)

    @precondition(lambda self: self.in_hand)
    @rule(pick=st.integers(0, 50))
    def die(self, pick: int) -> None:
        """A worker is gone, and what it knew with it."""
        attempt = self.in_hand[pick % len(self.in_hand)]
        self.in_hand = [one for one in self.in_hand if one.claimed.token != attempt.claimed.token]

    # -- time --

    @rule(wait=st.sampled_from(WAITS))
    def wait(self, wait: int) -> None:
        self.system.now += wait

    @precondition(lambda self: self.seen.of(SCHEDULED))
    @rule(patient=st.booleans())
    def release(self, patient: bool) -> None:
        self.wait_for(SCHEDULED, patient)
        due = {one for one, score in self.seen.of(SCHEDULED).items() if score <= self.system.now}
        released = {one for ids in self.system.release().values() for one in ids}
        moved = self.look("release", due)
        assert due == moved.keys()
        assert released == {one for one, to in moved.items() if to is QUEUED}

    @precondition(lambda self: self.seen.of(SENDING))
    @rule(patient=st.booleans())
    def lapse(self, patient: bool) -> None:
        self.wait_for(SENDING, patient)
        over = {one for one, score in self.seen.of(SENDING).items() if score <= self.system.now}
        assert over == set(self.system.lapse())
        for one in over:
            del self.holder[one]
        self.look("lapse", over)

    # -- doubt --

    @precondition(lambda self: len(self.pending) < 3 and self.seen.of(IN_DOUBT))
    @rule(patient=st.booleans())
    def start_look_up(self, patient: bool) -> None:
        """A look-up begins: the gateway answers with the present state, and the answer takes its time."""
        self.wait_for(IN_DOUBT, patient)
        pending = self.system.start_look_up()
        for one in pending.queried:
            assert self.seen.of(IN_DOUBT)[one] <= self.system.now
        if pending.queried:
            self.pending.append((pending, {one: self.taken[one] > 0 for one in pending.queried}))
        else:
            pending.end()
        self.look("resolve", set())

    @precondition(lambda self: self.pending)
    @rule(pick=st.integers(0, 3), fails=st.integers(0, 9), status=st.sampled_from(("002", "003", "004", "007", "010")))
    def answer(self, pick: int, fails: int, status: str) -> None:
        """The answer arrives, perhaps long after others have looked it up and resolved it."""
        pending, took = self.pending.pop(pick % len(self.pending))
        answers = {}
        for one, found in took.items():
            if fails == 0:
                answers[one] = LookUp(Known.FAILED)
            elif fails == 1:
                answers[one] = LookUp(Known.NO_STATUS)
            elif found:
                answers[one] = LookUp(Known.FOUND, self.gateway_ids[one][-1], status, 800_000)
            else:
                answers[one] = LookUp(Known.NOT_FOUND)
        again = pending.answer(answers)
        nudged = {one for ids in again.values() for one in ids}
        found_ids = {one for one, answer in answers.items() if answer.known is Known.FOUND}
        moved = self.look("resolve" if not found_ids else "receipt or resolve", set(took))
        assert nudged == {
            one for one, to in moved.items() if to in (QUEUED, PAUSED)
        }  # one that is paused is not claimed

    @precondition(lambda self: self.seen.of(IN_DOUBT))
    @rule()
    def look_up_and_get_the_answer(self) -> None:
        """What a healthy worker does, while others may still wait for their answers."""
        waiting = len(self.pending)
        self.start_look_up(patient=True)
        if len(self.pending) > waiting:
            self.answer(waiting, 9, "002")

    @rule(
        pick=st.integers(0, 16),
        status=st.sampled_from(tuple(STATUSES)),
        of=st.integers(0, 3),
        charges=st.lists(st.sampled_from((None, 0, 800_000, 1_600_000)), min_size=1, max_size=2),
    )
    def receipt(self, pick: int, status: str, of: int, charges: list[int | None]) -> None:
        """For anything, in any order, with or without a charge or the gateway's id, twice; for an unknown id."""
        ids = [*sorted(self.tried), *self.ids(), "f" * 32]
        self.receive(ids[pick % len(ids)], status, of, charges)

    @precondition(lambda self: +self.taken)
    @rule(pick=st.integers(0, 7), status=st.sampled_from(tuple(status for status in STATUSES if status in OF_ACCOUNT)))
    def refuse_for_the_account(self, pick: int, status: str) -> None:
        """What the gateway took last, it refuses after all; a walk of other receipts would seldom get there."""
        taken = sorted(+self.taken)
        self.receive(taken[pick % len(taken)], status, 0, [None])

    def receive(self, one: str, status: str, of: int, charges: list[int | None]) -> None:
        known_ids = ["", *self.gateway_ids.get(one, ["g" * 32])]
        gateway_id = known_ids[-1 - of % len(known_ids)]
        is_last = gateway_id in ("", known_ids[-1]) and self.taken[one] > 0
        is_repeated = gateway_id in self.refused[one]
        if status in OF_ACCOUNT and one in self.tried and not is_last and not is_repeated:
            return  # the gateway does not refuse what it does not have
        before = self.seen
        results = []
        for charge in charges:
            results += self.system.receive([StatusReport(one, gateway_id, status, STATUSES[status], charge)])
        was, to, record = before.status(one), STATUSES[status], before.records.get(one, {})
        moved = self.look("return" if "returned" in results else "receipt", {one})
        if was is None:
            assert {"unknown"} == set(results)
        elif one not in self.tried:
            assert {"never_sent"} == set(results)
        elif "returned" in results:
            assert ["returned", *("earlier" for _ in charges[1:])] == results
            assert status in OF_ACCOUNT
            assert not {"former_id", "resent", "redriven"} & record.keys(), "returned for the second time"
            assert moved or was in (QUEUED, PAUSED)
            self.taken[one] -= 1
            self.refused[one].add(known_ids[-1])
        elif "former_id" in record and "resent" not in record and gateway_id in ("", record["former_id"]):
            assert {"earlier"} == set(results), "a report of the attempt before ended the one that follows"
        elif to is not None and was is not to:
            right = "moved" if to in MAY_FOLLOW[was] else "late"
            may_be_of_other_copy = "resent" in record and gateway_id != record.get("gateway_id")
            assert results[0] in {right, *(["earlier"] if may_be_of_other_copy else [])}
        assert "moved" not in results[1:], "the same receipt moved it twice"
        if moved:
            self.holder.pop(one, None)
        assert self.seen.records.keys() == set(self.ids()), "a receipt created a record"

    # -- operators --

    @precondition(lambda self: self.queued())
    @rule(empty=st.booleans())
    def sweep(self, empty: bool) -> None:
        """It may nudge too often, which costs nothing; it never moves a message."""
        before = self.seen
        lost = self.system.sweep(dict.fromkeys(keys.LANES, 0 if empty else 1))
        for lane, ids in lost.items():
            self.swept[lane] += len(ids)
            assert set(ids) <= before.indexes[self.system.names.QUEUED[lane]].keys()
            margin = self.system.settings.lost_nudge_seconds * 1000
            assert all(before.indexes[self.system.names.QUEUED[lane]][one] <= self.system.now - margin for one in ids)
        self.look("sweep", {one for ids in lost.values() for one in ids})

    @rule(scope=st.sampled_from(("account", "lane:1", "lane:3")), seconds=st.sampled_from((0, 5, 5)))
    def hold(self, scope: str, seconds: int) -> None:
        self.system.hold(scope, self.system.now + seconds * 1000 if seconds else 0)
        self.look("hold", set())

    @precondition(lambda self: self.seen.holds)
    @rule()
    def resume(self) -> None:
        self.system.sync.delete(self.system.names.HOLDS)
        self.look("resume", set())

    @rule(batch=st.sampled_from(BATCHES), most=st.sampled_from((0, 1, 99)))
    def pause_batch(self, batch: str, most: int) -> None:
        """A command that is killed on the way leaves the rest to the claims."""
        ids = [one for one in self.ids() if self.batch_of(one) == batch]
        waiting = {one for one in ids[:most] if self.seen.status(one) in (SCHEDULED, QUEUED)}
        assert len(waiting) == self.system.pause(batch, ids[:most])
        assert waiting == self.look("pause", waiting).keys()

    @precondition(lambda self: self.seen.pauses)
    @rule(batch=st.sampled_from(BATCHES))
    def resume_batch(self, batch: str) -> None:
        """What is not due yet waits for its time; the others are nudged, lane 1 first, the oldest first."""
        paused = {one for one in self.seen.of(PAUSED) if self.batch_of(one) == batch}
        nudged = self.system.resume(batch)
        moved = self.look("resume a batch", paused)
        assert paused == moved.keys()
        assert nudged == sorted(nudged, key=lambda one: self.seen.records[one]["lane"])
        assert set(nudged) == {one for one, to in moved.items() if to is QUEUED}
        assert all(self.seen.of(SCHEDULED)[one] > self.system.now for one in moved.keys() - set(nudged))

    @precondition(lambda self: self.seen.of(PAUSED))
    @rule(patient=st.booleans())
    def expire(self, patient: bool) -> None:
        """Validity goes on during a pause."""
        self.wait_for(PAUSED, patient)
        waits = {*self.seen.of(PAUSED), *self.seen.of(QUEUED)}
        over = {one for one in waits if int(self.seen.records[one]["expires"]) <= self.system.now}
        paused = self.seen.of(PAUSED).keys() & over
        assert len(over) == self.system.expire()
        assert over == self.look("expire", over).keys()
        self.expired_paused += len(paused)

    @rule(number=st.sampled_from(NUMBERS), lift=st.booleans())
    def suppress(self, number: str, lift: bool) -> None:
        if lift:
            self.system.sync.hdel(keys.SUPPRESSED, number)
        else:
            self.system.suppress(number)

    @precondition(lambda self: self.seen.indexes[keys.DEAD])
    @rule(pick=st.integers(0, 7))
    def redrive(self, pick: int) -> None:
        """Each dead letter of the code once, unless its time is over."""
        dead = list(self.seen.indexes[keys.DEAD])
        code = self.seen.records[dead[pick % len(dead)]]["code"]
        of_code = {one for one in self.seen.indexes[keys.DEAD] if self.seen.records[one].get("code") == code}
        valid = {one for one in of_code if int(self.seen.records[one]["expires"]) > self.system.now}
        result = self.system.redrive(code)
        assert (len(valid), len(of_code - valid)) == (result["redriven"], result["expired"])
        self.spent.subtract({one: self.spent[one] for one in valid})
        self.tried |= valid  # a receipt may be about an attempt before it
        moved = self.look("redrive", valid)
        assert valid == moved.keys()

    # -- what must be true --

    def look(self, verb: str, touched: set[str]) -> dict[str, Status]:
        """Look again, and judge what the verb did; returns what moved."""
        before, after = self.seen, self.system.glance([*self.ids(), "0" * 32, "f" * 32])
        self.seen = after
        moved: dict[str, Status] = {}
        for one, record in after.records.items():
            was, to = before.status(one), Status(record["status"])
            if one not in touched:
                assert before.records.get(one) in (record, None) or verb == "resolve", f"{verb} changed {one}"
                assert was is to or verb == "accept"
            if was is to:
                continue
            moved[one] = to
            allowed = set().union(*(MOVES[name] for name in verb.split(" or ") if name in MOVES))
            assert (was, to) in allowed, f"{verb}: {was} to {to}"
            assert was is None or to in MAY_FOLLOW[was]
            assert to not in (SCHEDULED, QUEUED) or not self.is_paused(record.get("batch", "")), "its batch is paused"
            self.moved[f"to:{record['lane']}:{to}"] += 1
        for one in after.records:
            if before.status(one) in FINAL:
                assert before.status(one) is after.status(one)
        return moved

    def nothing_is_in_another_space(self) -> None:
        """The scripts of an account touch no index, count or hold of another one; the suppression list is of all."""
        others = keys.names(keys.space_of("" if self.system.space != HERE else ACCOUNT))
        single = [key for key in vars(others).values() if isinstance(key, str) and key != others.TALLY]
        by_lane = [key for found in vars(others).values() if isinstance(found, dict) for key in found.values()]
        assert 0 == self.system.sync.exists(*single, *by_lane)
        assert {b"suppressed:test"} >= {*self.system.sync.hkeys(others.TALLY)}

    def nothing_is_sent_twice(self) -> None:
        assert not [one for one, times in self.taken.items() if times > 1]

    def nothing_is_lost_or_invented(self) -> None:
        assert set(self.ids()) == self.seen.records.keys()

    def an_id_is_in_the_index_of_its_status_and_in_no_other(self) -> None:
        for one, record in self.seen.records.items():
            status = Status(record["status"])
            own = keys.index_of(status, int(record["lane"]), self.system.space)
            where = [index for index, members in self.seen.indexes.items() if one in members]
            assert ([own] if own else []) == where

    def a_paused_message_is_listed_by_its_batch(self) -> None:
        """And no other is; where it is not, nothing would ever put it back."""
        paused = {one: self.seen.records[one] for one in self.seen.of(PAUSED)}
        assert {f"{record['paused']}:{one}" for one, record in paused.items()} == self.seen.order
        for one, record in paused.items():
            assert batches.digest("", record["batch"]) == record["paused"].partition(":")[0]
            assert self.is_paused(record["batch"]), "its pause has ended"
            assert int(record["expires"]) == self.seen.of(PAUSED)[one]
        noted = {one for one, record in self.seen.records.items() if "paused" in record}
        assert paused.keys() == noted

    def what_leaves_the_plain_path_is_noted(self) -> None:
        """With since when it waits; and only while it waits."""
        noted = {one: record["waiting"] for one, record in self.seen.records.items() if "waiting" in record}
        assert {f"{note}:{one}".encode() for one, note in noted.items()} == set(
            self.system.sync.zrange(self.system.names.WAITING, 0, -1)
        )
        for one, note in noted.items():
            assert f"{since(self.seen.records[one])}" == note.rpartition(":")[2]
            assert self.seen.status(one) in UNSENT
        for one, record in self.seen.records.items():
            put_off = self.seen.status(one) is SCHEDULED and one in self.tried and "redriven" not in record
            assert one in noted or not (put_off or self.seen.status(one) is IN_DOUBT)

    def no_age_is_hidden(self) -> None:
        """Whatever was done to a message, its lane is as old as it is; to within a release that is a little late."""
        lanes = age.read(self.system.sync, self.system.now, space=self.system.space)
        for lane, one in lanes.items():
            ages = {
                name: (self.system.now - since(record)) / 1000
                for name, record in self.seen.records.items()
                if int(record["lane"]) == lane and self.seen.status(name) in UNSENT
            }
            still = [seconds for name, seconds in ages.items() if self.seen.status(name) is not SENDING]
            tolerated = 1 if lane == 1 else 10
            assert max(0, *still, 0) - tolerated <= one.oldest_seconds <= max(0, *ages.values(), 0)

    def a_token_is_there_exactly_while_an_attempt_is(self) -> None:
        tokens = {one: record["token"] for one, record in self.seen.records.items() if "token" in record}
        assert self.holder == tokens
        assert {one for one, record in self.seen.records.items() if SENDING == record["status"]} == tokens.keys()

    def attempts_are_counted_once_each(self) -> None:
        counted = {one: int(record.get("attempt", 0)) for one, record in self.seen.records.items()}
        assert {one: self.spent[one] for one in counted} == counted

    def only_ended_or_sent_messages_expire(self) -> None:
        for one, record in self.seen.records.items():
            assert (Status(record["status"]) in AT_REST | {SENT}) == self.seen.expiring[one], record["status"]

    def every_credit_is_accounted_for(self) -> None:
        by_centre: Counter[str] = Counter()
        for record in self.seen.records.values():
            by_centre[f"charged:{record['lane']}:{record.get('centre', '')}"] += int(record.get("charge", 0))
        assert +by_centre == +Counter({k: v for k, v in self.seen.tally.items() if k.startswith("charged:")})

    def the_counts_agree_with_the_history(self) -> None:
        tally = self.seen.tally
        assert self.moved == Counter({k: v for k, v in tally.items() if k.startswith("to:")})
        assert self.stale == tally.get("stale_settle", 0)
        for lane in keys.LANES:
            of_lane = [one for one in self.drafts if one.message.lane == lane]
            assert len(of_lane) == tally.get(f"accepted:{lane}", 0)
            assert sum(one.message.parts for one in of_lane) == tally.get(f"parts:{lane}", 0)
            assert self.swept[lane] == tally.get(f"swept:{lane}", 0)
        assert self.expired_paused == sum(tally.get(f"expired_paused:{lane}", 0) for lane in keys.LANES)

    def the_rate_is_kept(self) -> None:
        """With any skew of the workers' clocks: a burst at first, then so many a second."""
        if self.first_claim_at is None:
            return
        allowed = self.system.settings.burst
        allowed += (self.furthest_clock - self.first_claim_at) / 1000 * self.system.settings.parts_per_second
        assert self.parts_claimed <= allowed + 0.1
        assert self.seen.rate.get("tokens", 0) >= 0
        assert self.seen.rate.get("asks", 0) >= 0

    @invariant()
    def every_invariant_holds(self) -> None:
        self.nothing_is_in_another_space()
        self.nothing_is_sent_twice()
        self.nothing_is_lost_or_invented()
        self.an_id_is_in_the_index_of_its_status_and_in_no_other()
        self.a_token_is_there_exactly_while_an_attempt_is()
        self.attempts_are_counted_once_each()
        self.only_ended_or_sent_messages_expire()
        self.every_credit_is_accounted_for()
        self.the_counts_agree_with_the_history()
        self.the_rate_is_kept()
        self.a_paused_message_is_listed_by_its_batch()
        self.what_leaves_the_plain_path_is_noted()
        self.no_age_is_hidden()

    def teardown(self) -> None:
        """After any history, healthy workers bring every message to its end, and still only once."""
        self.system.sync.delete(self.system.names.HOLDS, keys.SUPPRESSED)
        for batch in BATCHES:
            self.system.resume(batch)
        self.seen = self.system.glance(self.ids())
        self.in_hand = []
        for pending, took in self.pending:
            pending.answer({one: LookUp(Known.FAILED) for one in took})
        self.seen = self.system.glance(self.ids())
        held_back = {one.message.id for one in self.drafts if one.message.on_doubt == "hold"}
        for _ in range(100):
            self.system.now += 61_000
            self.one_healthy_round()
            self.nothing_is_sent_twice()
            left = [one for one in self.unfinished() if one not in held_back or self.seen.status(one) is not IN_DOUBT]
            if not left:
                return
            if all(self.waits_for_its_end(one) for one in left):
                self.system.now = max(self.system.now, *(int(self.seen.records[one]["expires"]) for one in left))
        raise AssertionError(f"never came to an end: {[self.seen.records[one] for one in self.unfinished()]}")

    def one_healthy_round(self) -> None:
        self.system.lapse()
        self.system.release()
        pending = self.system.start_look_up()
        pending.answer(
            {
                one: LookUp(Known.FOUND, self.gateway_ids[one][-1], "003")
                if self.taken[one]
                else LookUp(Known.NOT_FOUND)
                for one in pending.queried
            }
        )
        for lane in keys.LANES:
            self.tokens += 1
            ids = [one.decode() for one in self.system.sync.zrange(self.system.names.QUEUED[lane], 0, -1)]
            for one in self.system.claim(lane, ids, f"token{self.tokens}").claimed:
                outcome = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=self.gateway_takes(one.id))
                assert [True] == self.system.settle([Settlement(one, outcome, self.system.judge(one, outcome))])
        self.seen = self.system.glance(self.ids())

    def waits_for_its_end(self, message_id: str) -> bool:
        """Return whether it is in doubt after its return: no look-up tells its two attempts apart, a receipt may."""
        record = self.seen.records[message_id]
        return self.seen.status(message_id) is IN_DOUBT and "former_id" in record and "resent" not in record

    def unfinished(self) -> list[str]:
        return [one for one in self.ids() if self.seen.status(one) not in AT_REST | {SENT}]

    # -- small things --

    def ids(self) -> list[str]:
        return [draft.message.id for draft in self.drafts]

    def batch_of(self, message_id: str) -> str:
        return self.seen.records[message_id].get("batch", "")

    def is_paused(self, batch: str) -> bool:
        return batch != "" and batches.digest("", batch) in self.seen.pauses

    def is_suppressed(self, number: str) -> bool:
        """Return whether an entry is in force; the first invalid destinations of a number only count."""
        return any(entry.forbids(self.system.now) for entry in suppression.why(self.system.sync, number))

    def pick(self, pick: int) -> Draft:
        return self.drafts[pick % len(self.drafts)]

    def queued(self) -> list[str]:
        return [one for one in self.ids() if self.seen.status(one) is QUEUED]

    def wait_for(self, status: Status, patient: bool) -> None:
        """Advance the clock to the first of a state's indexes."""
        if patient:
            self.system.now = max(self.system.now, int(min(self.seen.of(status).values())))

    def unsent(self) -> list[Attempt]:
        return [one for one in self.in_hand if one.outcome is None]

    def is_held(self, scope: str, now: int) -> bool:
        hold = self.seen.holds.get(scope)
        if hold is None:
            return False
        ends = json.loads(hold)["until"]
        return ends == 0 or ends > now


@pytest.fixture(scope="module", params=["", ACCOUNT], ids=["default", ACCOUNT])
def system(redis_server: RedisServer, request: pytest.FixtureRequest) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(
        redis_url=redis_server.url,
        account=request.param,
        parts_per_second=2,
        doubt_delays_seconds=(5, 30),
        look_ups_per_second=2,
    )
    made = System(redis_server.port, loop, settings)
    made.can_look_up = True
    yield made
    made.close()
    loop.close()


@pytest.mark.timeout(600 + EXAMPLES)  # a walk that fails is made shorter for up to five minutes
def test_nothing_is_lost_and_nothing_is_sent_twice(system: System, client: redis.Redis) -> None:
    """Examples cover the cases that somebody thought of; a random walk covers the rest, and some of it an account."""
    run_state_machine_as_test(
        lambda: Machine(system),
        settings=settings(
            max_examples=EXAMPLES if system.space == HERE else max(1, EXAMPLES // 4),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
