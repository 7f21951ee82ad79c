"""Engine: one event loop per process, with its Redis, its gateway and its housekeeping."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from redis.exceptions import RedisError

from threelane.contract.window import Windows
from threelane.producer.nudge import Nudger
from threelane.runtime import logs
from threelane.runtime.clock import RedisClock
from threelane.store import keys
from threelane.store.connect import connect, connect_async
from threelane.store.find import Filter
from threelane.worker.account import balance, hold
from threelane.worker.dead.redrive import redrive
from threelane.worker.doubt.lapse import BATCH as LAPSE_BATCH
from threelane.worker.doubt.lapse import lapse
from threelane.worker.doubt.resolve import resolve
from threelane.worker.fetch import reserved
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process import metrics
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.late import BATCH as LATE_BATCH
from threelane.worker.receipt.late import late
from threelane.worker.receipt.poll import poll
from threelane.worker.receipt.stop import stop
from threelane.worker.reply import words
from threelane.worker.reply.reply import tell_halves
from threelane.worker.send.attempt import Attempts
from threelane.worker.send.gate import Gate
from threelane.worker.upkeep import beat
from threelane.worker.upkeep.erase import erase_old
from threelane.worker.upkeep.erase import take_turn as take_turn_to_erase
from threelane.worker.upkeep.expire import expire
from threelane.worker.upkeep.release import BATCH as RELEASE_BATCH
from threelane.worker.upkeep.release import release
from threelane.worker.upkeep.sweep import forget, sweep, take_turn

LOOK_AT_HOLDS_SECONDS = 0.25
LOOK_AT_WINDOWS_SECONDS = 5.0
RELEASE_SECONDS = 0.2
LAPSE_SECONDS = 1.0
LATE_SECONDS = 1.0
ERASE_SECONDS = 60.0  # how often a worker looks whether it is its turn
BALANCE_SECONDS = 1.0  # how often a worker looks whether it is time to read the balance
HALVES_SECONDS = 30.0
RESOLVE_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 60.0
CANCEL_AGAIN_SECONDS = 0.5
KEPT_FOR_LANE_1 = 8  # one in so many of the calls under way
Result = TypeVar("Result")


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11, by which redis-py writes, swallows a cancellation that
    comes as the write is done; and a round that goes on for ever would keep its worker from stopping.
    """
    left = set(tasks)
    while left:
        for one in left:
            one.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


