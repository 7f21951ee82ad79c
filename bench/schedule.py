"""Schedule: a million messages scheduled over an hour, with the hour simulated in a minute or two.

``python -m bench.schedule --messages 1000000 --hours 1``

Prints the rate of intake, the memory of a waiting message in Redis, and the lateness of releases.  The hour is
simulated: the release loop of a worker runs as in production, but its pauses advance its clock without sleeping; the
time of its work is real.  Halfway the process is killed (SIGKILL) in the middle of its work, and another
starts after ``--away`` seconds of that clock.  Exit code 1 when a message was early, lost or released twice.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from bench.messages import TEXT
from bench.systems import OPTIONS
from tests.servers import RedisServer
from threelane import Producer, ProducerSettings
from threelane.producer.nudge import Nudger
from threelane.store import keys
from threelane.worker.fetch.release import BATCH, RELEASE_SECONDS, release
from threelane.worker.process.settings import WorkerSettings

CLOCK = "bench:clock"  # the simulated time, ms
AHEAD = 2 * 3600  # seconds: the first message is due after all are accepted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--away", type=float, default=3.0, help="seconds without a worker after the kill")
    parser.add_argument("--release", nargs=2, metavar=("URL", "UNTIL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.release:
        asyncio.run(_release(options.release[0], int(options.release[1])))
        return 0
    with tempfile.TemporaryDirectory(prefix="threelane-bench-") as folder:
        server = RedisServer(Path(folder), *OPTIONS).start()
        try:
            return _measure(server, options.messages, options.hours, options.away)
        finally:
            server.stop()


def _measure(server: RedisServer, messages: int, hours: float, away: float) -> int:
    client = redis.Redis.from_url(server.url)
    empty, first_due = int(client.info("memory")["used_memory"]), (int(time.time()) + AHEAD) * 1000
    span = int(hours * 3600 * 1000)
    started = time.perf_counter()
    due_at = _accept(server.url, messages, first_due, span)
    seconds = time.perf_counter() - started
    waiting = int(client.info("memory")["used_memory"]) - empty
    print(f"intake   {messages / seconds:,.0f} messages per second, {messages:,} in {seconds:.0f} s, one process")
    print(f"memory   {waiting / messages:,.0f} bytes per waiting message of 100 characters, {waiting / 2**20:,.0f} MiB")

    client.set(CLOCK, first_due)
    half, end = first_due + span // 2, first_due + span + 60_000
    real = time.perf_counter()
    child = _start(server.url, end)
    while _clock(client) < half:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    died = _clock(client)
    client.set(CLOCK, died + int(away * 1000))
    _start(server.url, end).wait()
    real = time.perf_counter() - real
    return _judge(client, due_at, died, int(away * 1000), real)


def _clock(client: redis.Redis) -> int:
    shown: Any = client.get(CLOCK)
    return int(shown or 0)


def _accept(url: str, messages: int, first_due: int, span: int) -> dict[str, int]:
    """Enqueue the messages; returns id -> due time in ms."""

    def drafts() -> Iterator[dict[str, Any]]:
        for number in range(messages):
            at = datetime.fromtimestamp((first_due + number * span // messages) / 1000, UTC)
            yield {"to": f"2783{number % 10_000_000:07d}", "text": TEXT, "deliver_at": at}

    with Producer(ProducerSettings(redis_url=url)) as producer:
        return {result.id: result.due_at for result in producer.send_stream(drafts())}  # type: ignore[union-attr]


def _start(url: str, until: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bench.schedule", "--release", url, str(until)])


async def _release(url: str, until: int) -> None:
    """Run the release loop of a worker, on a clock whose pauses do not sleep."""
    client = redis.asyncio.Redis.from_url(url)
    nudger = Nudger(WorkerSettings(redis_url=url))
    shown: Any = await client.get(CLOCK)
    now = float(shown)
    while now < until:
        started = time.perf_counter()
        released = await release(client, 3, int(now))
        await asyncio.to_thread(nudger.publish, 3, released)
        now += (time.perf_counter() - started) * 1000
        if len(released) < BATCH:
            now += RELEASE_SECONDS * 1000
        await client.set(CLOCK, int(now))
    nudger.close()
    await client.aclose()


def _judge(client: redis.Redis, due_at: dict[str, int], died: int, away: int, real: float) -> int:
    """Check that each message was released once and none early; print the lateness."""
    released = {one.decode(): int(at) for one, at in client.zscan_iter(keys.QUEUED[3], count=10_000)}
    lost = due_at.keys() - released.keys()
    late = {one: at - due_at[one] for one, at in released.items()}
    early = sum(wait < 0 for wait in late.values())
    unattended = sum(died - 1000 <= due_at[one] <= died + away for one in late)
    served = sorted(wait for one, wait in late.items() if not died - 1000 <= due_at[one] <= died + away)
    counted: Any = client.hget(keys.TALLY, "to:3:queued")
    moves = int(counted or 0)
    print(f"release  {len(released):,} released in {real:.0f} s of real time, {moves:,} moves")
    middle, late_one = statistics.median(served), served[len(served) * 99 // 100]
    print(f"lateness median {middle / 1000:.3f} s, 99th {late_one / 1000:.3f} s, worst {served[-1] / 1000:.3f} s")
    worst = max(late.values()) / 1000
    print(f"         {worst:.3f} s at worst for the {unattended:,} due around the {away / 1000:g} s without a worker")
    print(f"early    {early}   lost {len(lost)}   twice {moves - len(released)}")
    return int(bool(early or lost or moves != len(due_at)))


if __name__ == "__main__":
    sys.exit(main())
