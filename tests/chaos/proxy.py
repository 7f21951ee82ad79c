"""A TCP proxy that misbehaves when told to: one route for each pair of processes.

Started with its routes as JSON and a seed on the command line; commands come as JSON lines on standard input:
{"route": "redis", "do": "cut"}           every open connection is cut
{"route": "redis", "do": "refuse", "seconds": 2}   connections are cut, and new ones too for a while
{"route": "redis", "do": "mute", "seconds": 2}     bytes wait for a while, in both directions
{"route": "redis", "do": "drop_answer", "times": 2}     cut when an answer comes, before any of it is passed on
{"route": "redis", "do": "half_answer", "times": 2}     pass on half of what came of it, then cut
{"route": "redis", "do": "drop_request", "times": 2}    cut when a request comes, before any of it is passed on
{"route": "gateway", "do": "drop_answer", "share": 0.25, "seconds": 2}   this share of the answers, for a while

A request, or an answer, is drawn for once, however long it is.
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


class Spell:
    """A kind of damage that is done a number of times, or to a share of what passes, for a while."""

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


class Turn:
    """Whose turn it is to speak on a connection: a request, or an answer, begins when it changes."""

    def __init__(self) -> None:
        self._side = ""

    def is_now(self, side: str) -> bool:
        """Note who speaks; tells whether that is the beginning of what it says."""
        begins, self._side = side != self._side, side
        return begins


class Route:
    """One pair: a port of ours, and the port behind it."""

    def __init__(self, upstream: int, rng: Random) -> None:
        self.upstream = upstream
        self.rng = rng
        self.open: set[asyncio.StreamWriter] = set()
        self.refuse_until = self.mute_until = 0.0
        self.spells: dict[str, Spell] = {}
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
        turn = Turn()
        try:
            tasks = [
                asyncio.create_task(self._pump(turn, reader, up_writer, "drop_request", "")),
                asyncio.create_task(self._pump(turn, up_reader, writer, "drop_answer", "half_answer")),
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
        self, turn: Turn, source: asyncio.StreamReader, sink: asyncio.StreamWriter, drop: str, half: str
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, ConnectionError):
            while data := await source.read(65536):
                if loop.time() < self.mute_until:
                    await asyncio.sleep(self.mute_until - loop.time())
                begins = turn.is_now(drop)
                if begins and self._takes(drop):
                    return
                if begins and half and self._takes(half):
                    sink.write(data[: len(data) // 2])
                    await sink.drain()
                    return
                sink.write(data)
                await sink.drain()

    def _takes(self, kind: str) -> bool:
        if kind not in self.spells or not self.spells[kind].strikes():
            return False
        self.done[kind] += 1
        return True

    def obey(self, order: dict[str, Any]) -> None:
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
            case "heal":
                self.refuse_until = self.mute_until = 0.0
                self.spells.clear()
            case kind:
                limits = {name: order[name] for name in ("times", "share", "seconds") if name in order}
                self.spells[kind] = Spell(self.rng, **limits)


async def main(routes: dict[str, tuple[int, int]], seed: str) -> None:
    made = {name: Route(upstream, Random(f"{seed}-{name}")) for name, (_, upstream) in routes.items()}
    for name, (port, _) in routes.items():
        await asyncio.start_server(made[name].serve, "127.0.0.1", port, backlog=512)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(json.dumps({"event": "listening"}), flush=True)
    while line := await orders.readline():
        order = json.loads(line)
        if order["do"] == "tell":
            print(json.dumps({name: dict(route.done) for name, route in made.items()}), flush=True)
        else:
            made[order["route"]].obey(order)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2]))
