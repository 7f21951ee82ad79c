"""Redis' limit: shown with row 1: the rate at which one Redis executes the fewest writes a message needs."""

from __future__ import annotations

import statistics

from bench.bench import BenchContext
from bench.peers import redis_limit
from bench.processes import cpu_of
from bench.results import NO_TARGET, BenchRow
from bench.run import MICRO
from bench.systems import OPTIONS
from tests.servers import RedisServer


def measure(bench: BenchContext) -> None:
    """Replay the fewest writes in chunks of 100, from one client."""
    folder, most = bench.folder / "redis-limit", bench.sizes.bulk
    folder.mkdir()
    server = RedisServer(folder, *OPTIONS).start()
    try:
        assert server.process
        with bench.steps.step("Redis' own limit"):
            redis_limit.replay(server.url, bench.sizes.warm)
            before = cpu_of(server.process.pid)
            rounds = [most / redis_limit.replay(server.url, most) for _ in range(bench.sizes.rounds)]
            used = (cpu_of(server.process.pid) - before) / (most * bench.sizes.rounds) * MICRO
    finally:
        server.stop()
    bench.results.rows.append(
        BenchRow(
            1,
            "Redis' own limit: the fewest writes of accept, claim and settle, one script call each per 100 messages",
            NO_TARGET,
            f"{statistics.median(rounds):,.0f}/s, {used:,.0f} us of Redis' CPU per message",
        )
    )
