"""Alerts: each fires for its cause on a real stack under a real Prometheus, and is over when the cause is mended.

``python -m tests.chaos.alerts`` plays one scene after the other, prints when each alert fired and cleared, and exits
with 1 if one did not. A minute of the rules lasts a second here.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import redis
from rich.console import Console
from rich.table import Table

from deploy.grafana.render import draw_all
from tests.prometheus import MISSING, RULES, Prometheus
from threelane import Producer, ProducerSettings
from threelane.demo.stack import Stack
from threelane.interfaces.command.query import now_of
from threelane.worker.account import hold

LONGEST_SECONDS = 75.0
_DURATION = re.compile(r"(?<=\[|\s)(\d+)([mh])(?=[\]\s)])")
_SECONDS = {"m": 1, "h": 60}
ENVIRONMENT = {
    "THREELANE_BALANCE_SECONDS": "1",
    "THREELANE_RESERVE_CREDITS": "10,10",
    "THREELANE_LATE_AFTER_SECONDS": "1",
}


class World:
    """The stack, and what scenes do to it."""

    def __init__(self, stack: Stack, prometheus: Prometheus, client: redis.Redis, producer: Producer) -> None:
        self.stack = stack
        self.prometheus = prometheus
        self.client = client
        self.producer = producer
        self.workers = 1
        self._dead: set[str] = set()

    def send(self, to: str, times: int = 1, **more: object) -> None:
        self.producer.send_many([{"to": to, "text": "Hello", **more} for _ in range(times)])

    def credit(self, **change: str) -> None:
        self.stack.call_sandbox("/sandbox/credit", change)

    def kill_workers(self) -> None:
        for name, process in self.stack.describe(0)["processes"].items():
            if name.startswith("worker") and name not in self._dead:
                os.kill(process, signal.SIGKILL)
                self._dead.add(name)

    def start_worker(self) -> None:
        self.workers += 1
        self.stack.start_worker(f"worker{self.workers}")
        running = {name: url for name, url in self.stack.metrics.items() if name not in self._dead}
        self.prometheus.scrape(running)

    def memory(self, share: float) -> None:
        used = int(self.client.info("memory")["used_memory"])  # type: ignore[index]
        self.client.config_set("maxmemory", int(used / share) if share else 0)


def _nothing(_: World) -> None:
    """What mends itself."""


class Scene(NamedTuple):
    """Alerts, what makes them fire, and what ends them; the harm is repeated every second until they fire."""

    alerts: tuple[str, ...]
    cause: str
    harm: Callable[[World], None]
    remedy: Callable[[World], None] = _nothing
    again: Callable[[World], None] = _nothing


SCENES = (
    Scene(("UnlistedCode",), "an answer with code 777", lambda world: world.send("27999177700")),
    Scene(
        ("AlarmRaised", "DeadLettersRise"),
        "8 answers with code 160, a mistake of ours",
        lambda world: world.send("27999116000", 8),
    ),
    Scene(
        ("InDoubtRises",),
        "30 connections cut in the middle of the answer",
        lambda world: world.send("27999300301", 30),
        again=lambda world: world.send("27999300301", 10),
    ),
    Scene(
        ("LateReceipts",),
        "10 login codes without a receipt",
        lambda world: world.send("27999400400", 10, lane=1),
        again=lambda world: world.send("27999400400", 2, lane=1),
    ),
    Scene(
        ("NoCredit",),
        "the account is empty",
        lambda world: (world.credit(set="0"), world.send("27999500001", 3, lane=1))[0],
        lambda world: world.credit(set="1000"),
    ),
    Scene(
        ("AccountHeld",),
        "Clickatell refuses the credentials",
        lambda world: world.send("27999100101", lane=1),
        lambda world: hold.resume(world.client, "account", now_of(world.client)) and None,
    ),
    Scene(
        ("BalanceBelowCommitted",),
        "200 scheduled messages, and credit for a few",
        lambda world: (world.credit(set="50"), world.send("27999500001", 200, delay=3600))[0],
        lambda world: world.credit(set="1000"),
    ),
    Scene(
        ("ReserveInForce",),
        "15 credits left, of which 20 are kept",
        lambda world: world.credit(set="15"),
        lambda world: world.credit(set="1000"),
    ),
    Scene(
        ("WorkerGone", "NoWorker", "LaneOneStuck"),
        "kill -9 of all workers while login codes wait",
        lambda world: (world.kill_workers(), world.send("27999500001", 20, lane=1))[0],
        World.start_worker,
    ),
    Scene(
        ("RedisMemoryHigh",),
        "85 % of the memory used",
        lambda world: world.memory(0.85),
        lambda world: world.memory(0),
    ),
    Scene(
        ("RedisMemoryFull",),
        "95 % of the memory used",
        lambda world: world.memory(0.95),
        lambda world: world.memory(0),
    ),
)


class Played(NamedTuple):
    """What a scene came to: seconds until its alerts fired, and until they were over; None: not."""

    fired: float | None
    cleared: float | None


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--only", default="", help="scenes of this alert alone")
    words.add_argument("--pictures", type=Path, help="draw the dashboards of the run into this folder")
    asked = words.parse_args()
    if MISSING:
        print(MISSING, file=sys.stderr)
        return 2
    scenes = [scene for scene in SCENES if not asked.only or asked.only in scene.alerts]
    with tempfile.TemporaryDirectory(prefix="threelane-alerts-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (
            Stack(folder / "stack", {}, ENVIRONMENT) as stack,
            Prometheus(folder / "prometheus", stack.metrics, scaled(RULES.read_text())) as prometheus,
            Producer(ProducerSettings(redis_url=stack.redis_url, producer="alerts")) as producer,
        ):
            world = World(stack, prometheus, redis.Redis.from_url(stack.redis_url), producer)
            world.send("27999500001", 5, lane=1)
            time.sleep(12)  # what is new is told against what was ten seconds ago
            started = time.monotonic()
            played = [_play(world, scene) for scene in scenes]
            if asked.pictures:
                draw_all(prometheus.url, time.monotonic() - started, asked.pictures, window="5s")
    return _judge(scenes, played)


def scaled(rules: str) -> str:
    """Return the rules with a second for each minute."""
    words = ("#", "summary", "meaning", "first_step", "runbook")
    lines = (line if line.lstrip().startswith(words) else f"{line} " for line in rules.splitlines())
    return "\n".join(_DURATION.sub(lambda found: f"{int(found[1]) * _SECONDS[found[2]]}s", line) for line in lines)


def _play(world: World, scene: Scene) -> Played:
    started = time.monotonic()
    scene.harm(world)
    missing = set(scene.alerts)
    fired = cleared = None
    while time.monotonic() - started < LONGEST_SECONDS:
        missing -= world.prometheus.firing()
        if not missing:
            fired = time.monotonic() - started
            break
        scene.again(world)
        time.sleep(1)
    mended = time.monotonic()
    scene.remedy(world)
    while time.monotonic() - mended < LONGEST_SECONDS:
        if not set(scene.alerts) & world.prometheus.firing():
            cleared = time.monotonic() - mended
            break
        time.sleep(1)
    print(
        f"{', '.join(scene.alerts)}: fired {fired and round(fired)}, cleared {cleared and round(cleared)}", flush=True
    )
    return Played(fired, cleared)


def _judge(scenes: list[Scene], played: list[Played]) -> int:
    table = Table("alert", "cause", "fired after", "cleared after")
    for scene, one in zip(scenes, played, strict=True):
        told = [f"{seconds:.0f} s" if seconds is not None else "[bold red]not[/]" for seconds in one]
        table.add_row("\n".join(scene.alerts), scene.cause, *told)
    Console().print(table)
    return 0 if all(None not in one for one in played) else 1


if __name__ == "__main__":
    sys.exit(main())
