"""Chaos: every kind of process is killed repeatedly, then three ledgers are compared.

``make chaos MESSAGES=20000 SECONDS=150 SEED=1``; exits with 1 on any breach of "nothing lost, nothing twice".
``make chaos ARGS="--show 4"`` plays a small scenario instead; fewer MESSAGES and SECONDS scale it down.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from tests.chaos import ledger, script
from tests.chaos.shows import accounts, credentials, frozen, hidden, lookups, newsletter, outage, rates, stage, stand_by
from tests.chaos.world import LOOK_UP, World
from threelane.contract.features import able
from threelane.contract.gateways import declared
from threelane.store import keys

QUIET_SECONDS = 240.0
SHOWS = {
    "2": newsletter.play,
    "3": lookups.play,
    "4": outage.play,
    "5": hidden.play,
    "accounts": accounts.play,
    "credentials": credentials.play,
    "frozen": frozen.play,
    "rates": rates.play,
    "stand-by": stand_by.play,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gateway", choices=tuple(declared()), default="http")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=36)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--show", choices=sorted(SHOWS), help="play a scenario: see tests/chaos/shows")
    parser.add_argument(
        "--kinds",
        default="",
        help="of --show 4, 5 or credentials: some of its scenes, separated by commas; of accounts: kills",
    )
    options = parser.parse_args()
    if options.show:
        return 0 if _show(options) else 1
    folder = Path(tempfile.mkdtemp(prefix="threelane-chaos-"))
    world = World(folder, options.seed, options.workers, producers=2, gateway=options.gateway)
    console = Console()
    try:
        world.start(options.messages, options.seconds * 3 / 4)
        longest = _run(world, script.write(options.seed, options.seconds, options.kills, options.restarts), console)
        sound = _judge(world, longest, console, options)
    finally:
        world.stop()
    if sound:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if sound else 1


def _show(options: argparse.Namespace) -> bool:
    size = options.messages / stage.FULL_MESSAGES, options.seconds / stage.FULL_SECONDS
    kinds = [one for one in options.kinds.split(",") if one]
    return SHOWS[options.show](stage.Scale(*size, options.seed, options.gateway), Console(), kinds)


def _run(world: World, acts: list[script.Act], console: Console) -> float:
    """Play the script; returns the longest time without a send while messages waited."""
    world.arm(script.permanent(world.gateway))
    started = time.monotonic()
    watch = _Watch(world)
    for act in acts:
        while (left := started + act.at - time.monotonic()) > 0:
            watch.look()
            time.sleep(min(left, 0.25))
        act.harm(world)
    console.print(f"[{time.monotonic() - started:.0f} s] {len(acts)} acts played; waiting for the producers")
    while any(process.poll() is None for process in world.producing.values()):
        watch.look()
        time.sleep(0.25)
    world.heal()
    client = world.client()
    deadline = time.monotonic() + QUIET_SECONDS
    while ledger.moving(client) and time.monotonic() < deadline:
        watch.look()
        time.sleep(0.25)
    console.print(f"[{time.monotonic() - started:.0f} s] quiet")
    return watch.longest


class _Watch:
    """Measures the longest pause in sending while messages wait."""

    def __init__(self, world: World) -> None:
        self._client = world.client()
        self._sent = 0
        self._since = time.monotonic()
        self.longest = 0.0

    def look(self) -> None:
        try:
            sent = sum(int(self._client.hget(keys.TALLY, f"to:{lane}:sending") or 0) for lane in keys.LANES)
            waiting = sum(int(self._client.zcard(keys.QUEUED[lane])) for lane in keys.LANES)
        except redis.RedisError:
            sent, waiting = self._sent, 1
        if sent != self._sent or not waiting:
            self._sent, self._since = sent, time.monotonic()
        self.longest = max(self.longest, time.monotonic() - self._since)


def _judge(world: World, longest: float, console: Console, options: argparse.Namespace) -> bool:
    sandbox_ledger = world.ledger()
    client = world.client()
    verdict = ledger.compare(world.reported(), client, sandbox_ledger, can_look_up=able(LOOK_UP, options.gateway))
    table = Table(
        title=f"chaos: {options.messages} messages, seed {options.seed}, API {options.gateway}", show_header=False
    )
    for harm, times in sorted(world.harm.items()):
        table.add_row(harm, str(times))
    table.add_section()
    table.add_row("reported accepted", str(verdict.reported))
    table.add_row("received by the gateway", str(verdict.received))
    for status, number in sorted(verdict.by_status.items()):
        table.add_row(f"  {status}", str(number))
    for name in ("lapsed", "swept", "resolved", "in_doubt", "stale_settle"):
        number = sum(n for field, n in verdict.tally.items() if field.split(":")[0] == name)
        table.add_row(f"  counted: {name}", str(number))
    table.add_row("longest pause", f"{longest:.1f} s")
    table.add_row("longest wait of a code of lane 1", f"{verdict.longest_wait.seconds:.1f} s")
    table.add_row("in doubt at the end", str(verdict.in_doubt))
    for reason, number in sorted(verdict.unresolved.items()):
        table.add_row(f"  reported {reason}", str(number))
    table.add_row("hidden by the gateway, two copies", str(len(verdict.hidden_twice)))
    table.add_row("denied by the gateway without a look-up, two copies", str(len(verdict.denied_twice)))
    table.add_row("credits", f"{verdict.charged_in_records / 1e6} recorded, {verdict.charged_at_sandbox / 1e6} charged")
    breaches = ("lost", "twice", "unfinished", "disagree")
    for name in breaches:
        table.add_row(f"[bold]{name}[/]", str(len(getattr(verdict, name))))
    console.print(table)
    if len(world.reported()) < options.messages // 2 * 2:
        console.print(f"producers got a result for only {len(world.reported())} of {options.messages} messages")
        return False
    if world.harm.get("worker that had ended unexpectedly"):
        console.print(f"a worker ended without being killed; logs in {world.folder}", markup=False)
        return False
    if not verdict.sound:
        for one in [one for name in breaches for one in getattr(verdict, name)][:3]:
            console.print(ledger.history(one, client, sandbox_ledger, world.folder), markup=False, highlight=False)
        console.print(f"seed {options.seed} reproduces it; logs in {world.folder}", markup=False)
    return verdict.sound


if __name__ == "__main__":
    sys.exit(main())
