"""Context: the connections, settings and state that a worker's duties share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import redis.asyncio

from threelane.contract.window import Windows
from threelane.producer.nudge import Nudger
from threelane.runtime.clock import RedisClock
from threelane.store import keys, missing
from threelane.store.tally import Count
from threelane.worker.gateway.breaker import Breaker
from threelane.worker.gateway.outcome import AttemptOutcome
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.readiness import LOGIN, READINESS
from threelane.worker.process.settings import WorkerSettings


class LastAccepted(NamedTuple):
    """The message that the gateway accepted last; times in milliseconds."""

    id: str
    began_at: int  # before its request left
    answered_at: int  # after its response came


class Sending(Protocol):
    """What duties see of the attempts of one event loop."""

    claimed: int  # messages, since the start
    draining: bool
    windows: Windows
    last_accepted: LastAccepted | None

    async def try_one(self, lane: int, ids: Sequence[str], pass_token: str) -> AttemptOutcome | None:
        """Attempt the first of these messages that may be sent although the breaker is open; None: there is none."""
        ...

    async def attempt(self, lane: int, ids: Sequence[str], on_claim: Callable[[int], None] | None = None) -> bool:
        """Attempt messages of a lane; reports how many were claimed; False: some could not be tried now."""


@dataclass(slots=True, kw_only=True)
class WorkerContext:
    """One worker's connections and settings, and the state that its duties share.

    Each event loop has a copy with its own ``client`` and ``gateway``.
    """

    client: redis.asyncio.Redis
    gateway: Gateway
    settings: WorkerSettings
    clock: RedisClock
    nudger: Nudger
    breaker: Breaker
    lane_1: Sending
    rest: Sending
    fetched_at: int  # when the worker last fetched, ms
    counted: int = 0  # messages claimed by the last beat
    busiest: float = 0.0  # most messages in a second, decaying slowly
    sample_seconds: float = 1.0  # until the sample of visible messages is looked up next
    refused_scopes: frozenset[str] = frozenset()  # the credentials among the holds at the last look
    held_until: int = 0  # the end of the account's hold at the last look, ms; 0: it was not on hold, or without an end
    hurried_at: int = 0  # the closing of the breaker after which doubts were made due, ms

    @property
    def draining(self) -> bool:
        """Whether the worker has stopped claiming and releasing."""
        return self.rest.draining

    @property
    def may_call(self) -> bool:
        """Whether this worker may call the gateway: the breaker is closed, and its login was accepted."""
        return not self.breaker.is_open and LOGIN not in READINESS.reasons

    @property
    def claimed(self) -> int:
        """Messages claimed since the worker started."""
        return self.lane_1.claimed + self.rest.claimed

    async def nudge(self, lanes: Mapping[int, Sequence[str]]) -> None:
        """Publish nudges for ids by lane, lane 1 first."""
        for lane in sorted(lanes):
            await asyncio.to_thread(self.nudger.publish, lane, lanes[lane])
        if unpublished := self.nudger.take_unreported():
            async with self.client.pipeline(transaction=False) as pipe:
                for account, messages in unpublished.items():
                    missing.queue(pipe, Count.UNPUBLISHED, messages, self.clock.now(), keys.space_of(account))
                await pipe.execute()
