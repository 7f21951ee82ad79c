"""Exporter: milliseconds per scrape with 1,000 and 1,000,000 waiting messages; ``python -m bench.exporter``."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import redis
from prometheus_client import CollectorRegistry, generate_latest

from tests.servers import RedisServer
from threelane.operations.exporter import Fleet
from threelane.store import keys

SIZES = (1_000, 1_000_000)
SCRAPES = 50
BATCH = 10_000


def main() -> None:
    """Fill the indexes of the lanes and of the other states, and scrape."""
    with tempfile.TemporaryDirectory(prefix="threelane-bench-") as folder:
        server = RedisServer(Path(folder), "--appendonly", "no").start()
        try:
            client = redis.Redis(port=server.port)
            filled = 0
            for size in SIZES:
                _fill(client, filled, size)
                filled = size
                times = sorted(_scrape(client))
                middle, worst = statistics.median(times), times[-1]
                print(f"{size:>9,} waiting: median {middle:.1f} ms, worst of {SCRAPES} {worst:.1f} ms")
        finally:
            server.stop()


def _fill(client: redis.Redis, start: int, end: int) -> None:
    now = int(time.time() * 1000)
    indexes = (*keys.QUEUED.values(), *keys.DUE.values(), *keys.AWAITING.values(), keys.DEAD)
    for first in range(start, end, BATCH):
        ids = range(first, min(end, first + BATCH))
        with client.pipeline(transaction=False) as pipe:
            for position, index in enumerate(indexes):
                pipe.zadd(index, {f"{n:032x}": now - n for n in ids if n % len(indexes) == position})
            pipe.hset(keys.TALLY, mapping={"to:1:sent": end, "accepted:1": end, "charged:1:login": end})
            pipe.execute()


def _scrape(client: redis.Redis) -> list[float]:
    registry = CollectorRegistry()
    registry.register(Fleet(client))
    times = []
    for _ in range(SCRAPES):
        started = time.perf_counter()
        generate_latest(registry)
        times.append((time.perf_counter() - started) * 1000)
    return times


if __name__ == "__main__":
    main()
