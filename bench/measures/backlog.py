"""Backlog: rows 5, 7 and 8: a million messages wait in lane 3: latency of lane 1, memory and CPU."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench.bench import BenchContext
from bench.results import BenchRow, percentile
from bench.run import MICRO, IntakeRun
from bench.systems import Threelane
from threelane.store import keys

SMALL_ROUNDS = 3
MOST_P99_MS = 250.0
START_SECONDS = 5.0  # of a second worker
RESERVED = "one worker, and one for lane 1 only"
MOST_BYTES = 700
MOST_GROWTH = 1.15  # tolerance between two runs


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds per message, of accepting and of sending; when both run at once, Redis counts for sending."""

    accept: float
    send: float

    @property
    def both(self) -> float:
        """Return the sum."""
        return self.accept + self.send


def measure(bench: BenchContext) -> None:
    """Fill lane 3 without a worker, then start one, and send through lane 1 beside the backlog."""
    sizes = bench.sizes
    with Threelane(bench.folder, bench.gateway, workers=1) as system:
        with bench.steps.step("lane 1, idle"):
            system.run("bulk", sizes.warm, latency_ms=0)
            idle = _paced(bench, system)
        small = [_small(bench, system) for _ in range(SMALL_ROUNDS)]
        system.processes.pop("worker 1").stop()
        with bench.steps.step(f"accepting {sizes.backlog:,} for lane 3"):
            empty = system.bytes_used()
            accepted = system.accept("bulk", sizes.backlog)
            each = (system.bytes_used() - empty) / sizes.backlog
        with bench.steps.step(f"lane 1 beside {sizes.backlog:,}"):
            system.add_worker(2)
            _wait_for_progress(system)
            beside = _paced(bench, system)
        with bench.steps.step("the same with a worker for lane 1 only"):
            system.add_worker(3, "--lanes", "1")
            time.sleep(START_SECONDS)
            reserved = _paced(bench, system)
            system.processes.pop("worker 3").stop()
        with bench.steps.step(f"CPU of sending beside {sizes.backlog:,}"):
            cost = Cost(accepted.cost("producer", "redis"), _sending(system, sizes.window_seconds))
    _add_rows(bench, idle, beside, reserved, small, cost, each, accepted)


def _paced(bench: BenchContext, system: Threelane) -> list[float]:
    """Send single messages in lane 1 at an even pace; return the ms from each call to its arrival at the gateway."""
    sizes = bench.sizes
    system.gateway.set(latency_ms=0)
    command = ["paced", sizes.paced, sizes.paced_per_second]
    called = system.processes["producer"].request(command, 600)["called"]
    deadline = time.monotonic() + 60
    while len(arrivals := system.gateway.arrivals()) < len(called) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [arrivals[one] - at for one, at in called.items() if one in arrivals] + [float("inf")] * (
        len(called) - len(arrivals)
    )


def _small(bench: BenchContext, system: Threelane) -> Cost:
    """Return the cost of a few messages, from the first accepted to the last settled."""
    with bench.steps.step(f"CPU of {bench.sizes.small:,} messages"):
        run = system.run("bulk", bench.sizes.small, latency_ms=0)
    return Cost(run.cost("producer"), run.cost("worker", "redis"))


def _wait_for_progress(system: Threelane) -> None:
    """Wait until a started worker settles messages."""
    deadline, queued = time.monotonic() + 60, system.redis.zcard(keys.QUEUED[3])
    while system.redis.zcard(keys.QUEUED[3]) == queued:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker settles no messages; its logs are in {system.folder}")
        time.sleep(0.1)


def _sending(system: Threelane, seconds: float) -> float:
    """Return the cost of sending a message while a worker drains lane 3 and nothing else runs."""
    system.gateway.set(latency_ms=0)
    before = system.cpu()
    time.sleep(seconds)
    used, sent = system.cpu() - before, system.gateway.counts()["accepted"]
    return used.total("worker", "redis") / max(1, sent) * MICRO


def _add_rows(
    bench: BenchContext,
    idle: list[float],
    beside: list[float],
    reserved: list[float],
    small: list[Cost],
    cost: Cost,
    each: float,
    accepted: IntakeRun,
) -> None:
    few = statistics.median(one.both for one in small)
    waiting = f"{bench.sizes.backlog:,}"
    bench.results.rows += [
        *(_lane_1(workers, waiting, times, idle) for workers, times in (("one worker", beside), (RESERVED, reserved))),
        BenchRow(
            7,
            f"Redis memory of a waiting message of 100 characters ({waiting})",
            f"{MOST_BYTES} bytes",
            f"{each:,.0f} bytes",
            each <= MOST_BYTES,
        ),
        BenchRow(
            8,
            f"CPU per message (producer, worker, redis), {waiting} against {bench.sizes.small:,}, HTTP API",
            f"linear: {MOST_GROWTH:.2f} x at most",
            f"{cost.both / few:.2f} x: {cost.both:,.0f} us against {few:,.0f} us",
            cost.both <= MOST_GROWTH * few,
        ),
    ]
    bench.results.notes.append(
        f"{waiting} messages were accepted at {accepted.rate:,.0f}/s by one producer without a worker."
    )


def _lane_1(workers: str, waiting: str, times: list[float], idle: list[float]) -> BenchRow:
    busy, alone = percentile(times, 0.99), percentile(idle, 0.99)
    return BenchRow(
        5,
        f"lane 1 beside {waiting} in lane 3, {workers}, HTTP API, 0 ms: 99th percentile accept to gateway",
        f"2 x idle, below {MOST_P99_MS:.0f} ms",
        f"{busy / alone:.1f} x: {busy:.0f} ms, idle {alone:.0f} ms "
        f"(medians {statistics.median(times):.0f} and {statistics.median(idle):.0f} ms)",
        busy <= 2 * alone and busy < MOST_P99_MS,
    )
