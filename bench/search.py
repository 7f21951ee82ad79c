"""Search: the best pool and concurrency of each peer, by short runs; and the faster bulk API of Threelane."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.gateway_process import GatewayProcess
from bench.progress import Steps
from bench.sizes import Sizes
from bench.systems import BareLoop, Peer, PlainCelery, PlainDramatiq, PlainTaskiq, Threelane

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
    """The fastest parameters found."""

    peers: dict[type[Peer], str]
    at_once: int
    bulk_api: str
    rate_lines: tuple[str, ...] = ()

    def options(self, peer: type[Peer]) -> list[str]:
        """Return the pool options of a peer's command line."""
        return self.peers[peer].split()


GUESS = Pools({peer: candidates[1] for peer, candidates in CANDIDATES.items()}, AT_ONCE[1], BULK_APIS[0])
"""For a smoke test, which does not search."""


def search(folder: Path, gateway: GatewayProcess, sizes: Sizes, steps: Steps) -> Pools:
    """Try each candidate with a few messages at 50 ms; pick the highest rate from first accepted to last settled."""
    best: dict[type[Peer], str] = {}
    rate_lines = []
    for peer, candidates in CANDIDATES.items():
        rates = {}
        for pool in candidates:
            with steps.step(f"searching: {peer.name} {pool}"), peer(folder, gateway, *pool.split()) as system:
                system.run("bulk", sizes.warm)
                rates[pool] = system.run("bulk", sizes.search).rate
        best[peer] = max(rates, key=lambda pool: rates[pool])
        rate_lines.append(_rate_line(peer.name, rates))
        steps.report(rate_lines[-1])
    with steps.step("searching: bare loop"), BareLoop(folder, gateway) as bare:
        bare.run("bulk", sizes.warm)
        loops = {str(many): bare.run("bulk", sizes.bare, many).rate for many in AT_ONCE}
    rate_lines.append(_rate_line("bare loop, concurrent requests", loops))
    apis = _bulk_apis(folder, gateway, sizes, steps)
    rate_lines.append(_rate_line("threelane, bulk API", apis))
    at_once = max(AT_ONCE, key=lambda many: loops[str(many)])
    return Pools(best, at_once, max(apis, key=lambda api: apis[api]), tuple(rate_lines))


def _bulk_apis(folder: Path, gateway: GatewayProcess, sizes: Sizes, steps: Steps) -> dict[str, float]:
    """Return the rates of the two bulk APIs, run in turn with receipts, since they are close."""
    with ExitStack() as stack:
        systems = {api: stack.enter_context(Threelane(folder, gateway, api)) for api in BULK_APIS}
        rates: dict[str, list[float]] = {api: [] for api in BULK_APIS}
        for system in systems.values():
            system.run("bulk", sizes.warm)
        for number in range(sizes.search_rounds):
            with steps.step(f"searching: threelane's bulk APIs, round {number + 1}"):
                for api, system in systems.items():
                    rates[api].append(system.run("bulk", sizes.search_ours, receipts_after=sizes.receipts_after).rate)
    return {api: statistics.median(each) for api, each in rates.items()}


def _rate_line(name: str, rates: dict[str, float]) -> str:
    ordered = sorted(rates.items(), key=lambda entry: -entry[1])
    return f"{name}: " + ", ".join(f"`{pool}` {rate:,.0f}/s" for pool, rate in ordered)
