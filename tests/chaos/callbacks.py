"""Callbacks: a flood of them at one door, which is killed in the middle; what it did not acknowledge comes again.

``python -m tests.chaos.callbacks --seconds 30 --rate 2000``; exits with 1 when a message is not delivered in the end,
or its charge or its outcome does not count once.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult
from pathlib import Path
from random import Random
from statistics import quantiles
from urllib.parse import urlencode

import redis

from tests.integration.conftest import kill, threelane_child
from tests.integration.test_callbacks import TAKEN, attempted
from tests.servers import RedisServer, free_port
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.store import keys

SECRET = "c0ffee00c0ffee00c0ffee00c0ffee00"
CHARGE = 800_000
AGAIN_SECONDS = 2.0  # in the place of two minutes
PATIENCE_SECONDS = 120.0
CONNECTIONS = 64  # of one generator
Callback = tuple[str, str]  # our id, and the status


@dataclass
class Load:
    """What one generator saw; times in seconds since the start, answers as (when it was asked, how long it took)."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    latest: float = 0.0  # how far the generator itself fell behind while it had a connection to spare
    cpu_seconds: float = 0.0
    took: float = 0.0


class Generator:
    """A gateway with kept connections: callbacks go when they are due, and again when nobody acknowledged them."""

    def __init__(self, port: int, callbacks: Sequence[Callback], rate: float) -> None:
        self._port = port
        self._due = [(n / rate, n, one) for n, one in enumerate(callbacks)]  # in order, and so a heap
        self._left = len(callbacks)
        self._ready: asyncio.Queue[Callback | None] = asyncio.Queue()
        self.load = Load()

    async def run(self, start_at: float) -> Load:
        await asyncio.sleep(max(0.0, start_at - time.time()))
        self._started = time.perf_counter()
        before = time.process_time()
        connections = [asyncio.create_task(self._connection()) for _ in range(CONNECTIONS)]
        while self._left and self._now() < self._last_due() + PATIENCE_SECONDS:
            now = self._now()
            if self._due and self._due[0][0] <= now and self._ready.empty():
                self.load.latest = max(self.load.latest, now - self._due[0][0])
            while self._due and self._due[0][0] <= now:
                self._ready.put_nowait(heapq.heappop(self._due)[2])
            await asyncio.sleep(0.002)
        for one in connections:
            one.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        self.load.given_up = self._left
        self.load.cpu_seconds, self.load.took = time.process_time() - before, self._now()
        return self.load

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _last_due(self) -> float:
        return self._due[-1][0] if self._due else self._now()

    async def _connection(self) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while (one := await self._ready.get()) is not None:
            asked_at = self._now()
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                streams[1].write(request(*one))
                status = await asyncio.wait_for(_answer(streams[0]), 10)
            except (OSError, EOFError, TimeoutError) as failed:
                status, streams = type(failed).__name__, None
            if status == "200":
                self.load.answers.append((asked_at, self._now() - asked_at))
                self._left -= 1
            else:
                self.load.repeated[status] += 1
                heapq.heappush(self._due, (self._now() + AGAIN_SECONDS, self.load.repeated.total(), one))


async def _answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
    await reader.readexactly(int(length))
    return head[9:12].decode()


