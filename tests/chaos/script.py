"""The script of a run: which fault is injected when, chosen by the seed.

Faults of gateway calls apply to a share of them for a while, never to a number of them: an API with many messages per
request makes few requests, and each is as likely to fail as with any other API.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.chaos.world import ROUTES, World
from threelane.contract.features import able

Harm = Callable[[World], None]
Fault = dict[str, object]
STORM = {"do": "code", "code": "901", "times": None, "probability": 0.8}
OUTAGE = {"do": "page", "http": 503, "command": "*", "times": None}
STORM_SECONDS, PAGES_SECONDS, OUTAGE_SECONDS = 3.0, 1.5, 3.0
FEWER_REQUESTS = 5  # an API with many messages a request makes about so much fewer
SPELL = {"share": 0.25, "seconds": 2}


class Act(NamedTuple):
    at: float
    name: str
    harm: Harm


def write(seed: int, seconds: float, kills: int, restarts: int) -> list[Act]:
    """Return the acts in order of time; producers finish in the last eighth of the time."""
    rng = Random(f"script-{seed}")
    span = seconds * 7 / 8
    acts: list[Act] = []

    def add(times: int, name: str, harm: Callable[[Random], Harm], lasts: float = 0.0) -> None:
        step = span / times
        for n in range(times):
            acts.append(Act(step * (n + rng.random()), name, harm(rng)))
            if lasts:
                acts.append(Act(acts[-1].at + lasts, f"{name} ends", _disarm))

    add(kills * 2 // 3, "kill a worker", lambda _: lambda world: world.end_worker(signal.SIGKILL))
    add(kills - kills * 2 // 3, "stop a worker", lambda _: lambda world: world.end_worker(signal.SIGTERM))
    add(restarts, "restart Redis", _restart)
    add(max(4, kills // 6), "kill a producer", lambda _: lambda world: world.kill_producer())
    add(kills, "cut connections", _cut)
    add(kills, "spoil responses", _spoil)
    add(max(3, kills // 8), "901 storm", lambda _: _arm_with(STORM), STORM_SECONDS)
    add(max(3, kills // 8), "502 pages", _pages, PAGES_SECONDS)
    add(max(3, kills // 8), "503 storm", lambda _: _arm_with(OUTAGE), OUTAGE_SECONDS)
    add(max(3, kills // 4), "lose nudges", _lose_nudges)
    add(max(3, kills // 8), "look-ups lag", _lag)
    return sorted(acts)


def permanent(gateway: str) -> list[Fault]:
    """Return the permanent faults, each with a probability per request or per message's receipts."""
    more = FEWER_REQUESTS if able("many a request", gateway) else 1
    return [
        {"do": "hide", "times": None, "probability": 0.002 * more},
        {"do": "unasked", "times": None, "probability": 0.005 * more},
        {"do": "unasked", "seconds": 0.05, "times": None, "probability": 0.005 * more},
        {"do": "cut_at", "announced": False, "times": None, "probability": 0.01 * more},
        {"do": "code_after", "code": "901", "times": None, "probability": 0.005},
        {"do": "lose_answer", "times": None, "probability": 0.04},
        {"do": "cut_before", "times": None, "probability": 0.01},
        {"do": "cut_middle", "times": None, "probability": 0.01},
        {"do": "slow", "seconds": 4, "times": None, "probability": 0.005},
        {"do": "slow_before", "seconds": 3, "times": None, "probability": 0.002},
        {"do": "garbage", "times": None, "probability": 0.005},
        {"do": "receipts_late", "seconds": 3, "times": None, "probability": 0.02},
        {"do": "receipts_doubled", "times": None, "probability": 0.05},
        {"do": "receipts_out_of_order", "times": None, "probability": 0.05},
        {"do": "html_502", "command": "querymsg", "times": None, "probability": 0.05},
    ]


def _restart(rng: Random) -> Harm:
    down = rng.uniform(0.2, 3)
    return lambda world: world.restart_redis(down)


def _cut(rng: Random) -> Harm:
    route, kind, seconds = rng.choice(ROUTES), rng.choice(("cut", "cut", "refuse", "mute")), rng.uniform(0.3, 3)
    return lambda world: world.order(route, kind, seconds=seconds)


def _spoil(rng: Random) -> Harm:
    route = rng.choice((*ROUTES, "workers-gateway", "workers-gateway"))
    kind = rng.choice(("drop_answer", "half_answer", "drop_request"))
    limits = SPELL if route == "workers-gateway" else {"times": 2}
    return lambda world: world.order(route, kind, **limits)


def _pages(rng: Random) -> Harm:
    return _arm_with({"do": rng.choice(("html_502", "html_502_after")), "times": None, "probability": 0.5})


def _lag(rng: Random) -> Harm:
    seconds = rng.uniform(0.5, 3)

    def harm(world: World) -> None:
        world.sandbox.control("POST", "settings", {"lookup_lag_seconds": seconds})
        world.count("look-ups lag")

    return harm


def _lose_nudges(rng: Random) -> Harm:
    share, seconds = rng.choice((0.25, 0.5, 1.0)), rng.uniform(0.5, 2)
    return lambda world: world.lose_nudges(share, seconds)


def _arm_with(fault: Fault) -> Harm:
    return lambda world: world.arm([fault, *permanent(world.gateway)])


def _disarm(world: World) -> None:
    world.arm(permanent(world.gateway))
