"""Tree system: the processes of any source tree, driven only from outside."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.gateway_process import GatewayProcess
from bench.processes import Process, Use, module
from bench.systems import MOST_SECONDS, OPTIONS, Threelane
from tests.servers import RedisServer
from tests.trees import Tree

POLL_SECONDS = 0.02
SETTLE_SECONDS = 0.2  # the gateway's last response arrives after 0.05 s and is settled within milliseconds
NO_REWRITES = ("--auto-aof-rewrite-percentage", "0")  # a rewrite would disturb only some runs


@dataclass(frozen=True, slots=True)
class Workload:
    """The messages of one run, and the call that enqueues them."""

    call: str  # of bench/peers/tree.py
    messages: int
    arguments: tuple[int, ...] = ()  # further arguments of the call
    receipts_after: tuple[float, ...] = ()  # seconds from a send to each of its receipts


class TreeSystem(Threelane):
    """A Redis and, unless it is intake only, a worker and the endpoint for receipts, all of one tree."""

    caller = "bench.peers.tree"

    def __init__(self, folder: Path, gateway: GatewayProcess, tree: Tree, api: str, connections: int) -> None:
        """Send by one of the gateway's APIs; without one, ``api=""``, no worker runs."""
        super().__init__(folder, gateway, api or "http", connections=connections, serves=bool(api))
        self.tree = tree
        self.server = RedisServer(self.folder, *OPTIONS, *NO_REWRITES)

    def environment(self) -> dict[str, str]:
        """Return the settings, and the library's location for the caller."""
        tree = {"BENCH_TREE": str(self.tree.root), "BENCH_LIBRARY": self.tree.layout.library}
        return super().environment() | tree

    def _command(self, *arguments: str) -> list[str]:
        return self.tree.command(*arguments)

    def _caller(self) -> list[str]:
        return [self.tree.python, *module("bench.caller", self.caller)[1:]]

    def cost(self, workload: Workload) -> Use:
        """Return the CPU seconds of one run, until every message is settled and every receipt acknowledged."""
        self.gateway.set(
            receipts_after=workload.receipts_after, receipts_url=self.receipts_url if workload.receipts_after else ""
        )
        producer = self.processes["producer"]
        before, started = self.cpu(), time.perf_counter()
        producer.request([workload.call, workload.messages, *workload.arguments], MOST_SECONDS)
        if not self.serves:
            return self.cpu() - before
        while not self._gateway_has_all(workload):
            time.sleep(POLL_SECONDS)
            self._check(started, f"not all of {workload.messages} messages were sent: {self.gateway.counts()}")
        time.sleep(SETTLE_SECONDS)
        used = self.cpu() - before
        while _unsettled(producer):  # the query costs CPU, too, which is not counted
            before = self.cpu()
            time.sleep(SETTLE_SECONDS)
            used += self.cpu() - before
            self._check(started, f"not all of {workload.messages} messages were settled")
        return used

    def _gateway_has_all(self, workload: Workload) -> bool:
        counts = self.gateway.counts()
        if counts["accepted"] > workload.messages:
            raise RuntimeError(f"{self.tree.name}: {workload.messages} messages were sent {counts['taken']} times")
        receipts = workload.messages * len(workload.receipts_after)
        return counts["accepted"] == workload.messages and counts["acknowledged"] >= receipts


def _unsettled(producer: Process) -> int:
    return int(producer.request(["unsettled", 0], MOST_SECONDS)["unsettled"])
