"""Notes: how the figures of the table came about, and what was chosen."""

from __future__ import annotations

from bench.bench import Bench
from bench.search import Pools
from bench.sides import OPTIONS


def of(bench: Bench, seconds: float, others: float) -> list[str]:
    """Return the notes, the general ones first."""
    sizes = bench.sizes
    return [
        f"The run took {seconds / 60:.1f} minutes; other programs had {others:.0%} of the machine meanwhile.",
        f"Sides run in turn, round by round; a ratio is the median of the {sizes.rounds} rounds' ratios, in brackets "
        "the least and the greatest; every other figure is a median. "
        "A warm-up before is not counted.",
        "A rate is counted from the first accept to the last settled: by ours in the record, by a peer as a hash in "
        "Redis. Workers are up and idle when a run begins; the caller is a process of its own on the same machine.",
        "The gateway is `bench/gateway.py`, one for all sides: it takes all, answers after the latency, and posts two "
        f"receipts a message, each in a request, {sizes.receipts_after[0]:g} and {sizes.receipts_after[1]:g} s after "
        "the send. "
        "The sandbox, which checks, charges and keeps what it takes, would be the limit itself.",
        "All processes share the machine's cores, the gateway's double too, so a side pays for its receipts while it "
        'sends. Receipts lag behind: "receipts applied" counts until the last one is written, in the last round.',
        f"Each side has a Redis of its own with {' '.join(OPTIONS)}. All log at level WARNING.",
        "CPU is counted by process from /proc, children included. Messages a CPU second: our producer, worker and "
        "Redis against the process of the bare loop, which keeps nothing; receipts are off, since a bare loop has "
        "none, and the gateway is counted on neither side.",
        "Messages: " + _messages(bench),
        "Threelane: one worker, default settings but THREELANE_PARTS_PER_SECOND=1000000; "
        "THREELANE_GATEWAY_CONNECTIONS=256 where it sends by the HTTP API at 50 ms.",
        *_chosen(bench.pools),
    ]


def _messages(bench: Bench) -> str:
    sizes = bench.sizes
    return (
        f"one part of 100 characters each; in a run {sizes.bulk:,} of ours by the bulk API, {sizes.each:,} by the HTTP "
        f"API, {sizes.peer:,} of a peer, {sizes.bare:,} of the bare loop; {sizes.paced:,} of lane 1 at "
        f"{sizes.paced_per_second} a second."
    )


def _chosen(pools: Pools) -> list[str]:
    words = [f"{peer.name} `{pool}`" for peer, pool in pools.peers.items()]
    best = f"Best pools: {', '.join(words)}, bare loop {pools.at_once} requests at once."
    return [best, *(f"Searched: {line}." for line in pools.told)]
