"""Batches: what a batch costs: memory of a row, and Redis' time of ``batch show`` beside few and many other messages.

``python -m bench.batches --rows 100000 --others 1000000``: one Redis of its own, which ends with the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from bench.processes import cpu_of
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

NAME, AT, ROUNDS, FEW = "newsletter", 1_750_000_000_000, 3, 10_000
MILLISECOND_US = 1_000


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


def memory(client: redis.Redis, key: str) -> int:
    """Return the octets that a key takes, by a copy of it."""
    before = used(client)
    client.copy(key, "copy", replace=True)
    taken = used(client) - before
    client.delete("copy")
    return taken


def used(client: redis.Redis) -> int:
    """Return the octets that Redis' data takes."""
    found: Any = client.info("memory")
    return int(found["used_memory"])


def show(client: redis.Redis, pid: int) -> dict[str, float]:
    """Return Redis' CPU milliseconds of one ``batch show``, and its longest command in microseconds."""
    client.config_set("slowlog-log-slower-than", MILLISECOND_US // 10)
    client.slowlog_reset()
    spent = []
    for _ in range(ROUNDS):
        before = cpu_of(pid)
        assert progress.read(client, "", NAME, AT)
        spent.append((cpu_of(pid) - before) * 1000)
    slow: Any = client.slowlog_get(100)
    longest = max((one["duration"] for one in slow if not one["command"].startswith(b"CONFIG")), default=0)
    return {"redis_ms": round(statistics.median(spent)), "longest_command_us": longest}


async def copied(url: str) -> int:
    """Copy the outcomes of the batch, as a worker does."""
    async with redis.asyncio.Redis.from_url(url) as client:
        return await copy(client, digest("", NAME), ROWS_KEPT_MS, AT)


def measure(client: redis.Redis, pid: int, url: str, rows: int, others: int) -> dict[str, Any]:
    """Return all figures."""
    own = digest("", NAME)
    fill(client, 0, rows, NAME)
    listed = memory(client, keys.batch_rows(own))
    fill(client, 10_000_000, FEW)
    found: dict[str, Any] = {"rows": rows, "show_beside_10000": show(client, pid)}
    fill(client, 20_000_000, others - FEW)
    found |= {"others": others, "show_beside_others": show(client, pid)}
    end_all(client)
    before = cpu_of(pid)
    found |= {"copied": asyncio.run(copied(url)), "copy_redis_ms": round((cpu_of(pid) - before) * 1000)}
    found |= {"show_of_a_finished_batch": show(client, pid)}
    return found | {
        "bytes_a_row": round(listed / rows, 1),
        "bytes_a_row_with_its_outcome": round(memory(client, keys.batch_rows(own)) / rows, 1),
        "bytes_of_a_batch_itself": memory(client, keys.batch(own)),
        "bytes_of_a_small_batch": small(client),
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
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), *OPTIONS).start()
        try:
            assert server.process
            with redis.Redis.from_url(server.url) as client:
                figures = measure(client, server.process.pid, server.url, given.rows, given.others)
                print(json.dumps(figures, indent=2))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
