"""Engine: the event loops of a worker process, with their connections and the periodic duties."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from redis.exceptions import RedisError

from threelane.producer.nudge import Nudger
from threelane.runtime import logs
from threelane.runtime.clock import RedisClock
from threelane.store import keys
from threelane.store.connect import connect_async
from threelane.worker.account import credentials
from threelane.worker.fetch import look
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway import reach
from threelane.worker.gateway.breaker import Breaker
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process import refusals
from threelane.worker.process.duty import Duty
from threelane.worker.process.pulse import PULSE
from threelane.worker.process.readiness import GATEWAY, LOGIN, READINESS
from threelane.worker.process.rounds import end, repeat
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send import windows
from threelane.worker.send.attempt import Attempts
from threelane.worker.send.blame import Blame
from threelane.worker.send.gate import Gate
from threelane.worker.send.unrecorded import Unrecorded
from threelane.worker.upkeep import beat, credit
from threelane.worker.upkeep.duties import DUTIES

AGAIN_SECONDS = 0.5  # until the next try at the start, while Redis is away
KEPT_FOR_LANE_1 = 8  # one of this many concurrent calls
T = TypeVar("T")


class LoopThread:
    """An event loop on its own thread, with its connections, its attempts and its duties."""

    def __init__(self, name: str) -> None:
        """Start a thread that runs the loop."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"threelane-{name}", daemon=True)
        self._thread.start()
        self._name = name
        PULSE.follow(name, self.loop)
        self._rounds: list[asyncio.Task[None]] = []
        self.is_last = False  # the loop that closes last

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; call it from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def open(
        self,
        settings: WorkerSettings,
        clock: RedisClock,
        gate: Gate,
        breaker: Breaker,
        blame: Blame,
        unrecorded: Unrecorded,
    ) -> None:
        """Open the connections."""
        self.client = connect_async(settings)
        self.gateway: Gateway = gateway(settings, self.client)
        self.attempts = Attempts(
            self.client, self.gateway, settings, clock, LANES, Random(), gate, breaker, blame, unrecorded
        )

    async def begin(self, duties: Sequence[Duty[WorkerContext]], context: WorkerContext) -> None:
        """Start duties, with this loop's connections."""
        is_own = context.client is self.client  # not a copy: `beat` reports what other threads write to it
        own = context if is_own else replace(context, client=self.client, gateway=self.gateway)
        self._rounds = [asyncio.create_task(repeat(duty, own)) for duty in duties]

    async def close(self) -> None:
        """End the duties and close the connections."""
        await end(self._rounds)
        if self.is_last:
            await beat.forget(self.client)
        await self.gateway.close()
        await self.client.aclose()

    def stop(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)
        PULSE.leave(self._name)


def _note_fault(fault: str) -> None:
    """Report a fault of this worker alone at /ready, or that it is over."""
    if fault:
        READINESS.wait(GATEWAY, f"{fault}; correct THREELANE_GATEWAY_URL, or the network of its machine")
    else:
        READINESS.clear(GATEWAY)


class Engine:
    """Runs attempts for the threads of Celery's pool, and the duties of a worker.

    Lane 1 has its own event loop: on a loop busy with a newsletter, each step of a code would wait for a step of every
    message of the newsletter.
    """

    def __init__(self, settings: WorkerSettings, nudger: Nudger, on_failure: Callable[[], None]) -> None:
        """Prepare the engine; ``start`` starts it.  ``on_failure`` ends the process: its own code fails."""
        self._settings = settings
        self._nudger = nudger
        self._clock = RedisClock()
        places = settings.gateway_connections
        self._gate = Gate(places, kept=min(places - 1, -(-places // KEPT_FOR_LANE_1)))
        self._breaker = Breaker(settings, self._gate.dismiss, _note_fault)
        self._blame = Blame(self._fail)
        self._unrecorded = Unrecorded()
        self._on_failure = on_failure
        LANES.share, LANES.threads = settings.lower_lane_share, settings.nudges_at_once

    def start(self) -> None:
        """Start the loops and the duties, and log the worker's identity in one line."""
        self._rest, self._first = LoopThread("loop"), LoopThread("lane-1")
        self._rest.is_last = True
        shared = self._settings, self._clock, self._gate, self._breaker, self._blame, self._unrecorded
        self._first.run(self._first.open(*shared))
        self._rest.run(self._rest.open(*shared))
        self._rest.run(self._open())
        LANES.connecting()
        self._first.run(self._first.begin([one for one in DUTIES if one.on_lane_1], self._context))
        self._rest.run(self._rest.begin([one for one in DUTIES if not one.on_lane_1], self._context))

    def attempt(self, lane: int, ids: Sequence[str]) -> bool:
        """Attempt a nudge's messages from any thread; False: the nudge must go back to its lane."""
        self._context.fetched_at = self._clock.now()
        side = self._first if lane == keys.LANES[0] else self._rest
        with LANES.serving(lane):
            return side.run(side.attempts.attempt(lane, ids))

    def drain(self) -> None:
        """Stop claiming and releasing; attempts under way go on."""
        for side in (self._first, self._rest):
            side.attempts.draining = True

    def _fail(self) -> None:
        """Stop claiming and end the process: three different messages failed, and none was processed between them."""
        self.drain()
        self._on_failure()

    def has_unrecorded(self) -> bool:
        """Return whether calls were cut off, or their results could not be recorded since the drain began."""
        return self._unrecorded.has_any()

    def stop(self) -> None:
        """End the duties and the attempts of looks, and close all connections."""
        for side, looks in ((self._first, look.LANE_1), (self._rest, look.REST)):
            side.run(looks.end(side.client, self._clock.now(), self._settings.space))
            side.run(side.close())
            side.stop()

    async def _open(self) -> None:
        self._context = context = WorkerContext(
            client=self._rest.client,
            gateway=self._rest.gateway,
            settings=self._settings,
            clock=self._clock,
            nudger=self._nudger,
            breaker=self._breaker,
            lane_1=self._first.attempts,
            rest=self._rest.attempts,
            fetched_at=self._clock.now(),
        )
        READINESS.wait(LOGIN, "the gateway has not accepted its credentials yet")
        balance = await self._before_the_first_message(context)
        if (seen := reach.read(balance)).kind is OutcomeKind.WRONG_ADDRESS:
            context.breaker.blame(seen.text)
        logs.event(
            "started",
            gateway=context.gateway.name,
            url=self._settings.gateway_address,
            account=self._settings.login,
            state="; ".join(READINESS.reasons.values()) or "running",
            balance=balance,
            lanes=sorted(LANES.serves),
            parts_per_second=self._settings.parts_per_second,
        )

    async def _before_the_first_message(self, context: WorkerContext) -> float | str:
        """Load what stops claims, and log in; returns the balance, or why it is unknown."""
        await _load_windows(context)
        balance: float | str = "unknown"
        with contextlib.suppress(RedisError):  # Redis may be full; the rounds retry
            await context.breaker.load(context.client)
            balance = await credentials.log_in(context)
            await credit.DUTY.round(context)  # before the first claim, since lower lanes leave credit to higher ones
        return balance


async def _load_windows(context: WorkerContext) -> None:
    """Load the hours of sending, without which nothing may be sent; waits while Redis is away."""
    while True:
        try:
            await windows.look(context)
        except (RedisError, OSError) as failed:
            refusals.REDIS.note(failed)
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return
