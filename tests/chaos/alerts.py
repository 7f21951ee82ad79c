"""Alerts: each fires for its cause on a real stack under a real Prometheus, and clears when the cause is fixed.

``python -m tests.chaos.alerts`` runs one scenario after the other, prints when each alert fired and cleared, and exits
with 1 if one did not. A minute in the rules is a second here.
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
from tests.servers import allow_repeats
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


class AlertStack:
    """The stack, and the actions of scenarios on it."""

    def __init__(self, stack: Stack, prometheus: Prometheus, client: redis.Redis, producer: Producer) -> None:
        self.stack = stack
        self.prometheus = prometheus
        self.client = client
        allow_repeats(client)
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


def _nothing(_: AlertStack) -> None:
    """The remedy of a cause that needs none."""


class AlertScenario(NamedTuple):
    """Alerts, their cause and its remedy; ``again`` is repeated every second until the alerts fire."""

    alerts: tuple[str, ...]
    cause: str
    harm: Callable[[AlertStack], None]
    remedy: Callable[[AlertStack], None] = _nothing
    again: Callable[[AlertStack], None] = _nothing


SCENARIOS = (
    AlertScenario(("UnlistedCode",), "a response with code 777", lambda world: world.send("27999177700")),
    AlertScenario(
        ("AlarmRaised", "DeadLettersRise"),
        "8 responses with code 160, a bug in Threelane",
        lambda world: world.send("27999116000", 8),
    ),
    AlertScenario(
        ("InDoubtRises",),
        "30 connections cut in the middle of the response",
        lambda world: world.send("27999300301", 30),
        again=lambda world: world.send("27999300301", 10),
    ),
    AlertScenario(
        ("LateReceipts",),
        "10 login codes without a receipt",
        lambda world: world.send("27999400400", 10, lane=1),
        again=lambda world: world.send("27999400400", 2, lane=1),
    ),
    AlertScenario(
        ("NoCredit",),
        "the account is empty",
        lambda world: (world.credit(set="0"), world.send("27999500001", 3, lane=1))[0],
        lambda world: world.credit(set="1000"),
    ),
    AlertScenario(
        ("AccountHeld",),
        "Clickatell has frozen the account",
        lambda world: world.send("27999100401", lane=1),
        lambda world: hold.resume(world.client, "account", now_of(world.client)) and None,
    ),
    AlertScenario(
        ("BalanceBelowCommitted",),
        "200 scheduled messages, and credit for a few",
        lambda world: (world.credit(set="50"), world.send("27999500001", 200, delay=3600))[0],
        lambda world: world.credit(set="1000"),
    ),
    AlertScenario(
        ("ReserveInForce",),
        "15 credits left, below the reserve of 20",
        lambda world: world.credit(set="15"),
        lambda world: world.credit(set="1000"),
    ),
    AlertScenario(
        ("WorkerGone", "NoWorker", "LaneOneStuck"),
        "kill -9 of all workers while login codes wait",
        lambda world: (world.kill_workers(), world.send("27999500001", 20, lane=1))[0],
        AlertStack.start_worker,
    ),
    AlertScenario(
        ("RedisMemoryHigh",),
        "85 % of the memory used",
        lambda world: world.memory(0.85),
        lambda world: world.memory(0),
    ),
    AlertScenario(
        ("RedisMemoryFull",),
        "95 % of the memory used",
        lambda world: world.memory(0.95),
        lambda world: world.memory(0),
    ),
)


class Played(NamedTuple):
    """The result of a scenario: seconds until its alerts fired, and until they cleared; None if they did not."""

    fired: float | None
    cleared: float | None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only the scenarios of this alert")
    parser.add_argument("--pictures", type=Path, help="draw the dashboards of the run into this folder")
    options = parser.parse_args()
    if MISSING:
        print(MISSING, file=sys.stderr)
        return 2
    scenarios = [scenario for scenario in SCENARIOS if not options.only or options.only in scenario.alerts]
    with tempfile.TemporaryDirectory(prefix="threelane-alerts-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (
            Stack(folder / "stack", {}, ENVIRONMENT) as stack,
            Prometheus(folder / "prometheus", stack.metrics, scaled(RULES.read_text())) as prometheus,
            Producer(ProducerSettings(redis_url=stack.redis_url, producer="alerts")) as producer,
        ):
            world = AlertStack(stack, prometheus, redis.Redis.from_url(stack.redis_url), producer)
            world.send("27999500001", 5, lane=1)
            time.sleep(12)  # the rules compare with values of ten seconds ago
            started = time.monotonic()
            played = [_play(world, scenario) for scenario in scenarios]
            if options.pictures:
                draw_all(prometheus.url, time.monotonic() - started, options.pictures, window="5s")
    return _judge(scenarios, played)


def scaled(rules: str) -> str:
    """Return the rules with a second for each minute."""
    prefixes = ("#", "summary", "meaning", "first_step", "runbook")
    lines = (line if line.lstrip().startswith(prefixes) else f"{line} " for line in rules.splitlines())
    return "\n".join(_DURATION.sub(lambda found: f"{int(found[1]) * _SECONDS[found[2]]}s", line) for line in lines)


def _play(world: AlertStack, scenario: AlertScenario) -> Played:
    started = time.monotonic()
    scenario.harm(world)
    missing = set(scenario.alerts)
    fired = cleared = None
    while time.monotonic() - started < LONGEST_SECONDS:
        missing -= world.prometheus.firing()
        if not missing:
            fired = time.monotonic() - started
            break
        scenario.again(world)
        time.sleep(1)
    remedied = time.monotonic()
    scenario.remedy(world)
    while time.monotonic() - remedied < LONGEST_SECONDS:
        if not set(scenario.alerts) & world.prometheus.firing():
            cleared = time.monotonic() - remedied
            break
        time.sleep(1)
    print(
        f"{', '.join(scenario.alerts)}: fired {fired and round(fired)}, cleared {cleared and round(cleared)}",
        flush=True,
    )
    return Played(fired, cleared)


def _judge(scenarios: list[AlertScenario], played: list[Played]) -> int:
    table = Table("alert", "cause", "fired after", "cleared after")
    for scenario, one in zip(scenarios, played, strict=True):
        cells = [f"{seconds:.0f} s" if seconds is not None else "[bold red]not[/]" for seconds in one]
        table.add_row("\n".join(scenario.alerts), scenario.cause, *cells)
    Console().print(table)
    return 0 if all(None not in one for one in played) else 1


if __name__ == "__main__":
    sys.exit(main())
