"""Callbacks: a flood of callbacks to one endpoint, which is killed halfway; unacknowledged ones are retried.

``python -m tests.chaos.callbacks --seconds 30 --rate 2000``; exits with 1 when a message does not end delivered,
or its charge or its outcome does not count exactly once.
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
AGAIN_SECONDS = 2.0  # instead of two minutes
PATIENCE_SECONDS = 120.0
CONNECTIONS = 64  # of one generator
Callback = tuple[str, str]  # Threelane's id, and the status


@dataclass
class CallbackLoad:
    """The results of one generator; times in seconds since the start, responses as (time of request, duration)."""

    responses: list[tuple[float, float]] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    latest: float = 0.0  # how far the generator fell behind although it had a free connection
    cpu_seconds: float = 0.0
    duration: float = 0.0


class Generator:
    """A gateway with persistent connections, which posts due callbacks and retries unacknowledged ones."""

    def __init__(self, port: int, callbacks: Sequence[Callback], rate: float) -> None:
        self._port = port
        self._due = [(n / rate, n, one) for n, one in enumerate(callbacks)]  # in order, and so a heap
        self._left = len(callbacks)
        self._ready: asyncio.Queue[Callback | None] = asyncio.Queue()
        self.load = CallbackLoad()

    async def run(self, start_at: float) -> CallbackLoad:
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
        self.load.cpu_seconds, self.load.duration = time.process_time() - before, self._now()
        return self.load

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _last_due(self) -> float:
        return self._due[-1][0] if self._due else self._now()

    async def _connection(self) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while (one := await self._ready.get()) is not None:
            requested_at = self._now()
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                streams[1].write(request(*one))
                status = await asyncio.wait_for(_read_status(streams[0]), 10)
            except (OSError, EOFError, TimeoutError) as failed:
                status, streams = type(failed).__name__, None
            if status == "200":
                self.load.responses.append((requested_at, self._now() - requested_at))
                self._left -= 1
            else:
                self.load.repeated[status] += 1
                heapq.heappush(self._due, (self._now() + AGAIN_SECONDS, self.load.repeated.total(), one))


async def _read_status(reader: asyncio.StreamReader) -> str:
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


def generate(port: int, callbacks: Sequence[Callback], rate: float, start_at: float) -> CallbackLoad:
    """Run one generator in this process."""

    async def main() -> CallbackLoad:
        return await Generator(port, callbacks, rate).run(start_at)

    return asyncio.run(main())


def cpu_seconds(pid: int | None) -> float:
    """Return the CPU seconds used by a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--generators", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-kill", action="store_true", help="measure only")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="threelane-callbacks-"))
    server = RedisServer(folder).start()
    environment = {
        "THREELANE_REDIS_URL": server.url,
        "THREELANE_CALLBACK_SECRET": SECRET,
        "THREELANE_CALLBACKS_PORT": str(free_port()),
        "THREELANE_METRICS_PORT": "0",
    }
    endpoints: list[Child] = []
    try:
        ids = _sent(server, int(options.rate * options.seconds / 2))
        endpoints.append(threelane_child("callbacks", folder, environment))
        endpoints[0].event("callbacks")
        loads = _flood(ids, endpoints, server, folder, environment, options)
        return 0 if _judge(server, ids, loads) else 1
    finally:
        for endpoint in endpoints:
            endpoint.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _sent(server: RedisServer, number: int) -> list[str]:
    """Return the ids of messages in the state that accept, claim and settle leave them in."""
    with Producer(ProducerSettings(redis_url=server.url)) as producer:
        results = producer.send_many({"to": f"27999{500_000 + n % 400_000}", "text": "Hello"} for n in range(number))
        ids = [result.id for result in results]
    for start in range(0, number, 20_000):  # the rate limit's burst
        attempted(server.url, ids[start : start + 20_000], TAKEN)
    with redis.Redis(port=server.port) as client:
        assert number == client.zcard(keys.AWAITING[3]), "not all messages were sent"
    return ids


