"""Forecast: what is spent, what is committed, what is left, and when it runs dry; for the exporter and the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from threelane.store import budgets, keys
from threelane.store.budgets import Standing
from threelane.store.rates import Rate
from threelane.store.tally import Count

HOUR_MS = 3600_000
MINUTES = 60  # over which the burn rate is taken


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of credits, in millionths; times in milliseconds, 0 when not known.

    ``left`` is the last reading of the balance less what was claimed since; ``committed`` the estimates of all that
    waits, by lane; ``burn`` what was charged in an hour; ``drift`` by how much more the balance fell than charges tell.
    """

    balance: int | None = None
    balance_at: int = 0
    error: str = ""
    left: int = 0
    drift: int = 0
    committed: Mapping[int, int] = {}
    burn: int = 0
    waiting_lanes: tuple[int, ...] = ()
    by_lane: Mapping[str, int] = {}
    by_centre: Mapping[str, int] = {}
    by_producer: Mapping[str, int] = {}
    by_country: Mapping[str, int] = {}
    budgets: tuple[Standing, ...] = ()

    @property
    def hours_left(self) -> float | None:
        """For how many hours what is left lasts at the present rate; None when nothing is charged, or nothing known."""
        return self.left / self.burn if self.burn > 0 and self.balance is not None else None

    @property
    def short(self) -> int:
        """What is missing to pay for all that waits."""
        return max(0, sum(self.committed.values()) - self.left) if self.balance is not None else 0


def read(client: redis.Redis, now: int) -> Money:
    """Return the money as it stands; none of the reads grows with the number of messages."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.BALANCE)
        pipe.hgetall(keys.TALLY)
        pipe.hgetall(keys.BURN)
        balance, tally, burnt = ({k.decode(): v.decode() for k, v in one.items()} for one in pipe.execute())
    floors = {lane: int(balance.get(f"floor:{lane}", 0)) for lane in keys.LANES}
    left = int(balance.get(Rate.LEFT, 0))
    sums = _sums(tally)
    return Money(
        balance=int(balance["credits"]) if "credits" in balance else None,
        balance_at=int(balance.get("at", 0)),
        error=balance.get("error", ""),
        left=left,
        drift=int(balance.get("drift", 0)),
        committed={lane: int(tally.get(Count.COMMITTED.of(lane), 0)) for lane in keys.LANES},
        burn=burn(burnt, now),
        waiting_lanes=tuple(lane for lane, floor in floors.items() if "credits" in balance and left < floor),
        by_lane=sums["lane"],
        by_centre=sums["centre"],
        by_producer=sums["producer"],
        by_country=sums["country"],
        budgets=tuple(budgets.standings(client, now)),
    )


def burn(minutes: Mapping[str, str], now: int) -> int:
    """Return what is charged in an hour: over the last hour, or over the time since the first charge if it is less."""
    this = now // 60_000
    recent = {int(minute): int(amount) for minute, amount in minutes.items() if this - MINUTES < int(minute) <= this}
    if not recent:
        return 0
    earlier = any(int(minute) <= this - MINUTES for minute in minutes)
    span = MINUTES if earlier else this - min(recent) + 1
    return sum(recent.values()) * 60 // span


def _sums(tally: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return what was charged, by each of its labels."""
    sums: dict[str, Any] = {kind: defaultdict(int) for kind in ("lane", "centre", "producer", "country")}
    for name, number in tally.items():
        kind, _, rest = name.partition(":")
        first, _, second = rest.partition(":")
        if kind == "charged":
            sums["lane"][first] += int(number)
            sums["centre"][second or "none"] += int(number)
        elif kind == "charged_by":
            sums[first][second or "none"] += int(number)
    return {kind: dict(found) for kind, found in sums.items()}
