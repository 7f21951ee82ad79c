"""Intake: rows 3 and 4: how fast messages are taken in, one call each or in bulk."""

from __future__ import annotations

import statistics
from collections import defaultdict
from contextlib import ExitStack

from bench.bench import Bench
from bench.measures.end_to_end import CONNECTIONS
from bench.results import Row, ratio, spread
from bench.sides import PlainCelery, PlainDramatiq, PlainTaskiq, Side, Threelane

CALLERS = 32


def measure(bench: Bench) -> None:
    """Take in without workers, in turn; then single sends from end to end, in turn."""
    single, bulk = _intake(bench)
    ours, theirs = _end_to_end(bench)
    celery, middle = PlainCelery.name, statistics.median
    times, many = ratio(single["threelane"], single[celery]), ratio(bulk["threelane"], bulk[celery])
    whole = ratio(ours, theirs)
    bench.results.rows += [
        Row(
            3,
            f"single sends, one call each, {CALLERS} threads: intake",
            "3 x plain Celery's intake",
            f"{times:.1f} x ({spread(single['threelane'], single[celery])}): "
            f"{middle(single['threelane']):,.0f}/s against {middle(single[celery]):,.0f}/s",
            times >= 3,
        ),
        Row(
            3,
            f"single sends, {CALLERS} threads: end to end, HTTP API, 50 ms",
            "no slower than plain Celery",
            f"{whole:.1f} x ({spread(ours, theirs)}): {middle(ours):,.0f}/s against {middle(theirs):,.0f}/s",
            whole >= 1,
        ),
        Row(
            4,
            "bulk intake (send_stream)",
            "20 x apply_async",
            f"{many:.1f} x ({spread(bulk['threelane'], bulk[celery])}): "
            f"{middle(bulk['threelane']):,.0f}/s against {middle(bulk[celery]):,.0f}/s",
            many >= 20,
        ),
    ]
    for way, rates in ((f"single sends from {CALLERS} callers", single), ("bulk", bulk)):
        told = ", ".join(f"{name} {middle(each):,.0f}/s" for name, each in rates.items())
        bench.results.notes.append(f"Intake without workers, {way}: {told}.")


def _intake(bench: Bench) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the rates of single and of bulk intake by side, round by round."""
    sizes = bench.sizes
    single: dict[str, list[float]] = defaultdict(list)
    bulk: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        sides: list[Side] = [Threelane(bench.folder, bench.double, serves=False)]
        sides += [kind(bench.folder, bench.double, serves=False) for kind in (PlainCelery, PlainDramatiq, PlainTaskiq)]
        for side in sides:
            stack.enter_context(side)
            side.accept("singles", sizes.warm, CALLERS)
            side.accept("bulk", sizes.warm)
        for number in range(sizes.intake_rounds):
            with bench.steps.step(f"intake, round {number + 1}"):
                for side in sides:
                    most = sizes.intake if side.name == "threelane" else sizes.intake_one
                    single[side.name].append(side.accept("singles", sizes.intake_one, CALLERS).rate)
                    bulk[side.name].append(side.accept("bulk", most).rate)
    return single, bulk


def _end_to_end(bench: Bench) -> tuple[list[float], list[float]]:
    """Return our rates and those of Celery, from the first single send to the last settled."""
    sizes = bench.sizes
    with (
        Threelane(bench.folder, bench.double, "http", connections=CONNECTIONS) as ours,
        PlainCelery(bench.folder, bench.double, *bench.pools.of(PlainCelery)) as theirs,
    ):
        ours.run("bulk", sizes.warm)
        theirs.run("bulk", sizes.warm)
        rates: tuple[list[float], list[float]] = ([], [])
        for number in range(sizes.rounds):
            with bench.steps.step(f"single sends end to end, round {number + 1}"):
                rates[0].append(ours.run("singles", sizes.single, CALLERS).rate)
                rates[1].append(theirs.run("singles", sizes.single_peer, CALLERS).rate)
                bench.steps.told(f"single sends: {rates[0][-1]:,.0f}/s against {rates[1][-1]:,.0f}/s")
    return rates