def _flood(
    ids: Sequence[str],
    endpoints: list[Child],
    server: RedisServer,
    folder: Path,
    environment: dict[str, str],
    options: argparse.Namespace,
) -> list[CallbackLoad]:
    """Post the callbacks, kill the endpoint halfway, start another on the same port."""
    port, count = int(environment["THREELANE_CALLBACKS_PORT"]), options.generators
    callbacks = [(one, status) for one in ids for status in ("003", "004")]
    Random(options.seed).shuffle(callbacks)
    pids = (endpoints[0].process.pid, server.process.pid if server.process else None)
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        start_at = time.time() + 3
        shares = [(port, callbacks[n::count], options.rate / count, start_at) for n in range(count)]
        running: list[AsyncResult[CallbackLoad]] = [pool.apply_async(generate, share) for share in shares]
        time.sleep(max(0.0, start_at - time.time()))
        before = [cpu_seconds(pid) for pid in pids]
        time.sleep(options.seconds / 2)
        killed_at = time.time() - start_at
        used = [(cpu_seconds(pid) - was) / killed_at for pid, was in zip(pids, before, strict=True)]
        back_at = killed_at
        if not options.no_kill:
            kill(endpoints[0])
            endpoints.append(threelane_child("callbacks", folder, environment, len(endpoints)))
            endpoints[-1].event("callbacks")
            back_at = time.time() - start_at
        loads = [one.get() for one in running]
    print(f"{len(callbacks)} callbacks for {len(ids)} messages, {options.rate:.0f} per second, {count} generators")
    if not options.no_kill:
        print(f"the endpoint was killed after {killed_at:.1f} s and listened again after {back_at:.1f} s")
    _print_rate("before the kill", loads, 0.0, killed_at)
    _print_rate("after it", loads, back_at, max(load.duration for load in loads))
    busy = max(load.cpu_seconds / load.duration for load in loads)
    late = max(load.latest for load in loads) * 1000
    print(f"of a core: endpoint {used[0]:.0%}, Redis {used[1]:.0%}, generator {busy:.0%}, at most {late:.0f} ms behind")
    limit = "the generator" if busy > 0.9 else "the endpoint" if used[0] > 0.9 else "neither"
    print(f"bottleneck: {limit}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return loads


def _print_rate(when: str, loads: Sequence[CallbackLoad], since: float, until: float) -> None:
    responses = [(at, duration) for load in loads for at, duration in load.responses if since <= at < until - duration]
    if len(responses) < 2:
        print(f"{when}: too few responses")
        return
    lasted = max(at + duration for at, duration in responses) - since
    times = sorted(duration * 1000 for _, duration in responses)
    median, late = quantiles(times, n=100)[49], quantiles(times, n=100)[98]
    print(
        f"{when}: {len(responses) / lasted:.0f} acknowledged per second; "
        f"median {median:.1f} ms, 99th {late:.1f} ms, worst {times[-1]:.1f} ms"
    )


def _judge(server: RedisServer, ids: Sequence[str], loads: Sequence[CallbackLoad]) -> bool:
    """Compare Redis with the callbacks sent."""
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
        awaited = client.zcard(keys.AWAITING[3])
    found = {
        "lost": sum(status != b"delivered" for status, _ in records),
        "not charged exactly once": sum(charge != b"%d" % CHARGE for _, charge in records),
        "not published exactly once": sum(outcomes[one] != 1 for one in ids) + len(outcomes.keys() - set(ids)),
        "never acknowledged": sum(load.given_up for load in loads),
        "still awaited": awaited,
        "credits wrong by": abs(tally.get("charged:3:", 0) - CHARGE * len(ids)),
        "transitions wrong by": abs(tally.get("to:3:delivered", 0) - len(ids)),
    }
    print(f"repeated: {repeated.total()} {dict(repeated)}")
    print(", ".join(f"{name}: {count}" for name, count in found.items()))
    return not any(found.values())


if __name__ == "__main__":
    sys.exit(main())
