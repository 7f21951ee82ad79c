"""Finished: row 7: what Redis keeps of a message that was delivered, and what that is over the retention."""

from __future__ import annotations

from bench.bench import Bench
from bench.results import Row
from bench.sides import Threelane
from threelane import ProducerSettings

AT_ONCE = (0.05, 0.2)
A_DAY = 1_000_000


def measure(bench: Bench) -> None:
    """Send some with all their receipts, and see what they leave."""
    sizes = bench.sizes
    with (
        bench.steps.step("memory of finished messages"),
        Threelane(bench.folder, bench.double, bench.pools.bulk_api) as side,
    ):
        side.run("bulk", sizes.warm, receipts_after=AT_ONCE, follow=True)
        empty = side.bytes_used()
        side.run("bulk", sizes.small, receipts_after=AT_ONCE, follow=True)
        each = (side.bytes_used() - empty) / sizes.small
    days = ProducerSettings().retention_days
    bench.results.rows.append(
        Row(
            7,
            "Redis memory of a delivered message",
            "told",
            f"{each:,.0f} bytes, kept {days:g} days: "
            f"{each * days * A_DAY / 2**30:,.1f} GiB at {A_DAY:,} messages a day",
        )
    )