def request(message: str, status: str) -> bytes:
    """Return a callback as the gateway writes it."""
    fields = {"api_id": "1", "apiMsgId": message[::-1], "cliMsgId": message, "to": "27999500001", "from": ""}
    body = urlencode(fields | {"timestamp": "1767225600", "status": status, "charge": f"{CHARGE / 1e6:.6f}"})
    return (
        f"POST /{SECRET}/status HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def generate(port: int, callbacks: Sequence[Callback], rate: float, start_at: float) -> Load:
    """Be one generator, in a process of its own."""

    async def main() -> Load:
        return await Generator(port, callbacks, rate).run(start_at)

    return asyncio.run(main())


def cpu_seconds(pid: int | None) -> float:
    """Return what a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=30)
    words.add_argument("--rate", type=float, default=2000)
    words.add_argument("--generators", type=int, default=2)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--no-kill", action="store_true", help="only measure")
    asked = words.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="threelane-callbacks-"))
    server = RedisServer(folder).start()
    environment = {
        "THREELANE_REDIS_URL": server.url,
        "THREELANE_CALLBACK_SECRET": SECRET,
        "THREELANE_CALLBACKS_PORT": str(free_port()),
        "THREELANE_METRICS_PORT": "0",
    }
    doors: list[Child] = []
    try:
        ids = _sent(server, int(asked.rate * asked.seconds / 2))
        doors.append(threelane_child("callbacks", folder, environment))
        doors[0].event("callbacks")
        loads = _flood(ids, doors, server, folder, environment, asked)
        return 0 if _judge(server, ids, loads) else 1
    finally:
        for door in doors:
            door.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _sent(server: RedisServer, number: int) -> list[str]:
    """Messages that the gateway has, as accept, claim and settle leave them."""
    with Producer(ProducerSettings(redis_url=server.url)) as producer:
        answers = producer.send_many({"to": f"27999{500_000 + n % 400_000}", "text": "Hello"} for n in range(number))
        ids = [answer.id for answer in answers]
    for start in range(0, number, 20_000):  # what the rate lets through at once
        attempted(server.url, ids[start : start + 20_000], TAKEN)
    with redis.Redis(port=server.port) as client:
        assert number == client.zcard(keys.AWAITING), "not all messages were sent"
    return ids


def _flood(
    ids: Sequence[str],
    doors: list[Child],
    server: RedisServer,
    folder: Path,
    environment: dict[str, str],
    asked: argparse.Namespace,
) -> list[Load]:
    """Let the callbacks come, kill the door halfway, start another on the same port."""
    port, count = int(environment["THREELANE_CALLBACKS_PORT"]), asked.generators
    callbacks = [(one, status) for one in ids for status in ("003", "004")]
    Random(asked.seed).shuffle(callbacks)
    pids = (doors[0].process.pid, server.process.pid if server.process else None)
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        start_at = time.time() + 3
        shares = [(port, callbacks[n::count], asked.rate / count, start_at) for n in range(count)]
        running: list[AsyncResult[Load]] = [pool.apply_async(generate, share) for share in shares]
        time.sleep(max(0.0, start_at - time.time()))
        before = [cpu_seconds(pid) for pid in pids]
        time.sleep(asked.seconds / 2)
        killed_at = time.time() - start_at
        used = [(cpu_seconds(pid) - was) / killed_at for pid, was in zip(pids, before, strict=True)]
        back_at = killed_at
        if not asked.no_kill:
            kill(doors[0])
            doors.append(threelane_child("callbacks", folder, environment, len(doors)))
            doors[-1].event("callbacks")
            back_at = time.time() - start_at
        loads = [one.get() for one in running]
    print(f"{len(callbacks)} callbacks for {len(ids)} messages, {asked.rate:.0f} a second wanted; {count} generators")
    if not asked.no_kill:
        print(f"the door was killed after {killed_at:.1f} s and open again after {back_at:.1f} s")
    _tell("until then", loads, 0.0, killed_at)
    _tell("afterwards", loads, back_at, max(load.took for load in loads))
    busy = max(load.cpu_seconds / load.took for load in loads)
    late = max(load.latest for load in loads) * 1000
    print(
        f"of a core: door {used[0]:.0%}, Redis {used[1]:.0%}, busiest generator {busy:.0%}, {late:.0f} ms late at most"
    )
    limit = "the generator" if busy > 0.9 else "the door" if used[0] > 0.9 else "neither"
    print(f"what limits: {limit}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return loads


def _tell(when: str, loads: Sequence[Load], since: float, until: float) -> None:
    answers = [(at, took) for load in loads for at, took in load.answers if since <= at and at + took < until]
    if len(answers) < 2:
        print(f"{when}: too few answers")
        return
    lasted = max(at + took for at, took in answers) - since
    times = sorted(took * 1000 for _, took in answers)
    median, late = quantiles(times, n=100)[49], quantiles(times, n=100)[98]
    print(
        f"{when}: {len(answers) / lasted:.0f} a second acknowledged; "
        f"median {median:.1f} ms, 99th {late:.1f} ms, worst {times[-1]:.1f} ms"
    )


def _judge(server: RedisServer, ids: Sequence[str], loads: Sequence[Load]) -> bool:
    """Compare Redis with what the gateway told."""
    repeated: Counter[str] = Counter()
    for load in loads:
        repeated += load.repeated
    with redis.Redis(port=server.port) as client:
        with client.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(keys.record(one), "status", "charge")
            records = pipe.execute()
        tally = {name.decode(): int(count) for name, count in client.hgetall(keys.TALLY).items()}
        outcomes = Counter(fields[b"id"].decode() for _, fields in client.xrange(keys.EVENTS))
        awaited = client.zcard(keys.AWAITING)
    found = {
        "lost": sum(status != b"delivered" for status, _ in records),
        "charged otherwise than once": sum(charge != b"%d" % CHARGE for _, charge in records),
        "told otherwise than once": sum(outcomes[one] != 1 for one in ids) + len(outcomes.keys() - set(ids)),
        "never acknowledged": sum(load.given_up for load in loads),
        "still asked for": awaited,
        "credits off": abs(tally.get("charged:3:", 0) - CHARGE * len(ids)),
        "moves off": abs(tally.get("to:3:delivered", 0) - len(ids)),
    }
    print(f"repeated: {repeated.total()} {dict(repeated)}")
    print(", ".join(f"{name}: {count}" for name, count in found.items()))
    return not any(found.values())


if __name__ == "__main__":
    sys.exit(main())
