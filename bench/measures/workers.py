"""Workers: row 9: throughput with 1, 2 and 4 worker processes, and the share of a core of each kind of process."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from itertools import pairwise

from bench.bench import BenchContext
from bench.results import NO_TARGET, BenchRow
from bench.run import Run
from bench.systems import Threelane

COUNTS = (1, 2, 4)
GROWS = 1.1  # a smaller factor is not growth


def measure(bench: BenchContext) -> None:
    """Run each number of workers in turn, without receipts."""
    runs: dict[int, list[Run]] = defaultdict(list)
    systems = {count: Threelane(bench.folder, bench.gateway, bench.pools.bulk_api, workers=count) for count in COUNTS}
    for _ in range(bench.sizes.rounds - 1 or 1):
        for count, system in systems.items():
            with bench.steps.step(f"{count} workers"), system:
                system.run("bulk", count * bench.sizes.warm)
                runs[count].append(system.run("bulk", bench.sizes.workers))
            systems[count] = Threelane(bench.folder, bench.gateway, bench.pools.bulk_api, workers=count)
    rates = {count: statistics.median(run.rate for run in each) for count, each in runs.items()}
    shares = {count: _shares(each) for count, each in runs.items()}
    ends = _ends(rates)
    bench.results.rows.append(
        BenchRow(
            9,
            f"workers 1, 2, 4 processes, {bench.pools.bulk_api.upper()} API, 50 ms, no receipts",
            NO_TARGET,
            ", ".join(f"{count}: {rate:,.0f}/s" for count, rate in rates.items())
            + f"; stops growing at {ends}: {_limit(shares[ends])}",
        )
    )
    for count, share in shares.items():
        listed = ", ".join(f"{kind} {part:.0%}" for kind, part in share.items())
        bench.results.notes.append(f"Share of a core with {count} workers: {listed}.")


def _shares(runs: list[Run]) -> dict[str, float]:
    """Return the median share of a core of each kind of process, the largest first."""
    kinds = runs[0].cpu
    shares = {kind: statistics.median(run.shares()[kind] for run in runs) for kind in kinds}
    return dict(sorted(shares.items(), key=lambda entry: -entry[1]))


def _ends(rates: dict[int, float]) -> int:
    """Return the first number of workers after which throughput stops growing."""
    counts = sorted(rates)
    for count, more in pairwise(counts):
        if rates[more] < GROWS * rates[count]:
            return count
    return counts[-1]


def _limit(shares: dict[str, float]) -> str:
    """Return the resource that limits the throughput."""
    cores, used = len(os.sched_getaffinity(0)), sum(shares.values())
    most, part = next(iter(shares.items()))
    if used > 0.85 * cores:
        return f"{used:.0%} of {cores} cores' {cores:.0%} are used, most by {most} ({part:.0%})"
    if shares.get("redis", 0) > 0.85:
        return f"Redis uses a whole core ({shares['redis']:.0%})"
    return f"{used:.0%} of {cores:.0%} are used, most by {most} ({part:.0%}); the rest is waiting, or other programs"
