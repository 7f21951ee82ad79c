"""Due: row 6: releasing what waited for a time, many at once and one among many."""

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

from bench.bench import Bench
from bench.messages import messages
from bench.results import Row
from bench.sides import OPTIONS
from tests.servers import RedisServer
from threelane import Accepted, Producer, ProducerSettings
from threelane.producer.nudge import Nudger
from threelane.store import keys
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.upkeep.release import release

LATER = timedelta(hours=2)
FAR = 4_000_000_000_000  # ms of Unix time: the others of the set are not due in our days
MOST = 1.15  # what two measurements of the same may differ by
BATCH = 10_000


def measure(bench: Bench) -> None:
    """Use the release of a worker, which is told the time, so that nothing has to be waited for."""
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
        Row(
            6,
            f"release of {sizes.due:,} due at once, one worker's loop",
            "told",
            f"{rate:,.0f}/s, nudges included",
        ),
        Row(
            6,
            f"release of one due among {sizes.due_many:,} against among {sizes.due_few:,}",
            f"the same: {MOST:.2f} x at most",
            f"{many / few:.2f} x: {many * 1e6:,.0f} us against {few * 1e6:,.0f} us a call",
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


def _accept(url: str, most: int, apart: timedelta = timedelta(0)) -> list[int]:
    """Accept messages that wait for times so far apart; returns these, ms."""
    begins = datetime.now(UTC) + LATER
    with Producer(ProducerSettings(redis_url=url)) as producer:
        drafts = ({**one, "deliver_at": begins + number * apart} for number, one in enumerate(messages(most)))
        answers = list(producer.send_stream(drafts))
    if not all(isinstance(answer, Accepted) for answer in answers):
        raise ValueError("not all were accepted")
    return [answer.due_at for answer in answers if isinstance(answer, Accepted)]


def _fill(url: str, size: int) -> None:
    """Put ids that are not due into the set; a release does not look at what is not due."""
    client = redis.Redis.from_url(url)
    for first in range(0, size, BATCH):
        client.zadd(keys.DUE, {f"{number:032x}": FAR + number for number in range(first, min(size, first + BATCH))})
    client.close()


async def _all(url: str, most: int) -> float:
    """Return how many messages a second the release loop of a worker puts on their lane."""
    at = max(_accept(url, most))
    client, nudger, left = redis.asyncio.Redis.from_url(url), Nudger(WorkerSettings(redis_url=url)), most
    started = time.perf_counter()
    while left > 0:
        released = await release(client, at)
        for lane, ids in released.items():
            await asyncio.to_thread(nudger.publish, lane, ids)
        left -= sum(map(len, released.values()))
    seconds = time.perf_counter() - started
    nudger.close()
    await client.aclose()
    return most / seconds


async def _in_turn(urls: list[str], calls: int) -> list[float]:
    """Return for each Redis the median seconds of a release of one message."""
    clients = [redis.asyncio.Redis.from_url(url) for url in urls]
    due = [_accept(url, calls, timedelta(seconds=1)) for url in urls]
    seconds: list[list[float]] = [[] for _ in urls]
    for moments in zip(*due, strict=True):
        for client, now, times in zip(clients, moments, seconds, strict=True):
            started = time.perf_counter()
            released = await release(client, now)
            times.append(time.perf_counter() - started)
            if sum(map(len, released.values())) != 1:
                raise ValueError("not one was released")
    for client in clients:
        await client.aclose()
    return [statistics.median(times) for times in seconds]