class Side:
    """An event loop on a thread of its own, with its connections, and the attempts that are made on it."""

    def __init__(self, name: str) -> None:
        """Take what is needed; ``start`` begins."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"threelane-{name}", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop, and wait for it; to be called from any other thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def open(self, settings: WorkerSettings, clock: RedisClock, gate: Gate) -> None:
        """Make the connections."""
        self.client = connect_async(settings)
        self.gateway: Gateway = gateway(settings, self.client)
        self.attempts = Attempts(self.client, self.gateway, settings, clock, LANES, Random(), gate)

    async def close(self) -> None:
        """Give the connections back."""
        await self.gateway.close()
        await self.client.aclose()

    def stop(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)


class Engine:
    """Runs attempts for the threads of Celery's pool, and keeps time for everything that waits.

    Lane 1 has an event loop of its own: on one that is busy with a newsletter, each step of a code would wait for a
    step of every message of it.
    """

    def __init__(self, settings: WorkerSettings, nudger: Nudger) -> None:
        """Take what is needed; ``start`` begins."""
        self._settings = settings
        self._nudger = nudger
        self._clock = RedisClock()
        places = settings.gateway_connections
        self._gate = Gate(places, kept=min(places - 1, -(-places // KEPT_FOR_LANE_1)))
        self._fetched_at = self._clock.now()
        self._beaten = 0
        self._busiest = 0.0
        self._rounds: list[asyncio.Task[None]] = []
        self._words = words.load(settings.words_file)
        LANES.share, LANES.threads = settings.lower_lane_share, settings.nudges_at_once

    def start(self) -> None:
        """Start the loops and the housekeeping, and say in one log line who we are."""
        self._rest, self._first = Side("loop"), Side("lane-1")
        self._first.run(self._first.open(self._settings, self._clock, self._gate))
        self._rest.run(self._open())

    def attempt(self, lane: int, ids: Sequence[str]) -> bool:
        """Attempt a nudge's messages from any thread; False: the nudge has to go back to its lane."""
        self._fetched_at = self._clock.now()
        side = self._first if lane == keys.LANES[0] else self._rest
        return side.run(side.attempts.attempt(lane, ids))

    def drain(self) -> None:
        """Claim and release nothing new; what is under way goes on."""
        for side in (self._first, self._rest):
            side.attempts.draining = True

    def stop(self) -> None:
        """End the housekeeping and give all connections back."""
        self._first.run(self._first.close())
        self._rest.run(self._close())
        for side in (self._first, self._rest):
            side.stop()

    async def _open(self) -> None:
        settings = self._settings
        await self._rest.open(settings, self._clock, self._gate)
        self._client, self._gateway = self._rest.client, self._rest.gateway
        rounds: dict[Callable[[], Awaitable[bool]], float] = {
            self._look_at_holds: LOOK_AT_HOLDS_SECONDS,
            self._look_at_lane_1: LOOK_AT_HOLDS_SECONDS,
            self._look_at_windows: LOOK_AT_WINDOWS_SECONDS,
            self._release: RELEASE_SECONDS,
            self._lapse: LAPSE_SECONDS,
            self._resolve: RESOLVE_SECONDS,
            self._sweep: settings.sweep_seconds,
            self._beat: beat.BEAT_SECONDS,
            self._keep_alive: KEEP_ALIVE_SECONDS,
            self._poll: RESOLVE_SECONDS,
            self._balance: BALANCE_SECONDS,
            self._late: LATE_SECONDS,
            self._stop: LATE_SECONDS,
            self._tell_halves: HALVES_SECONDS,
            self._erase: ERASE_SECONDS,
        }
        await self._look_at_windows()  # before the first message
        with contextlib.suppress(RedisError):  # one that has no room left; the rounds go on trying
            await self._balance()  # for lanes that leave some of it to others
            if await hold.lift_for(self._client, settings.fingerprint, self._clock.now()):
                logs.event("resumed", level=30, credentials="others")
        self._rounds = [asyncio.create_task(self._repeat(work, pause)) for work, pause in rounds.items()]
        logs.event(
            "started",
            gateway=self._gateway.name,
            url=settings.gateway_address,
            account=settings.account,
            balance=await self._gateway.balance(),
            lanes=list(keys.LANES),
            parts_per_second=settings.parts_per_second,
        )

    async def _close(self) -> None:
        await end(self._rounds)
        await self._rest.close()

    async def _repeat(self, work: Callable[[], Awaitable[bool]], pause: float) -> None:
        """Do a round of work again and again; more work waiting: at once, Redis away: later."""
        while True:
            more = False
            try:
                await self._follow_the_clock()
                more = await work()
            except Exception as failed:  # a round may fail, whatever the reason; the rounds must not end
                name = work.__name__.strip("_")
                metrics.HOUSEKEEPING_FAILED.labels(name).inc()
                logs.event("housekeeping_failed", level=30, round=name, error=type(failed).__name__)
                await asyncio.sleep(1.0)
            if not more:
                await asyncio.sleep(pause)

    async def _follow_the_clock(self) -> None:
        if self._clock.is_stale():
            asked_at = self._clock.monotonic()
            self._clock.follow(await self._client.time(), asked_at)

    async def _look_at_holds(self) -> bool:
        entries: Any = await self._client.hgetall(keys.HOLDS)
        held = hold.decode(entries, self._clock.now())
        LANES.hold(lane for lane in keys.LANES if "account" in held or f"lane:{lane}" in held)
        return False

    async def _look_at_lane_1(self) -> bool:
        if LANES.consumed != {keys.LANES[0]}:
            LANES.spared = await reserved.keeps_up(self._client, self._clock.now())
        elif not self._rest.attempts.draining:
            await reserved.sign(self._client, self._settings.worker_name)
        return False

    async def _look_at_windows(self) -> bool:
        entries: Any = await self._client.hgetall(keys.WINDOWS)
        windows = Windows.decode(entries)
        if windows.unreadable and windows.unreadable != self._rest.attempts.windows.unreadable:
            logs.event("windows_unreadable", level=40, scopes=sorted(windows.unreadable), owner="operator")
        self._rest.attempts.windows = windows  # lane 1 has none
        return False

    async def _beat(self) -> bool:
        lanes, before = sorted(LANES.consumed), self._beaten
        claimed = self._beaten = self._first.attempts.claimed + self._rest.attempts.claimed
        self._busiest = max(self._busiest * 0.99, (claimed - before) / beat.BEAT_SECONDS)  # slowly forgotten
        report = beat.Report(lanes, self._fetched_at, self._settings.parts_per_second, self._busiest)
        await beat.beat(self._client, self._settings.worker_name, report, self._clock.now())
        return False

    async def _keep_alive(self) -> bool:
        await self._gateway.keep_alive()
        return False

    async def _release(self) -> bool:
        if self._rest.attempts.draining:
            return False
        released = await release(self._client, self._clock.now())
        for lane, ids in sorted(released.items()):
            metrics.RELEASED.labels(lane).inc(len(ids))
        await self._nudge(released)
        return sum(map(len, released.values())) == RELEASE_BATCH

    async def _nudge(self, lanes: Mapping[int, Sequence[str]]) -> None:
        for lane in sorted(lanes):
            await asyncio.to_thread(self._nudger.publish, lane, lanes[lane])

    async def _resolve(self) -> bool:
        if self._rest.attempts.draining:
            return False
        asked, again = await resolve(self._client, self._gateway, self._settings, self._clock.now())
        await self._nudge(again)
        return asked > 0

    async def _sweep(self) -> bool:
        if self._rest.attempts.draining or not await take_turn(self._client, self._settings):
            return False
        await forget(self._client, self._settings, self._clock.now())
        depths = await asyncio.to_thread(self._nudger.depths)
        lost = await sweep(self._client, depths, self._settings, self._clock.now())
        for lane, ids in lost.items():
            metrics.SWEPT.labels(lane).inc(len(ids))
        await self._nudge(lost)
        return False

    async def _balance(self) -> bool:
        if self._rest.attempts.draining:
            return False
        if not await balance.read(self._client, self._gateway, self._settings, self._clock.now()):
            return False
        if self._settings.on_credit == "auto":  # before the hold is lifted: if we die here, the next to look does both
            await asyncio.to_thread(self._redrive, balance.NO_CREDIT_CODES, self._clock.now())
        await balance.lift(self._client, self._clock.now())
        return False

    def _redrive(self, codes: Sequence[str], now: int) -> None:
        with connect(self._settings) as client:  # it happens after a top-up alone
            for code in codes:
                redrive(client, self._nudger, Filter(code=code), now)

    async def _poll(self) -> bool:
        if self._rest.attempts.draining:
            return False
        return await poll(self._client, self._gateway, self._settings, self._clock.now()) > 0

    async def _late(self) -> bool:
        return len(await late(self._client, self._clock.now())) == LATE_BATCH

    async def _stop(self) -> bool:
        if self._rest.attempts.draining:
            return False
        return await stop(self._client, self._gateway, self._settings, self._clock.now()) > 0

    async def _tell_halves(self) -> bool:
        return await tell_halves(self._client, self._words, self._clock.now()) > 0

    async def _erase(self) -> bool:
        if not self._rest.attempts.draining and await take_turn_to_erase(self._client):
            await expire(self._client, self._settings.retention_ms, self._clock.now())
            await erase_old(self._client, self._settings, self._clock.now())
        return False

    async def _lapse(self) -> bool:
        first_probe_ms = int(self._settings.doubt_delays_seconds[0] * 1000)
        lapsed = await lapse(self._client, first_probe_ms, self._clock.now())
        metrics.LAPSED.inc(len(lapsed))
        return len(lapsed) == LAPSE_BATCH
