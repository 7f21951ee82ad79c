"""Tree side: the processes of any tree of the sources, driven from outside alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.double import Double
from bench.processes import Process, Use, module
from bench.sides import MOST_SECONDS, OPTIONS, Threelane
from tests.servers import RedisServer
from tests.trees import Tree

POLL_SECONDS = 0.02
SETTLE_SECONDS = 0.2  # the last answer of the gateway comes after 0.05, and is settled in some milliseconds
NO_REWRITES = ("--auto-aof-rewrite-percentage", "0")  # one would fall into some runs and not into others


@dataclass(frozen=True, slots=True)
class Load:
    """Messages of one run, and how they are enqueued."""

    call: str  # of bench/peers/tree.py
    messages: int
    words: tuple[int, ...] = ()  # further arguments of the call
    receipts_after: tuple[float, ...] = ()  # seconds from a send to each of its receipts


class TreeSide(Threelane):
    """A Redis and, unless it is intake alone, a worker and the endpoint for receipts, all of one tree."""

    caller = "bench.peers.tree"

    def __init__(self, folder: Path, double: Double, tree: Tree, api: str, connections: int) -> None:
        """Send by one of the gateway's APIs; without one, ``api=""``, no worker runs."""
        super().__init__(folder, double, api or "http", connections=connections, serves=bool(api))
        self.tree = tree
        self.server = RedisServer(self.folder, *OPTIONS, *NO_REWRITES)

    def environment(self) -> dict[str, str]:
        """Return the settings, and for the caller where the library is."""
        tree = {"BENCH_TREE": str(self.tree.root), "BENCH_LIBRARY": self.tree.layout.library}
        return super().environment() | tree

    def _command(self, *words: str) -> list[str]:
        return self.tree.command(*words)

    def _caller(self) -> list[str]:
        return [self.tree.python, *module("bench.caller", self.caller)[1:]]

    def cost(self, load: Load) -> Use:
        """Return the CPU seconds of one run: until all is settled and every receipt is acknowledged."""
        self.double.set(receipts_after=load.receipts_after, door=self.door if load.receipts_after else "")
        producer = self.processes["producer"]
        before, started = self.cpu(), time.perf_counter()
        producer.ask([load.call, load.messages, *load.words], MOST_SECONDS)
        if not self.serves:
            return self.cpu() - before
        while not self._gateway_has_all(load):
            time.sleep(POLL_SECONDS)
            self._check(started, f"not all of {load.messages} messages were sent: {self.double.counts()}")
        time.sleep(SETTLE_SECONDS)
        used = self.cpu() - before
        while _unsettled(producer):  # asking costs CPU, too: it is left out
            before = self.cpu()
            time.sleep(SETTLE_SECONDS)
            used += self.cpu() - before
            self._check(started, f"not all of {load.messages} messages were settled")
        return used

    def _gateway_has_all(self, load: Load) -> bool:
        counts = self.double.counts()
        if counts["taken"] > load.messages:
            raise RuntimeError(f"{self.tree.name}: {load.messages} messages were sent {counts['taken']} times")
        receipts = load.messages * len(load.receipts_after)
        return counts["taken"] == load.messages and counts["acknowledged"] >= receipts


def _unsettled(producer: Process) -> int:
    return int(producer.ask(["unsettled", 0], MOST_SECONDS)["unsettled"])
