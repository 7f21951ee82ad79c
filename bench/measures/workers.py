"""Workers: row 9: throughput with 1, 2 and 4 worker processes, and whose cores they share."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from itertools import pairwise

from bench.bench import Bench
from bench.results import Row
from bench.run import Run
from bench.sides import Threelane

COUNTS = (1, 2, 4)
GROWS = 1.1  # less than this is no growth


def measure(bench: Bench) -> None:
    """Run each number of workers in turn, without receipts."""
    runs: dict[int, list[Run]] = defaultdict(list)
    sides = {count: Threelane(bench.folder, bench.double, bench.pools.bulk_api, workers=count) for count in COUNTS}
    for _ in range(bench.sizes.rounds - 1 or 1):
        for count, side in sides.items():
            with bench.steps.step(f"{count} workers"), side:
                side.run("bulk", count * bench.sizes.warm)
                runs[count].append(side.run("bulk", bench.sizes.workers))
            sides[count] = Threelane(bench.folder, bench.double, bench.pools.bulk_api, workers=count)
    rates = {count: statistics.median(run.rate for run in each) for count, each in runs.items()}
    shares = {count: _shares(each) for count, each in runs.items()}
    ends = _ends(rates)
    bench.results.rows.append(
        Row(
            9,
            f"workers 1, 2, 4 processes, {bench.pools.bulk_api.upper()} API, 50 ms, no receipts",
            "told",
            ", ".join(f"{count}: {rate:,.0f}/s" for count, rate in rates.items())
            + f"; stops growing at {ends}: {_why(shares[ends])}",
        )
    )
    for count, share in shares.items():
        told = ", ".join(f"{kind} {part:.0%}" for kind, part in share.items())
        bench.results.notes.append(f"Share of a core with {count} workers: {told}.")


def _shares(runs: list[Run]) -> dict[str, float]:
    """Return the median share of a core of each kind of process, the largest first."""
    kinds = runs[0].cpu
    shares = {kind: statistics.median(run.shares()[kind] for run in runs) for kind in kinds}
    return dict(sorted(shares.items(), key=lambda entry: -entry[1]))


def _ends(rates: dict[int, float]) -> int:
    """Return the first number of workers after which more bring no more."""
    counts = sorted(rates)
    for count, more in pairwise(counts):
        if rates[more] < GROWS * rates[count]:
            return count
    return counts[-1]


def _why(shares: dict[str, float]) -> str:
    """Say what is used up."""
    cores, used = len(os.sched_getaffinity(0)), sum(shares.values())
    most, part = next(iter(shares.items()))
    if used > 0.85 * cores:
        return f"{used:.0%} of {cores} cores' {cores:.0%} are used, most by {most} ({part:.0%})"
    if shares.get("redis", 0) > 0.85:
        return f"Redis has one core ({shares['redis']:.0%})"
    return f"{used:.0%} of {cores:.0%} are used, most by {most} ({part:.0%}); the rest is waited for, or others' work"
