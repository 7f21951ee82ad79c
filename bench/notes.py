"""Notes: how the figures of the table were measured, and with which parameters."""

from __future__ import annotations

from bench.bench import BenchContext
from bench.search import Pools
from bench.systems import OPTIONS


def describe(bench: BenchContext, seconds: float, others: float) -> list[str]:
    """Return the notes, the general ones first."""
    sizes = bench.sizes
    return [
        f"The run took {seconds / 60:.1f} minutes; other programs used {others:.0%} of the machine meanwhile.",
        f"The systems run in turn, round by round; a ratio is the median of the {sizes.rounds} rounds' ratios, in "
        "brackets the lowest and the highest; every other figure is a median. "
        "Each system warms up first, uncounted.",
        "A rate runs from the first message accepted to the last settled: in the record for Threelane, in a hash in "
        "Redis for a peer. Workers are idle when a run starts; the caller is a separate process on this machine.",
        "The gateway is `bench/gateway.py` for all systems: it accepts everything, responds after the latency, and "
        f"posts two receipts per message, one per request, {sizes.receipts_after[0]:g} and "
        f"{sizes.receipts_after[1]:g} s after the send. "
        "The sandbox, which validates, charges and stores every message, would be the bottleneck.",
        "All processes share the machine's cores, the benchmark gateway too, so receipts cost a system CPU while it "
        'sends. Receipts arrive later: "receipts applied" is measured in the last round, until all are written.',
        f"Each system has its own Redis with {' '.join(OPTIONS)}. All log at level WARNING.",
        "CPU is measured per process, children included. Messages per CPU second compares Threelane's producer, "
        "worker and Redis with the process of the bare loop, which stores nothing; receipts are off, since the bare "
        "loop has none, and the gateway is not counted.",
        "Messages: " + _messages(bench),
        "Threelane: one worker, default settings except THREELANE_PARTS_PER_SECOND=1000000, and "
        "THREELANE_GATEWAY_CONNECTIONS=256 when it sends by the HTTP API at 50 ms.",
        *_chosen(bench.pools),
    ]


def _messages(bench: BenchContext) -> str:
    sizes = bench.sizes
    return (
        f"one part of 100 characters each; per run {sizes.bulk:,} of Threelane by the bulk API, {sizes.each:,} by the "
        f"HTTP API, {sizes.peer:,} of a peer, {sizes.bare:,} of the bare loop; {sizes.paced:,} in lane 1 at "
        f"{sizes.paced_per_second} per second."
    )


def _chosen(pools: Pools) -> list[str]:
    listed = [f"{peer.name} `{pool}`" for peer, pool in pools.peers.items()]
    best = f"Best pools: {', '.join(listed)}, bare loop {pools.at_once} concurrent requests."
    return [best, *(f"Searched: {line}." for line in pools.rate_lines)]
