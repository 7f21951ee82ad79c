"""Finished: row 7: the memory in Redis of a delivered message, and in total over the retention."""

from __future__ import annotations

from bench.bench import BenchContext
from bench.results import NO_TARGET, BenchRow
from bench.systems import Threelane
from threelane import ProducerSettings

AT_ONCE = (0.05, 0.2)
A_DAY = 1_000_000


def measure(bench: BenchContext) -> None:
    """Send messages, wait for all their receipts, and measure the memory they leave."""
    sizes = bench.sizes
    with (
        bench.steps.step("memory of finished messages"),
        Threelane(bench.folder, bench.gateway, bench.pools.bulk_api) as system,
    ):
        system.run("bulk", sizes.warm, receipts_after=AT_ONCE, follow=True)
        empty = system.bytes_used()
        system.run("bulk", sizes.small, receipts_after=AT_ONCE, follow=True)
        each = (system.bytes_used() - empty) / sizes.small
    days = ProducerSettings().retention_days
    bench.results.rows.append(
        BenchRow(
            7,
            "Redis memory of a delivered message",
            NO_TARGET,
            f"{each:,.0f} bytes, kept {days:g} days: "
            f"{each * days * A_DAY / 2**30:,.1f} GiB at {A_DAY:,} messages per day",
        )
    )
