"""Batches: what a batch costs: memory of a row, and Redis' time of ``batch show`` beside few and many other messages.

``python -m bench.batches --rows 100000 --others 1000000``: two Redis
of its own, which end with the run; they take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from bench.processes import cpu_of
from bench.suppressed import settle, used
from bench.systems import OPTIONS
from tests.servers import RedisServer
from threelane.contract import message
from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.producer.accept import BATCH, accept
from threelane.store import keys, progress
from threelane.store.batches import ROWS_KEPT_MS, digest
from threelane.store.record import Field
from threelane.store.states import Status
from threelane.worker.upkeep.copy_outcomes import copy

NAME, AT, ROUNDS, FEW = "newsletter", 1_750_000_000_000, 7, 10_000


def drafts(first: int, count: int, batch: str) -> Iterator[Draft]:
    """Yield messages to as many numbers."""
    more = {"batch": batch} if batch else {}
    for each in range(count):
        parsed = message.parse({"to": str(27_600_000_000 + first + each), "text": "Hello", **more}, AT)
        if not isinstance(parsed, Refusal):
            yield parsed


def fill(client: redis.Redis, first: int, count: int, batch: str = "") -> None:
    """Accept messages, 99 in a call."""
    found = drafts(first, count, batch)
    while chunk := list(islice(found, BATCH)):
        accept(client, chunk, AT)


def end_all(client: redis.Redis) -> None:
    """Write into each record of the batch that it was delivered, with its charge, as a receipt does."""
    ended: dict[Any, Any] = {Field.STATUS: Status.DELIVERED, Field.CHARGE: 800_000, Field.ENDED: AT}
    ids = [one.id for one in progress.messages(client, "", NAME)]
    for start in range(0, len(ids), 500):
        with client.pipeline(transaction=False) as pipe:
            for one in ids[start : start + 500]:
                pipe.hset(keys.record(one), mapping=ended)
            pipe.execute()


def forget_records(client: redis.Redis) -> None:
    """Delete the records of the batch, as Redis does when they expire."""
    ids = [one.id for one in progress.messages(client, "", NAME)]
    for start in range(0, len(ids), 500):
        client.delete(*keys.records(ids[start : start + 500]))


def memory(client: redis.Redis, key: str) -> int:
    """Return the octets that a key takes, by a copy of it."""
    before = used(client)
    client.copy(key, "copy", replace=True)
    taken = used(client) - before
    client.delete("copy")
    return taken


@dataclass
class Side:
    """A Redis with the batch and some other messages."""

    client: redis.Redis
    url: str
    pid: int
    spent_ms: list[float] = field(default_factory=list)

    def show(self) -> None:
        """Read the progress of the batch, and note Redis' CPU milliseconds."""
        before = cpu_of(self.pid)
        assert progress.read(self.client, "", NAME, AT)
        self.spent_ms.append((cpu_of(self.pid) - before) * 1000)

    def longest_us(self) -> int:
        """Return how long the longest command of one ``batch show`` takes, in microseconds."""
        self.client.config_set("slowlog-log-slower-than", 50)
        self.client.slowlog_reset()
        assert progress.read(self.client, "", NAME, AT)
        slow: Any = self.client.slowlog_get(1000)
        return max((one["duration"] for one in slow if not one["command"].startswith(b"CONFIG")), default=50)


async def copied(url: str) -> int:
    """Copy the outcomes of the batch, as a worker does."""
    async with redis.asyncio.Redis.from_url(url) as client:
        return await copy(client, digest("", NAME), ROWS_KEPT_MS, AT)


def measure(few: Side, many: Side, rows: int, others: int) -> dict[str, Any]:
    """Return all figures; the two sides take turns, since a machine is slower in one minute than in the next."""
    key = keys.batch_rows(digest("", NAME))
    for side, count in ((few, FEW), (many, others)):
        fill(side.client, 0, rows, NAME)
        fill(side.client, 10_000_000, count)
        settle(side.client)
    for _ in range(ROUNDS):
        few.show()
        many.show()
    spent = {name: statistics.median(side.spent_ms) for name, side in (("few", few), ("many", many))}
    found: dict[str, Any] = {
        "rows": rows,
        "others": [FEW, others],
        "show_redis_ms": [round(spent["few"]), round(spent["many"])],
        "longest_command_us": many.longest_us(),
        "bytes_a_row": round(memory(few.client, key) / rows, 1),
    }
    end_all(few.client)
    settle(few.client)
    before = cpu_of(few.pid)
    found |= {"copied": asyncio.run(copied(few.url)), "copy_redis_ms": round((cpu_of(few.pid) - before) * 1000)}
    forget_records(few.client)
    asyncio.run(copied(few.url))
    few.spent_ms.clear()
    for _ in range(ROUNDS):
        few.show()
    return found | {
        "show_of_a_finished_batch_redis_ms": round(statistics.median(few.spent_ms)),
        "bytes_a_row_with_its_outcome": round(memory(few.client, key) / rows, 1),
        "bytes_of_a_batch_itself": memory(few.client, keys.batch(digest("", NAME))),
        "bytes_of_the_rows_of_a_batch_of_ten": small(few.client),
    }


def small(client: redis.Redis) -> int:
    """Return what the rows of a batch of ten messages take."""
    fill(client, 30_000_000, 10, "small")
    return memory(client, keys.batch_rows(digest("", "small")))


def main() -> None:
    """Measure and print the figures as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--others", type=int, default=1_000_000)
    given = arguments.parse_args()
    with ExitStack() as stack:
        few, many = stack.enter_context(opened()), stack.enter_context(opened())
        print(json.dumps(measure(few, many, given.rows, given.others), indent=2))


@contextmanager
def opened() -> Iterator[Side]:
    """Yield a Redis of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), *OPTIONS).start()
        try:
            assert server.process
            with redis.Redis.from_url(server.url) as client:
                yield Side(client, server.url, server.process.pid)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
