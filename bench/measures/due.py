"""Due: row 6: release of due messages, many at once and one among many."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
import redis.asyncio

from bench.bench import BenchContext
from bench.messages import messages
from bench.results import NO_TARGET, BenchRow
from bench.systems import OPTIONS
from tests.servers import RedisServer
from threelane import Accepted, Producer, ProducerSettings
from threelane.producer.nudge import Nudger
from threelane.store import keys
from threelane.worker.fetch.release import release
from threelane.worker.process.settings import WorkerSettings

LATER = timedelta(hours=2)
FAR = 4_000_000_000_000  # ms of Unix time: the other members of the set are due in 2096
MOST = 1.15  # tolerance between two measurements
BATCH = 10_000


def measure(bench: BenchContext) -> None:
    """Call a worker's release, which takes the time as an argument, so that nothing has to wait."""
    sizes = bench.sizes
    with bench.steps.step(f"{sizes.due:,} due at once"), _redis(bench.folder / "due") as url:
        rate = asyncio.run(_all(url, sizes.due))
    with (
        bench.steps.step(f"one due among {sizes.due_few:,} and among {sizes.due_many:,}"),
        ExitStack() as stack,
    ):
        urls = [stack.enter_context(_redis(bench.folder / f"due-{size}")) for size in (sizes.due_few, sizes.due_many)]
        _fill(urls[0], sizes.due_few)
        _fill(urls[1], sizes.due_many)
        few, many = asyncio.run(_in_turn(urls, sizes.due_calls))
    bench.results.rows += [
        BenchRow(
            6,
            f"release of {sizes.due:,} due at once, one worker's loop",
            NO_TARGET,
            f"{rate:,.0f}/s, nudges included",
        ),
        BenchRow(
            6,
            f"release of one due among {sizes.due_many:,} against among {sizes.due_few:,}",
            f"the same: {MOST:.2f} x at most",
            f"{many / few:.2f} x: {many * 1e6:,.0f} us against {few * 1e6:,.0f} us per call",
            many <= MOST * few,
        ),
    ]


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    folder.mkdir()
    server = RedisServer(folder, *OPTIONS).start()
    try:
        yield server.url
    finally:
        server.stop()


def _accept(url: str, most: int, interval: timedelta = timedelta(0)) -> list[int]:
    """Accept messages due at even intervals; returns the times, ms."""
    first_due = datetime.now(UTC) + LATER
    with Producer(ProducerSettings(redis_url=url)) as producer:
        drafts = ({**one, "deliver_at": first_due + number * interval} for number, one in enumerate(messages(most)))
        results = list(producer.send_stream(drafts))
    if not all(isinstance(result, Accepted) for result in results):
        raise ValueError("not every message was accepted")
    return [result.due_at for result in results if isinstance(result, Accepted)]


def _fill(url: str, size: int) -> None:
    """Add ids that are not due to the set; a release does not read them."""
    client = redis.Redis.from_url(url)
    for first in range(0, size, BATCH):
        client.zadd(keys.DUE[3], {f"{number:032x}": FAR + number for number in range(first, min(size, first + BATCH))})
    client.close()


async def _all(url: str, most: int) -> float:
    """Return the messages per second that the release loop of a worker moves to their lane."""
    at = max(_accept(url, most))
    client, nudger, left = redis.asyncio.Redis.from_url(url), Nudger(WorkerSettings(redis_url=url)), most
    started = time.perf_counter()
    while left > 0:
        released = await release(client, 3, at)
        await asyncio.to_thread(nudger.publish, 3, released)
        left -= len(released)
    seconds = time.perf_counter() - started
    nudger.close()
    await client.aclose()
    return most / seconds


async def _in_turn(urls: list[str], calls: int) -> list[float]:
    """Return the median seconds of a release of one message, for each Redis."""
    clients = [redis.asyncio.Redis.from_url(url) for url in urls]
    due = [_accept(url, calls, timedelta(seconds=1)) for url in urls]
    seconds: list[list[float]] = [[] for _ in urls]
    for moments in zip(*due, strict=True):
        for client, now, times in zip(clients, moments, seconds, strict=True):
            started = time.perf_counter()
            released = await release(client, 3, now)
            times.append(time.perf_counter() - started)
            if len(released) != 1:
                raise ValueError("exactly one message should have been released")
    for client in clients:
        await client.aclose()
    return [statistics.median(times) for times in seconds]
