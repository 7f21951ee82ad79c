"""Doubt world: the real scripts on a real Redis, a simulated gateway with an index of look-ups, and a clock of ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from tests.properties.system import System
from threelane.store import keys
from threelane.store.states import Status
from threelane.store.visibility import Visibility
from threelane.worker.doubt.hurry import hurry
from threelane.worker.doubt.proof import MARGIN_MS
from threelane.worker.doubt.resolve import resolve
from threelane.worker.doubt.sample import sample
from threelane.worker.gateway.context import LastAccepted
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

SECOND = 1_000


class Fate(StrEnum):
    """What happens to a request."""

    ACCEPTED = "accepted"
    LOST_BEFORE = "lost_before"  # the connection is cut before the gateway has the request
    LOST_AFTER = "lost_after"  # it has accepted the message, and its response is lost
    REFUSED = "refused"  # code 901
    REFUSED_AFTER = "refused_after"  # code 901, although it has accepted the message
    DIED = "died"  # its worker dies before the request leaves
    DIED_AFTER = "died_after"  # its worker dies when the gateway has accepted the message


TAKES = {Fate.ACCEPTED, Fate.LOST_AFTER, Fate.REFUSED_AFTER, Fate.DIED_AFTER}
ACCEPTED = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
OUTCOMES = {
    Fate.ACCEPTED: ACCEPTED,
    Fate.LOST_BEFORE: AttemptOutcome(OutcomeKind.LOST),
    Fate.LOST_AFTER: AttemptOutcome(OutcomeKind.LOST),
    Fate.REFUSED: AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"),
    Fate.REFUSED_AFTER: AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"),
}


class Found(NamedTuple):
    """A look-up that the gateway has answered."""

    at: int
    message: str
    is_found: bool


class SimulatedGateway:
    """Accepts messages and finds them in the order of acceptance, after a lag; what it hides it never finds."""

    can_look_up = True
    look_ups_per_request = 1

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.lag_ms = 0
        self.hides = False
        self.copies: dict[str, list[int]] = defaultdict(list)  # id -> when each copy was accepted
        self.hidden: set[str] = set()  # ids of which it hides a copy
        self.look_ups: list[Found] = []
        self._visible: dict[str, int] = {}
        self._latest_visible = 0

    def accept(self, message_id: str) -> None:
        self.copies[message_id].append(self._now())
        if self.hides:
            self.hidden.add(message_id)
        else:
            self._latest_visible = max(self._latest_visible, self._now() + self.lag_ms)
            self._visible.setdefault(message_id, self._latest_visible)

    async def look_up(self, message_id: str) -> LookUp:
        is_found = self._visible.get(message_id, self._now() + 1) <= self._now()
        self.look_ups.append(Found(self._now(), message_id, is_found))
        return LookUp(Known.FOUND, "g" * 32, "003", 800_000) if is_found else LookUp(Known.NOT_FOUND)

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        return [await self.look_up(one) for one in message_ids]


class DoubtWorld:
    """One worker's rounds, one after the other, in a time that only ``tick`` moves."""

    def __init__(self, system: System) -> None:
        system.empty()
        self.system = system
        system.can_look_up = True
        self.gateway = SimulatedGateway(lambda: system.now)
        self.fate: Callable[[str], Fate] = lambda _: Fate.ACCEPTED
        self.opened_at = self.closed_at = 0
        self.is_open = False
        self.latest: LastAccepted | None = None
        self.began: dict[str, int] = {}  # the request of an accepted message
        self.ended: dict[str, int] = {}  # the last request without a known answer
        self.arrived: dict[str, int] = {}  # when the gateway first accepted it
        self.resent: list[str] = []
        self.unproven: list[str] = []  # resent without a proof
        self.visibility = Visibility()
        self._ids: list[str] = []
        self._tokens = 0

    def send(self, number: int = 1, **fields: object) -> list[str]:
        """Accept messages; the next round sends them."""
        drafts = [self.system.draft(**{"lane": 1, **fields}) for _ in range(number)]
        self.system.accept(drafts)
        ids = [draft.message.id for draft in drafts]
        self._ids += ids
        return ids

    def tick(self, milliseconds: int = 500) -> None:
        """Move the clock, and do what workers do: release, lapse, measure, look up, send."""
        self.system.now += milliseconds
        self.system.release()
        for one in self.system.lapse():
            self.ended[one] = self.system.now
        if self.is_open:
            return
        self.measure()
        for lane in keys.LANES:
            self.resolve(lane)
        for lane in keys.LANES:
            self.attempt(lane)

    def run(self, seconds: float, milliseconds: int = 500) -> None:
        for _ in range(int(seconds * SECOND / milliseconds)):
            self.tick(milliseconds)

    def open(self) -> None:
        self.is_open, self.opened_at = True, self.system.now

    def close(self) -> None:
        self.is_open, self.closed_at = False, self.system.now
        self.system.run(hurry(self.system.client, self.system.now, self.system.now))

    def measure(self) -> None:
        longest_ms = int(sum(self.system.settings.doubt_delays_seconds) * SECOND)
        self.visibility = self.system.run(
            sample(self.system.client, self.gateway, self.latest, longest_ms, self.opened_at, self.system.now)
        )

    def resolve(self, lane: int) -> int:
        """Look up what is due in a lane; returns how many were taken."""
        system = self.system
        before = {one: system.sync.hget(keys.record(one), "retry") for one in self.ended}
        proven = {one: self.is_proven(one) for one in self.ended}
        taken, again = system.run(
            resolve(system.client, self.gateway, system.settings, lane, system.now, self.opened_at, self.closed_at)
        )
        for one in (one for ids in again.values() for one in ids):
            if before[one] is None:
                self.resent.append(one)
                if not proven[one]:
                    self.unproven.append(one)
        return taken

    def is_proven(self, message_id: str) -> bool:
        """Return whether a 104 requested now may count, by what the gateway has answered until now."""
        since, now = self.ended[message_id], self.system.now
        if now - since >= sum(self.system.settings.doubt_delays_seconds) * SECOND:
            return True
        return any(
            one.is_found and one.at > self.opened_at and self.began.get(one.message, 0) > since + MARGIN_MS
            for one in self.gateway.look_ups
        )

    def attempt(self, lane: int) -> None:
        """Claim and send everything that is queued in a lane."""
        ids = [one.decode() for one in self.system.sync.zrange(keys.QUEUED[lane], 0, 98)]
        if not ids:
            return
        self._tokens += 1
        settlements = []
        for one in self.system.claim(lane, ids, f"token{self._tokens}").claimed:
            fate = self.fate(one.id)
            if fate in TAKES:
                self.gateway.accept(one.id)
                self.arrived.setdefault(one.id, self.system.now)
            if outcome := OUTCOMES.get(fate):
                settlements.append(self._settlement(one, outcome))
            self._note(one.id, fate)
        if settlements:
            self.system.settle(settlements)

    def _settlement(self, claimed: Claimed, outcome: AttemptOutcome) -> Settlement:
        return Settlement(claimed, outcome, self.system.judge(claimed, outcome))

    def _note(self, message_id: str, fate: Fate) -> None:
        now = self.system.now
        if fate is Fate.ACCEPTED:
            self.began[message_id] = now
            self.latest = LastAccepted(message_id, now, now)
        else:
            self.ended[message_id] = now

    def statuses(self) -> dict[str, Status]:
        with self.system.sync.pipeline() as pipe:
            for one in self._ids:
                pipe.hget(keys.record(one), "status")
            return dict(zip(self._ids, (Status(one.decode()) for one in pipe.execute()), strict=True))

    def record(self, message_id: str) -> dict[str, str]:
        return self.system.glance([message_id]).records[message_id]

    @property
    def most_copies(self) -> int:
        return max(map(len, self.gateway.copies.values()), default=0)

    @property
    def twice(self) -> list[str]:
        return [one for one, copies in self.gateway.copies.items() if len(copies) > 1]
