"""Sizes: how many messages each measure sends, for a table and for a smoke test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Messages per run, unless the name or the comment is different."""

    rounds: int = 5
    warm: int = 300
    search: int = 600
    search_ours: int = 15_000
    search_rounds: int = 3
    bulk: int = 20_000
    each: int = 6_000  # of Threelane, one request per message
    peer: int = 1_500
    bare: int = 3_000
    intake_rounds: int = 7
    intake: int = 40_000
    intake_one: int = 3_000
    single: int = 2_000
    single_peer: int = 1_000
    paced: int = 1_000
    paced_per_second: int = 25
    small: int = 10_000
    backlog: int = 1_000_000
    due: int = 100_000
    due_few: int = 1_000
    due_many: int = 1_000_000
    due_calls: int = 300
    workers: int = 20_000
    receipts_after: tuple[float, float] = (1.0, 4.0)  # seconds from a send to its receipts 003 and 004
    window_seconds: float = 15.0


FULL = Sizes()
QUICK = Sizes(
    rounds=1,
    warm=30,
    search=60,
    search_ours=200,
    search_rounds=1,
    bulk=500,
    each=200,
    peer=100,
    bare=100,
    intake_rounds=1,
    intake=500,
    intake_one=200,
    single=50,
    single_peer=50,
    paced=10,
    small=200,
    backlog=2_000,
    due=1_000,
    due_few=100,
    due_many=10_000,
    due_calls=10,
    workers=300,
    receipts_after=(0.1, 0.3),
    window_seconds=1.0,
)
