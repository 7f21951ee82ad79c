"""Suppressed: what a long suppression list costs: memory, the time of its import, and the CPU of an accept beside it.

``python -m bench.suppressed --numbers 1000000``: one Redis of its own, which ends with the run.  Accepts of messages to
numbers with one spelling and with two are measured on an empty list and on the long one, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import redis

from bench.processes import cpu_of
from bench.run import MICRO
from bench.systems import OPTIONS
from tests.servers import RedisServer, wait_until
from threelane.contract import message
from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.producer.accept import BATCH, accept
from threelane.store import keys, suppression
from threelane.store.suppression import IMPORT, Entry

ONE_SPELLING, TWO_SPELLINGS = 27_600_000_000, 5_511_900_000_000
ACCEPTED, ROUNDS = 9_900, 5
AT = 1_750_000_000_000


def numbers(count: int) -> Iterator[str]:
    """Yield the numbers to suppress; a tenth is Brazil's, whose numbers have two spellings."""
    for each in range(count):
        yield str((TWO_SPELLINGS + 80_000_000 if each % 10 == 0 else ONE_SPELLING) + each)


def fill(client: redis.Redis, listed: Iterator[str]) -> float:
    """Import numbers; returns the seconds."""
    begun, entry = time.monotonic(), Entry(IMPORT, first=AT, last=AT)
    while chunk := [(number, entry) for number in islice(listed, suppression.BATCH * 20)]:
        suppression.take_over(client, chunk)
    return time.monotonic() - begun


def write(client: redis.Redis, rows: Iterator[str]) -> None:
    """Write the rest of the list as an import leaves it, which is faster."""
    row = json.dumps([{"source": IMPORT, "first": AT, "last": AT, "code": "122"}], separators=(",", ":"))
    while chunk := list(islice(rows, 1000)):
        client.hset(keys.SUPPRESSED, mapping=dict.fromkeys(chunk, row))


def settle(client: redis.Redis) -> None:
    """Wait until Redis has rewritten its file, which costs CPU."""

    def is_idle() -> bool:
        persistence: Any = client.info("persistence")
        return not persistence["aof_rewrite_in_progress"] and not persistence["aof_rewrite_scheduled"]

    wait_until(is_idle, 300)


def used(client: redis.Redis) -> int:
    """Return the octets that Redis' data takes."""
    memory: Any = client.info("memory")
    return int(memory["used_memory"])


def drafts(first: int) -> Sequence[Draft]:
    """Return messages to numbers that are not listed."""
    parsed = [message.parse({"to": str(first + each), "text": "Hello"}, AT) for each in range(ACCEPTED)]
    return [one for one in parsed if not isinstance(one, Refusal)]


def accepts(client: redis.Redis, pid: int, first: int) -> float:
    """Accept messages in batches; returns the microseconds of Redis' CPU for each."""
    wanted = drafts(first)
    before = cpu_of(pid)
    for start in range(0, len(wanted), BATCH):
        accept(client, wanted[start : start + BATCH], AT)
    return (cpu_of(pid) - before) / len(wanted) * MICRO


def cost(client: redis.Redis, pid: int, first: int) -> float:
    """Return the median cost of an accept, in microseconds of Redis' CPU."""
    accepts(client, pid, first)
    return statistics.median(accepts(client, pid, first) for _ in range(ROUNDS))


def measure(client: redis.Redis, pid: int, count: int, imported: int) -> dict[str, float]:
    """Return all figures for a list of so many numbers."""
    starts = {"one_spelling": ONE_SPELLING + 90_000_000, "two_spellings": TWO_SPELLINGS}
    found = {f"accept_us_{name}_empty_list": round(cost(client, pid, first), 1) for name, first in starts.items()}
    client.execute_command("FLUSHDB", "SYNC")
    before = used(client)
    listed = numbers(count)
    seconds = fill(client, islice(listed, imported))
    write(client, listed)
    settle(client)
    found |= {
        "numbers": count,
        "listed": int(client.hlen(keys.SUPPRESSED)),
        "imported": min(imported, count),
        "import_seconds": round(seconds, 1),
        "bytes_a_number": round((used(client) - before) / count, 1),
        "gib": round((used(client) - before) / 2**30, 2),
    }
    return found | {f"accept_us_{name}": round(cost(client, pid, first), 1) for name, first in starts.items()}


def main() -> None:
    """Measure and print the figures as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--numbers", type=int, default=1_000_000)
    arguments.add_argument("--imported", type=int, default=1_000_000, help="the others are written directly")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), *OPTIONS).start()
        try:
            assert server.process
            with redis.Redis.from_url(server.url) as client:
                print(json.dumps(measure(client, server.process.pid, given.numbers, given.imported), indent=2))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
