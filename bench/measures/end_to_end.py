"""End to end: rows 1, 2 and 8: from accepted to settled with receipts on, all systems in turn."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench.bench import BenchContext
from bench.results import NO_TARGET, BenchRow, ratio, spread
from bench.run import Run
from bench.systems import BareLoop, PlainCelery, PlainDramatiq, PlainTaskiq, Threelane

WORKERS = ("producer", "worker", "redis")
BULK, EACH, NO_RECEIPTS = "threelane, bulk API", "threelane, HTTP API", "threelane, HTTP API, no receipts"
CONNECTIONS = 256  # at 50 ms the default of 64 limits it to 1,280 messages per second


def measure(bench: BenchContext) -> None:
    """Run all systems in turn, so that a slow machine slows all of them."""
    sizes, pools = bench.sizes, bench.pools
    with ExitStack() as stack:
        bulk = stack.enter_context(Threelane(bench.folder, bench.gateway, pools.bulk_api))
        each = stack.enter_context(Threelane(bench.folder, bench.gateway, "http", connections=CONNECTIONS))
        peers = {
            peer.name: stack.enter_context(peer(bench.folder, bench.gateway, *pools.options(peer)))
            for peer in (PlainCelery, PlainDramatiq, PlainTaskiq)
        }
        bare = stack.enter_context(BareLoop(bench.folder, bench.gateway))
        for system in (bulk, each, *peers.values(), bare):
            with bench.steps.step(f"warming up: {system.name}"):
                system.run("bulk", sizes.warm)
        turns: dict[str, Callable[..., Run]] = {
            BULK: partial(bulk.run, "bulk", sizes.bulk, receipts_after=sizes.receipts_after),
            EACH: partial(each.run, "bulk", sizes.each, receipts_after=sizes.receipts_after),
            NO_RECEIPTS: partial(each.run, "bulk", sizes.each),
            **{
                name: partial(system.run, "bulk", sizes.peer, receipts_after=sizes.receipts_after)
                for name, system in peers.items()
            },
            BareLoop.name: partial(bare.run, "bulk", sizes.bare, pools.at_once),
        }
        runs, at_zero = _runs(bench, turns)
    _add_rows(bench, runs, at_zero)


def _runs(bench: BenchContext, turns: dict[str, Callable[..., Run]]) -> tuple[dict[str, list[Run]], dict[str, Run]]:
    """Return the runs of each system at 50 ms, round by round, and one of each at 0 ms."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for number in range(bench.sizes.rounds):
        for name, run in turns.items():
            with bench.steps.step(f"end to end, round {number + 1}: {name}"):
                runs[name].append(run(follow=number == bench.sizes.rounds - 1))
                bench.steps.report(f"{name}: {runs[name][-1].rate:,.0f}/s")
    at_zero = {}
    for name, run in turns.items():
        with bench.steps.step(f"end to end at 0 ms: {name}"):
            at_zero[name] = run(latency_ms=0)
    return runs, at_zero


def _add_rows(bench: BenchContext, runs: dict[str, list[Run]], at_zero: dict[str, Run]) -> None:
    rates = {name: [run.rate for run in each] for name, each in runs.items()}
    celery, bulk, each = rates[PlainCelery.name], rates[BULK], rates[EACH]
    many, some = ratio(bulk, celery), ratio(each, celery)
    ours = [run.cost(*WORKERS) for run in runs[NO_RECEIPTS]]
    share = ratio([run.cost("producer") for run in runs[BareLoop.name]], ours)
    middle = statistics.median
    bench.results.rows += [
        BenchRow(
            1,
            f"end to end, bulk, {bench.pools.bulk_api.upper()} API, receipts on, 50 ms",
            "30 x plain Celery",
            f"{many:.1f} x ({spread(bulk, celery)}): {middle(bulk):,.0f}/s against {middle(celery):,.0f}/s",
            many >= 30,
        ),
        BenchRow(
            2,
            "end to end, bulk, HTTP API, receipts on, 50 ms",
            "5 x plain Celery",
            f"{some:.1f} x ({spread(each, celery)}): {middle(each):,.0f}/s against {middle(celery):,.0f}/s",
            some >= 5,
        ),
        BenchRow(
            2,
            "HTTP API, messages per CPU second",
            "60 % of the bare loop's",
            f"{share:.0%}: {middle(ours):,.0f} us per message against {middle(ours) * share:,.0f} us",
            share >= 0.6,
        ),
        BenchRow(
            8,
            "CPU per message, whole system without the gateway",
            NO_TARGET,
            "; ".join(f"{name} {middle(run.cost() for run in runs[name]):,.0f} us" for name in runs),
        ),
    ]
    for name in runs:
        bench.results.systems.append(_line(name, runs[name], at_zero[name]))


def _line(name: str, runs: list[Run], at_zero: Run) -> dict[str, str]:
    """Return the medians of a system, as its line of the table."""
    middle = statistics.median
    kinds = ("producer", "worker", "redis", "callbacks", "gateway")
    costs = {kind: f"{middle(run.cost(kind) for run in runs):,.0f}" for kind in kinds}
    shares = {f"{kind} %": f"{middle(run.shares().get(kind, 0) for run in runs):.0%}" for kind in kinds}
    return {
        "system": name,
        "settled/s": f"{middle(run.rate for run in runs):,.0f}",
        "receipts applied/s": f"{runs[-1].receipts_rate:,.0f}",
        "settled/s at 0 ms": f"{at_zero.rate:,.0f}",
        **{f"{kind} us": costs[kind] for kind in kinds},
        "share of a core: producer, worker, redis, callbacks, gateway": " ".join(shares.values()),
    }
