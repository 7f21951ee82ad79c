"""Waiting: a backlog waits behind a hold for minutes, the sweep leaves it alone, and each message is sent once.

``python -m tests.chaos.waiting --messages 100000 --seconds 600``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import ledger
from tests.chaos.world import World
from threelane import Producer, ProducerSettings
from threelane.store import keys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    world = World(Path(tempfile.mkdtemp(prefix="threelane-waiting-")), seed=1, workers=2, producers=0)
    try:
        world.start(0, 0)
        world.sandbox.control("POST", "settings", {"latency_ms": 0, "latency_jitter_ms": 0})
        world.sandbox.control(
            "POST", "faults", {"do": "code", "code": "130", "seconds": options.seconds, "times": None}
        )
        client = world.client()
        with Producer(ProducerSettings(redis_url=world.redis.url)) as producer:
            accepted = {result.id for result in producer.send_many(_messages(options.messages))}
        ends = time.time() + options.seconds
        while time.time() < ends:
            time.sleep(5)
        swept = {name: int(n) for name, n in client.hgetall(keys.TALLY).items() if name.startswith(b"swept")}
        nudges = sum(int(client.llen(keys.queue(lane))) for lane in keys.LANES)
        print(f"after {options.seconds} s: {client.zcard(keys.QUEUED[3])} wait on {nudges} nudges, swept: {swept or 0}")
        world.sandbox.control("DELETE", "faults")
        while ledger.moving(client):
            time.sleep(1)
        verdict = ledger.compare(accepted, client, world.ledger())
        print(f"sent {verdict.received}, twice {len(verdict.twice)}, lost {len(verdict.lost)}, {verdict.by_status}")
        return 0 if verdict.sound and not swept and verdict.received == len(accepted) == options.messages else 1
    finally:
        world.stop()


def _messages(number: int) -> list[dict[str, str]]:
    return [{"to": f"27999{500_000 + n % 400_000}", "text": "News"} for n in range(number)]


if __name__ == "__main__":
    sys.exit(main())
