"""Search: the best pool and concurrency of each peer, by a short run of each; and the better of our two bulk APIs."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.double import Double
from bench.progress import Steps
from bench.sides import BareLoop, Peer, PlainCelery, PlainDramatiq, PlainTaskiq, Threelane
from bench.sizes import Sizes

CANDIDATES: dict[type[Peer], tuple[str, ...]] = {
    PlainCelery: (
        "-P prefork -c 8",
        "-P prefork -c 16",
        "-P prefork -c 32",
        "-P threads -c 50",
        "-P threads -c 100",
    ),
    PlainDramatiq: ("-p 1 -t 32", "-p 2 -t 8", "-p 2 -t 16", "-p 2 -t 32"),
    PlainTaskiq: ("-w 1 --max-async-tasks 100", "-w 2 --max-async-tasks 50", "-w 2 --max-async-tasks 100"),
}
AT_ONCE = (50, 100, 200)
BULK_APIS = ("one", "xml")


@dataclass(frozen=True, slots=True)
class Pools:
    """What was found best."""

    peers: dict[type[Peer], str]
    at_once: int
    bulk_api: str
    told: tuple[str, ...] = ()

    def of(self, peer: type[Peer]) -> list[str]:
        """Return the words of a peer's command line."""
        return self.peers[peer].split()


GUESS = Pools({peer: candidates[1] for peer, candidates in CANDIDATES.items()}, AT_ONCE[1], BULK_APIS[0])
"""For a smoke test, which searches nothing."""


def search(folder: Path, double: Double, sizes: Sizes, steps: Steps) -> Pools:
    """Try each candidate with a few messages at 50 ms; the highest rate from first accept to last settled wins."""
    best: dict[type[Peer], str] = {}
    told = []
    for peer, candidates in CANDIDATES.items():
        rates = {}
        for pool in candidates:
            with steps.step(f"searching: {peer.name} {pool}"), peer(folder, double, *pool.split()) as side:
                side.run("bulk", sizes.warm)
                rates[pool] = side.run("bulk", sizes.search).rate
        best[peer] = max(rates, key=lambda pool: rates[pool])
        told.append(_told(peer.name, rates))
        steps.told(told[-1])
    with steps.step("searching: bare loop"), BareLoop(folder, double) as bare:
        bare.run("bulk", sizes.warm)
        loops = {str(many): bare.run("bulk", sizes.bare, many).rate for many in AT_ONCE}
    told.append(_told("bare loop, requests at once", loops))
    apis = _bulk_apis(folder, double, sizes, steps)
    told.append(_told("threelane, bulk API", apis))
    at_once = max(AT_ONCE, key=lambda many: loops[str(many)])
    return Pools(best, at_once, max(apis, key=lambda api: apis[api]), tuple(told))


def _bulk_apis(folder: Path, double: Double, sizes: Sizes, steps: Steps) -> dict[str, float]:
    """Return the rates of our two, which are near each other: in turn, with receipts, as they are compared later."""
    with ExitStack() as stack:
        sides = {api: stack.enter_context(Threelane(folder, double, api)) for api in BULK_APIS}
        rates: dict[str, list[float]] = {api: [] for api in BULK_APIS}
        for side in sides.values():
            side.run("bulk", sizes.warm)
        for number in range(sizes.search_rounds):
            with steps.step(f"searching: threelane's bulk APIs, round {number + 1}"):
                for api, side in sides.items():
                    rates[api].append(side.run("bulk", sizes.search_ours, receipts_after=sizes.receipts_after).rate)
    return {api: statistics.median(each) for api, each in rates.items()}


def _told(name: str, rates: dict[str, float]) -> str:
    ordered = sorted(rates.items(), key=lambda entry: -entry[1])
    return f"{name}: " + ", ".join(f"`{pool}` {rate:,.0f}/s" for pool, rate in ordered)
