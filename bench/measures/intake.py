"""Intake: rows 3 and 4: the rate of accepting messages, one call each or in bulk."""

from __future__ import annotations

import statistics
from collections import defaultdict
from contextlib import ExitStack

from bench.bench import BenchContext
from bench.measures.end_to_end import CONNECTIONS
from bench.results import BenchRow, ratio, spread
from bench.systems import PlainCelery, PlainDramatiq, PlainTaskiq, System, Threelane

CALLERS = 32


def measure(bench: BenchContext) -> None:
    """Measure intake without workers, then single sends end to end; all systems in turn."""
    single, bulk = _intake(bench)
    ours, theirs = _end_to_end(bench)
    celery, middle = PlainCelery.name, statistics.median
    times, many = ratio(single["threelane"], single[celery]), ratio(bulk["threelane"], bulk[celery])
    whole = ratio(ours, theirs)
    bench.results.rows += [
        BenchRow(
            3,
            f"single sends, one call each, {CALLERS} threads: intake",
            "3 x plain Celery's intake",
            f"{times:.1f} x ({spread(single['threelane'], single[celery])}): "
            f"{middle(single['threelane']):,.0f}/s against {middle(single[celery]):,.0f}/s",
            times >= 3,
        ),
        BenchRow(
            3,
            f"single sends, {CALLERS} threads: end to end, HTTP API, 50 ms",
            "no slower than plain Celery",
            f"{whole:.1f} x ({spread(ours, theirs)}): {middle(ours):,.0f}/s against {middle(theirs):,.0f}/s",
            whole >= 1,
        ),
        BenchRow(
            4,
            "bulk intake (send_stream)",
            "20 x apply_async",
            f"{many:.1f} x ({spread(bulk['threelane'], bulk[celery])}): "
            f"{middle(bulk['threelane']):,.0f}/s against {middle(bulk[celery]):,.0f}/s",
            many >= 20,
        ),
    ]
    for way, rates in ((f"single sends from {CALLERS} callers", single), ("bulk", bulk)):
        listed = ", ".join(f"{name} {middle(each):,.0f}/s" for name, each in rates.items())
        bench.results.notes.append(f"Intake without workers, {way}: {listed}.")


def _intake(bench: BenchContext) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the rates of single and of bulk intake by system, round by round."""
    sizes = bench.sizes
    single: dict[str, list[float]] = defaultdict(list)
    bulk: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        systems: list[System] = [Threelane(bench.folder, bench.gateway, serves=False)]
        systems += [
            kind(bench.folder, bench.gateway, serves=False) for kind in (PlainCelery, PlainDramatiq, PlainTaskiq)
        ]
        for system in systems:
            stack.enter_context(system)
            system.accept("singles", sizes.warm, CALLERS)
            system.accept("bulk", sizes.warm)
        for number in range(sizes.intake_rounds):
            with bench.steps.step(f"intake, round {number + 1}"):
                for system in systems:
                    most = sizes.intake if system.name == "threelane" else sizes.intake_one
                    single[system.name].append(system.accept("singles", sizes.intake_one, CALLERS).rate)
                    bulk[system.name].append(system.accept("bulk", most).rate)
    return single, bulk


def _end_to_end(bench: BenchContext) -> tuple[list[float], list[float]]:
    """Return the rates of Threelane and of Celery, from the first single send to the last settled."""
    sizes = bench.sizes
    with (
        Threelane(bench.folder, bench.gateway, "http", connections=CONNECTIONS) as ours,
        PlainCelery(bench.folder, bench.gateway, *bench.pools.options(PlainCelery)) as theirs,
    ):
        ours.run("bulk", sizes.warm)
        theirs.run("bulk", sizes.warm)
        rates: tuple[list[float], list[float]] = ([], [])
        for number in range(sizes.rounds):
            with bench.steps.step(f"single sends end to end, round {number + 1}"):
                rates[0].append(ours.run("singles", sizes.single, CALLERS).rate)
                rates[1].append(theirs.run("singles", sizes.single_peer, CALLERS).rate)
                bench.steps.report(f"single sends: {rates[0][-1]:,.0f}/s against {rates[1][-1]:,.0f}/s")
    return rates
