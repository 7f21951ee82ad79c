"""Redis' limit: told beside row 1: what one Redis carries of the least writes a message needs."""

from __future__ import annotations

import statistics

from bench.bench import Bench
from bench.peers import redis_limit
from bench.processes import cpu_of
from bench.results import Row
from bench.run import MICRO
from bench.sides import OPTIONS
from tests.servers import RedisServer


def measure(bench: Bench) -> None:
    """Replay the least writes in chunks of a hundred, from one client."""
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
        Row(
            1,
            "Redis' own limit: the least writes of accept, claim and settle, a script call each for 100 messages",
            "told",
            f"{statistics.median(rounds):,.0f}/s, {used:,.0f} us of Redis' CPU a message",
        )
    )
