"""A TCP proxy that misbehaves on command: one route for each pair of processes.

Its routes, as JSON, and a seed are arguments; it reads commands as JSON lines on standard input:
{"route": "redis", "do": "cut"}           cut every open connection
{"route": "redis", "do": "refuse", "seconds": 2}   cut connections, and refuse new ones for a while
{"route": "redis", "do": "mute", "seconds": 2}     delay bytes for a while, in both directions
{"route": "redis", "do": "slow", "seconds": 0.004}  delay all bytes by this, in both directions, until healed
{"route": "redis", "do": "drop_answer", "times": 2}     cut when a response arrives, before forwarding any of it
{"route": "redis", "do": "half_answer", "times": 2}     forward half of the data received, then cut
{"route": "redis", "do": "drop_request", "times": 2}    cut when a request arrives, before forwarding any of it
{"route": "gateway", "do": "drop_answer", "share": 0.25, "seconds": 2}   this share of the responses, for a while

Chance decides once per request or response, whatever its length.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from random import Random
from typing import Any

FOREVER = float("inf")


class FaultSpell:
    """A kind of fault, for a number of times, or for a share of the traffic, for a while."""

    def __init__(self, rng: Random, times: float = FOREVER, share: float = 1.0, seconds: float = FOREVER) -> None:
        self._rng = rng
        self._left = times
        self._share = share
        self._ends = time.monotonic() + seconds

    def strikes(self) -> bool:
        if self._left <= 0 or time.monotonic() >= self._ends or self._rng.random() >= self._share:
            return False
        self._left -= 1
        return True


class Direction:
    """The current direction of a connection: a request or a response starts when it changes."""

    def __init__(self) -> None:
        self._sender = ""

    def starts(self, sender: str) -> bool:
        """Record the direction; returns whether a request or a response starts."""
        starts, self._sender = sender != self._sender, sender
        return starts


class Route:
    """One pair: the port the proxy listens on, and the upstream port."""

    def __init__(self, upstream: int, rng: Random) -> None:
        self.upstream = upstream
        self.rng = rng
        self.open: set[asyncio.StreamWriter] = set()
        self.refuse_until = self.mute_until = self.slow_seconds = 0.0
        self.spells: dict[str, FaultSpell] = {}
        self.done: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self.refuse_until:
            self.done["refused"] += 1
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, up_writer)
        self.open.update(pair)
        direction = Direction()
        try:
            tasks = [
                asyncio.create_task(self._pump(direction, reader, up_writer, "drop_request", "")),
                asyncio.create_task(self._pump(direction, up_reader, writer, "drop_answer", "half_answer")),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self.open.difference_update(pair)
            for one in pair:
                one.transport.abort()

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter, drop: str, half: str
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, ConnectionError):
            while data := await source.read(65536):
                if loop.time() < self.mute_until:
                    await asyncio.sleep(self.mute_until - loop.time())
                if self.slow_seconds:
                    await asyncio.sleep(self.slow_seconds)
                starts = direction.starts(drop)
                if starts and self._strikes(drop):
                    return
                if starts and half and self._strikes(half):
                    sink.write(data[: len(data) // 2])
                    await sink.drain()
                    return
                sink.write(data)
                await sink.drain()

    def _strikes(self, kind: str) -> bool:
        if kind not in self.spells or not self.spells[kind].strikes():
            return False
        self.done[kind] += 1
        return True

    def apply(self, order: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        match order["do"]:
            case "cut" | "refuse":
                if order["do"] == "refuse":
                    self.refuse_until = now + order["seconds"]
                self.done["cut"] += len(self.open) // 2
                for one in list(self.open):
                    one.transport.abort()
            case "mute":
                self.mute_until = now + order["seconds"]
                self.done["mute"] += 1
            case "slow":
                self.slow_seconds = order["seconds"]
            case "heal":
                self.refuse_until = self.mute_until = self.slow_seconds = 0.0
                self.spells.clear()
            case kind:
                limits = {name: order[name] for name in ("times", "share", "seconds") if name in order}
                self.spells[kind] = FaultSpell(self.rng, **limits)


async def main(routes: dict[str, tuple[int, int]], seed: str) -> None:
    made = {name: Route(upstream, Random(f"{seed}-{name}")) for name, (_, upstream) in routes.items()}
    for name, (port, _) in routes.items():
        await asyncio.start_server(made[name].serve, "127.0.0.1", port, backlog=512)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(json.dumps({"event": "listening"}), flush=True)
    while line := await orders.readline():
        order = json.loads(line)
        if order["do"] == "report":
            print(json.dumps({name: dict(route.done) for name, route in made.items()}), flush=True)
        else:
            made[order["route"]].apply(order)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2]))
