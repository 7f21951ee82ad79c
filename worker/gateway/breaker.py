"""Breaker: nothing is sent while the gateway does not answer; all workers of an address and account share it.

The breaker is open while ``tl:holds`` has its row, which every claim reads; ``tl:breaker:<fingerprint>`` has the rest.
A process counts failed calls in a row on its own, and reports to Redis only when they open the breaker.

A page of another server is not an outage: the address is wrong, and only this process stops.  So does a process whose
calls fail again as soon as another process gets an answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.worker.gateway.breaking import Breaking, scope_of, trip
from threelane.worker.gateway.outcome import LONGEST_RETRY_AFTER_SECONDS, AttemptOutcome, OutcomeKind
from threelane.worker.gateway.summary import evidence, summary
from threelane.worker.process.settings import WorkerSettings

ANSWERS = frozenset({OutcomeKind.ACCEPTED, OutcomeKind.REFUSED})
"""The outcomes that only the gateway itself produces."""
FAILURES = frozenset({OutcomeKind.LOST, OutcomeKind.UNREADABLE, OutcomeKind.NOT_REACHED})
"""The outcomes without an answer of the gateway; enough of them in a row open the breaker."""
BEHIND_MS = 10_000  # most difference between clocks; a time further ahead is an error
_SAME_MS = 1_000  # calls that failed together name nearly the same time


class Failure(NamedTuple):
    """The failed call that opens the breaker; times in milliseconds."""

    outcome: AttemptOutcome
    in_a_row: int
    began_at: int


class OpenBreaker(msgspec.Struct, frozen=True):
    """The row of an open breaker, as far as a process needs it; times in milliseconds."""

    since: int
    next_probe: int = 0


_read_open = msgspec.json.Decoder(OpenBreaker).decode


class Breaker:
    """The breaker as this process last saw it; both event loops share it."""

    def __init__(
        self,
        settings: WorkerSettings,
        on_open: Callable[[], None] = lambda: None,
        on_fault: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start closed; ``load`` reads the shared state, and ``on_open`` runs each time that the process must stop.

        ``on_fault`` gets each new fault of this process alone, and '' when it is over.
        """
        self.key = keys.breaker(settings.gateway_fingerprint, settings.space)
        self.scope = scope_of(settings.gateway_fingerprint)
        self.opened_at = 0
        """When it opened last, ms; 0: never."""
        self.closed_at = 0
        """When it closed last, ms; 0: never."""
        self.fault = ""
        """Why only this process must not call the gateway; empty: it may."""
        self.process = secrets.token_hex(6)
        """The name of this process among those that share the breaker."""
        self._settings = settings
        self._on_open = on_open
        self._on_fault = on_fault
        self._rng = Random()
        self._is_open = False
        self._next_probe_at = 0
        self._in_a_row = 0
        self._unreported: Failure | None = None
        self._recheck_at, self._recheck_seconds = 0.0, settings.probe_seconds
        self._changes = 0  # of the state by this process

    @property
    def is_open(self) -> bool:
        """Whether this process must not call the gateway."""
        return self._is_open or self.fault != ""

    @property
    def is_shared(self) -> bool:
        """Whether it is open for all workers of the address, not only for this one."""
        return self._is_open

    @property
    def is_suspected(self) -> bool:
        """Whether the last call of this process got no answer: the next ones risk one message each."""
        return self._in_a_row > 0

    @property
    def changes(self) -> int:
        """How often this process changed the state; give it to ``follow`` with what was read after it."""
        return self._changes

    def heed(self, outcomes: Sequence[AttemptOutcome], began_at: int, now: int) -> Failure | None:
        """Count the outcome of one call; returns what to pass to ``report`` if it opens the breaker.

        From then on ``is_open`` is true for this process.  A call that began before the breaker closed proves nothing.
        """
        kinds = {one.kind for one in outcomes}
        if kinds & ANSWERS:
            self._in_a_row = 0
            return None
        if OutcomeKind.WRONG_ADDRESS in kinds:
            self.blame(next(one.text for one in outcomes if one.kind is OutcomeKind.WRONG_ADDRESS))
        failed = max(
            (one for one in outcomes if one.kind in FAILURES), key=lambda one: one.retry_after_seconds, default=None
        )
        if failed is None or began_at < self.closed_at <= now + BEHIND_MS:
            return None
        self._in_a_row += 1
        waits = failed.retry_after_seconds
        if self._is_open and now + 1000 * min(waits, LONGEST_RETRY_AFTER_SECONDS) <= self._next_probe_at + _SAME_MS:
            return None
        if not waits and (self._is_open or self._in_a_row < self._settings.breaker_failures):
            return None
        self._unreported = failure = Failure(failed, self._in_a_row, began_at)
        self._open(now)
        return failure

    def blame(self, text: str) -> None:
        """Stop this process: another server answers at its address."""
        page = evidence(text)
        self._stop_alone(f"{self._settings.gateway_address} is not Clickatell's{page and f' ({page})'}")

    def clear_fault(self) -> None:
        """Let this process continue: the gateway itself answered it."""
        if self.fault:
            logs.event("fault_cleared", level=30, url=self._settings.gateway_address)
        self.fault, self._in_a_row = "", 0
        self._on_fault("")
        self._recheck_at, self._recheck_seconds = 0.0, self._settings.probe_seconds

    def recheck_is_due(self, monotonic: float) -> bool:
        """Return whether a process at fault is to call the gateway now; each wait is twice as long, up to the limit."""
        if monotonic < self._recheck_at:
            return False
        self._recheck_at = monotonic + self._recheck_seconds
        self._recheck_seconds = min(self._settings.most_probe_ms / 1000, 2 * self._recheck_seconds)
        return True

    async def report(self, client: redis.asyncio.Redis, now: int) -> None:
        """Open the breaker for all workers; without Redis it stays open here, and ``follow`` reports it later."""
        failure = self._unreported
        if failure is None:
            return
        outcome = failure.outcome
        try:
            opened_at, next_probe_at = await trip.within(self._settings.space).run(
                client,
                breaker=self.key,
                now=now,
                scope=self.scope,
                code=str(outcome.kind),
                detail=evidence(outcome.text) or str(outcome.kind),
                address=self._settings.gateway_address,
                failures=failure.in_a_row,
                began=failure.began_at,
                process=self.process,
                wait_ms=wait_ms(outcome),
                first_ms=int(self._settings.probe_seconds * 1000),
                most_ms=self._settings.most_probe_ms,
                jitter=self._rng.random(),
            )
        except (RedisError, OSError):
            return
        self._unreported = None
        self._changes += 1
        self._is_open, self._next_probe_at = opened_at > 0, next_probe_at
        if opened_at < 0:
            self._stop_alone(f"only this worker gets no answer from {self._settings.gateway_address}")
        elif opened_at:
            self.opened_at = opened_at
            if opened_at == now:  # otherwise it was open, and at most its next probe moved
                about = {
                    "problem": summary(outcome._replace(text=evidence(outcome.text))),
                    "in_a_row": failure.in_a_row,
                }
                logs.event("breaker_open", level=40, kind=str(outcome.kind), owner="gateway", **about)

    async def load(self, client: redis.asyncio.Redis) -> None:
        """Read the shared state when the process starts."""
        kept = await rows.table_async(client, self.key)
        found = [kept.get(name.encode()) for name in (Breaking.OPENED, Breaking.CLOSED)]
        self.opened_at, self.closed_at = (rows.number(one) for one in found)
        holds = await rows.table_async(client, keys.names(self._settings.space).HOLDS)
        await self.follow(client, holds, self._changes, 0)

    async def follow(self, client: redis.asyncio.Redis, holds: Mapping[bytes, bytes], changes: int, now: int) -> None:
        """Adopt the shared state from the holds, which were read when ``changes`` was current."""
        if self._unreported is not None:
            await self.report(client, now)
            return
        row = holds.get(self.scope.encode())
        key = keys.names(self._settings.space).HOLDS
        found = rows.decode(key, self.scope, row, _read_open) if row is not None else None
        if found is None and self._is_open:
            closed = (await rows.table_async(client, self.key)).get(Breaking.CLOSED.encode())
            if changes == self._changes:
                self._is_open, self._in_a_row = False, 0
                self.closed_at = rows.number(closed) or now
        elif found is not None and changes == self._changes:
            self.opened_at, self._next_probe_at = found.since, found.next_probe
            if not self._is_open:
                self._is_open = True
                self._on_open()

    def _stop_alone(self, fault: str) -> None:
        if not self.fault:
            logs.event("worker_at_fault", level=40, fault=fault, owner="operator")
        self.fault = fault
        self._on_fault(fault)
        self._on_open()

    def _open(self, now: int) -> None:
        self._changes += 1
        if not self._is_open:
            self._is_open, self.opened_at = True, now
            self._on_open()


def wait_ms(outcome: AttemptOutcome) -> int:
    """Return the wait that the gateway requests, at most an hour."""
    return int(1000 * min(outcome.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS))
