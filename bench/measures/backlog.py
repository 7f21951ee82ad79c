"""Backlog: rows 5, 7 and 8: a million messages wait in lane 3: lane 1 beside them, their memory, their CPU."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench.bench import Bench
from bench.results import Row, percentile
from bench.run import MICRO, Taken
from bench.sides import Threelane
from threelane.store import keys

SMALL_ROUNDS = 3
MOST_P99_MS = 250.0
START_SECONDS = 5.0  # of a second worker
RESERVED = "one worker, and one for lane 1 alone"
MOST_BYTES = 700
MOST_GROWTH = 1.15  # what two runs may differ by


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a message, of accepting and of sending; where both go on at once, Redis counts for sending."""

    accept: float
    send: float

    @property
    def both(self) -> float:
        """Return the sum."""
        return self.accept + self.send


def measure(bench: Bench) -> None:
    """Fill lane 3 while no worker runs, then start one, and send through lane 1 beside it."""
    sizes = bench.sizes
    with Threelane(bench.folder, bench.double, workers=1) as side:
        with bench.steps.step("lane 1, idle"):
            side.run("bulk", sizes.warm, latency_ms=0)
            idle = _paced(bench, side)
        small = [_small(bench, side) for _ in range(SMALL_ROUNDS)]
        side.processes.pop("worker 1").stop()
        with bench.steps.step(f"accepting {sizes.backlog:,} for lane 3"):
            empty = side.bytes_used()
            taken = side.accept("bulk", sizes.backlog)
            each = (side.bytes_used() - empty) / sizes.backlog
        with bench.steps.step(f"lane 1 beside {sizes.backlog:,}"):
            side.add_worker(2)
            _until_it_works(side)
            beside = _paced(bench, side)
        with bench.steps.step("the same with a worker for lane 1 alone"):
            side.add_worker(3, "--lanes", "1")
            time.sleep(START_SECONDS)
            reserved = _paced(bench, side)
            side.processes.pop("worker 3").stop()
        with bench.steps.step(f"CPU of sending beside {sizes.backlog:,}"):
            cost = Cost(taken.cost("producer", "redis"), _sending(side, sizes.window_seconds))
    _told(bench, idle, beside, reserved, small, cost, each, taken)


def _paced(bench: Bench, side: Threelane) -> list[float]:
    """Send singles of lane 1 at an even pace; return for each the ms from the call to its arrival at the gateway."""
    sizes = bench.sizes
    side.double.set(latency_ms=0)
    command = ["paced", sizes.paced, sizes.paced_per_second]
    called = side.processes["producer"].ask(command, 600)["called"]
    deadline = time.monotonic() + 60
    while len(arrivals := side.double.arrivals()) < len(called) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [arrivals[one] - at for one, at in called.items() if one in arrivals] + [float("inf")] * (
        len(called) - len(arrivals)
    )


def _small(bench: Bench, side: Threelane) -> Cost:
    """Return what a few messages cost, from the first accept to the last settled."""
    with bench.steps.step(f"CPU of {bench.sizes.small:,} messages"):
        run = side.run("bulk", bench.sizes.small, latency_ms=0)
    return Cost(run.cost("producer"), run.cost("worker", "redis"))


def _until_it_works(side: Threelane) -> None:
    """Wait until a worker that was started settles messages."""
    deadline, queued = time.monotonic() + 60, side.redis.zcard(keys.QUEUED[3])
    while side.redis.zcard(keys.QUEUED[3]) == queued:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker does nothing; logs are in {side.folder}")
        time.sleep(0.1)


def _sending(side: Threelane, seconds: float) -> float:
    """Return what sending a message costs while lane 3 is worked on, and nothing else is done."""
    side.double.set(latency_ms=0)
    before = side.cpu()
    time.sleep(seconds)
    used, sent = side.cpu() - before, side.double.counts()["taken"]
    return used.of("worker", "redis") / max(1, sent) * MICRO


def _told(
    bench: Bench,
    idle: list[float],
    beside: list[float],
    reserved: list[float],
    small: list[Cost],
    cost: Cost,
    each: float,
    taken: Taken,
) -> None:
    few = statistics.median(one.both for one in small)
    waiting = f"{bench.sizes.backlog:,}"
    bench.results.rows += [
        *(_lane_1(who, waiting, times, idle) for who, times in (("one worker", beside), (RESERVED, reserved))),
        Row(
            7,
            f"Redis memory of a waiting message of 100 characters ({waiting})",
            f"{MOST_BYTES} bytes",
            f"{each:,.0f} bytes",
            each <= MOST_BYTES,
        ),
        Row(
            8,
            f"CPU a message (producer, worker, redis), {waiting} against {bench.sizes.small:,}, HTTP API",
            f"linear: {MOST_GROWTH:.2f} x at most",
            f"{cost.both / few:.2f} x: {cost.both:,.0f} us against {few:,.0f} us",
            cost.both <= MOST_GROWTH * few,
        ),
    ]
    bench.results.notes.append(f"{waiting} were accepted at {taken.rate:,.0f}/s by one producer while no worker ran.")


def _lane_1(who: str, waiting: str, times: list[float], idle: list[float]) -> Row:
    busy, alone = percentile(times, 0.99), percentile(idle, 0.99)
    return Row(
        5,
        f"lane 1 beside {waiting} in lane 3, {who}, HTTP API, 0 ms: 99th percentile accept to gateway",
        f"2 x idle, below {MOST_P99_MS:.0f} ms",
        f"{busy / alone:.1f} x: {busy:.0f} ms, idle {alone:.0f} ms "
        f"(medians {statistics.median(times):.0f} and {statistics.median(idle):.0f} ms)",
        busy <= 2 * alone and busy < MOST_P99_MS,
    )
