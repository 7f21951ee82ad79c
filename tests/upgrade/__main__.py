"""Upgrade: under load, workers of an earlier commit are replaced one by one by this one's, then ledgers are compared.

``make upgrade FROM=v0.1.0 ARGS="--messages 6000 --seconds 60"``; exits with 1 on a breach.

The earlier commit is checked out into a temporary git work tree and runs with the same packages, or with those of
its own lock if it requires others.  The order is that of docs/deploy.md: producers and the callback endpoint stay old
until the last worker is new, and then are replaced, too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos import ledger
from tests.chaos.world import World
from tests.trees import Tree, commit, earlier_tree, last_release, this_tree
from threelane.demo.child import Child, _end_with_parent

THIS = this_tree()
QUIET_SECONDS = 120.0
BREACHES = ("lost", "twice", "unfinished", "disagree")


class MixedWorld(World):
    """A world with processes of two commits; ``start_worker`` starts a worker of ``tree``."""

    tree = THIS

    def start_worker(self, skew: int = 0) -> None:  # noqa: ARG002 - of the base class
        """Start a worker of the current tree, with a correct clock."""
        number = self.worker_number
        self.worker_number += 1
        self.workers[number] = self._of_tree(f"worker-{number}", ["worker"], "workers-redis")
        self.workers[number].event("started")
        self.count(f"workers of {self.named()} started")

    def start_producer(self, number: int) -> None:
        """Start a producer; it continues after the last id recorded for its number."""
        arguments = [str(number), str(self._share), str(self._seconds), str(self.seed), str(self.reported_file(number))]
        self.producing[number] = subprocess.Popen(
            [self.tree.python, "-m", "tests.chaos.producing", *arguments],
            env={**self._environment_of_tree(), "THREELANE_REDIS_URL": self.redis_urls["producers-redis"]},
            cwd=self.tree.root,
            stderr=(self.folder / f"producer-{number}.log").open("ab"),
            preexec_fn=_end_with_parent,
        )
        self.count(f"producers of {self.named()} started")

    def replace_endpoint(self) -> None:
        """Replace the callback endpoint; the gateway retries callbacks that fail meanwhile."""
        self.endpoint.stop()
        self.endpoint = self._of_tree("endpoint", ["callbacks"], "endpoint-redis")
        self.endpoint.event("callbacks")

    def named(self) -> str:
        return "this commit" if self.tree == THIS else "the earlier commit"

    def _environment_of_tree(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "PYTHONPATH": str(self.tree.root)}

    def _of_tree(self, name: str, arguments: list[str], route: str) -> Child:
        environment = self._environment_of_tree() | {
            "THREELANE_REDIS_URL": self.redis_urls[route],
            "THREELANE_WORKER_NAME": name,
        }
        return Child(name, self.tree.command(*arguments), self.folder / f"{name}.log", environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--from", dest="earlier", type=commit, default=last_release(), help="a tag or commit; default: the last tag"
    )
    parser.add_argument("--messages", type=int, default=6_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="threelane-upgrade-"))
    with earlier_tree(options.earlier, folder) as earlier:
        sound = _upgrade(folder, earlier, options, Console())
    if sound:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        Console().print(f"logs in {folder}", markup=False)
    return 0 if sound else 1


def _upgrade(folder: Path, earlier: Tree, options: argparse.Namespace, console: Console) -> bool:
    world = MixedWorld(folder, options.seed, options.workers, producers=2)
    try:
        console.print(f"from {earlier.name} to {THIS.name}, {options.messages} messages in {options.seconds:g} s")
        world.tree = earlier
        world.start(options.messages, options.seconds)
        _roll(world, options.seconds, console)
        return _judge(world, console, options)
    finally:
        world.stop()


def _roll(world: MixedWorld, seconds: float, console: Console) -> None:
    """Replace the workers one by one with SIGTERM, as a deployment does; then the endpoint and the producers."""
    old, started = sorted(world.workers), time.monotonic()
    world.tree = THIS
    for step, number in enumerate(old, 1):
        _sleep_until(started + seconds * step / (len(old) + 3))
        world.start_worker()
        child = world.workers.pop(number)
        child.process.send_signal(signal.SIGTERM)
        child.stop()
        world.count("workers of the earlier commit stopped")
        console.print(
            f"[{time.monotonic() - started:.0f} s] worker {step} of {len(old)} replaced, {_waiting(world)} wait"
        )
    _sleep_until(started + seconds * (len(old) + 1) / (len(old) + 3))
    world.replace_endpoint()
    for number, process in sorted(world.producing.items()):
        process.kill()
        process.wait()
        world.start_producer(number)
    console.print(f"[{time.monotonic() - started:.0f} s] endpoint and producers replaced")
    while any(process.poll() is None for process in world.producing.values()):
        time.sleep(0.25)
    client = world.client()
    deadline = time.monotonic() + QUIET_SECONDS
    while ledger.moving(client) and time.monotonic() < deadline:
        time.sleep(0.25)
    console.print(f"[{time.monotonic() - started:.0f} s] quiet")


def _judge(world: MixedWorld, console: Console, options: argparse.Namespace) -> bool:
    sandbox_ledger, client = world.ledger(), world.client()
    verdict = ledger.compare(world.reported(), client, sandbox_ledger)
    table = Table(title="rolling upgrade", show_header=False)
    for event, times in sorted(world.harm.items()):
        table.add_row(event, str(times))
    table.add_section()
    table.add_row("reported accepted", str(verdict.reported))
    table.add_row("received by the gateway", str(verdict.received))
    for status, number in sorted(verdict.by_status.items()):
        table.add_row(f"  {status}", str(number))
    table.add_row("credits", f"{verdict.charged_in_records / 1e6} recorded, {verdict.charged_at_sandbox / 1e6} charged")
    for name in BREACHES:
        table.add_row(f"[bold]{name}[/]", str(len(getattr(verdict, name))))
    console.print(table)
    for one in [one for name in BREACHES for one in getattr(verdict, name)][:3]:
        console.print(ledger.history(one, client, sandbox_ledger, world.folder), markup=False, highlight=False)
    return verdict.sound and verdict.reported >= options.messages // 2 * 2


def _waiting(world: MixedWorld) -> int:
    return ledger.moving(world.client())


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())
