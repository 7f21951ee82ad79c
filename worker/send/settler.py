"""Settler: settles attempts whatever happens: again while Redis is away, each alone if our own code fails at one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import redis.asyncio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_exponential

from threelane.runtime.clock import Clock
from threelane.runtime.raised import place_of
from threelane.store import ceiling, keys
from threelane.worker.account.hold import ramp
from threelane.worker.gateway.outcome import NEVER_LEFT, AttemptOutcome
from threelane.worker.policy.rule import RATE_LIMITED
from threelane.worker.process import metrics, refusals
from threelane.worker.process.internal_error import OUTAGES, FaultStep
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.blame import Blame, Fault, blame
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement, settle


class Settler:
    """Records the results of one event loop's attempts, which only this process knows."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: WorkerSettings, clock: Clock, faults: Blame, *, assumes: bool
    ) -> None:
        """Record with one Redis; ``assumes``: the API reports no charges, so an estimate counts as paid."""
        self._client = client
        self._settings = settings
        self._clock = clock
        self._blame = faults
        self._assumes = assumes

    async def blame_for(self, one: Claimed, outcome: AttemptOutcome, step: FaultStep, failed: Exception) -> None:
        """Blame a claimed message for an exception after its call."""
        has_left = getattr(outcome, "kind", None) not in NEVER_LEFT
        fault = Fault(one.id, one.token, step, place_of(failed), has_left)
        with suppress(*OUTAGES):  # then its lease lapses
            await blame(self._client, one.message.lane, [fault], self._settings, self._clock.now())
        self._blame.note([one.id], has_success=False)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[str]:
        """Settle; returns the scopes that are on hold from now.

        If our own code fails at it, each is settled alone, and the message at which it fails is blamed.
        """
        try:
            return await self._settle_together(settlements)
        except OUTAGES:
            raise
        except Exception as failed:
            if len(settlements) == 1:
                await self.blame_for(settlements[0].claimed, settlements[0].outcome, FaultStep.SETTLE, failed)
                return []
            return [scope for one in settlements for scope in await self.settle([one])]

    async def _settle_together(self, settlements: Sequence[Settlement]) -> Sequence[str]:
        """Settle, and retry while Redis is unavailable: only this process knows the results."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(OUTAGES),
            wait=wait_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(self._settings.lease_seconds),
            before_sleep=_note_refusal,
            reraise=True,
        ):
            with attempt:
                settled = await settle(
                    self._client,
                    settlements,
                    self._settings.keeping,
                    self._clock.now(),
                    assumes=self._assumes,
                    is_near=ceiling.was_near(ceiling.TIGHT_SHARE),
                    space=self._settings.space,
                )
        metrics.STALE.inc(settled.each.count(False))
        await self._ramp_up_after_rate_limits(settlements)
        return settled.held

    async def _ramp_up_after_rate_limits(self, settlements: Sequence[Settlement]) -> None:
        """Let the rate grow from the end of a rate limit: the full rate would meet it again, and codes go first."""
        holds = [one.decision.hold for one in settlements if one.decision.hold]
        ends = max((one.until for one in holds if one.cause == RATE_LIMITED.reason), default=0)
        if ends:
            with suppress(*OUTAGES):  # then it starts at the full rate
                await self._client.hset(keys.names(self._settings.space).RATE, mapping=ramp(ends))


def _note_refusal(state: RetryCallState) -> None:
    failed = state.outcome and state.outcome.exception()
    if failed:
        refusals.REDIS.note(failed)
