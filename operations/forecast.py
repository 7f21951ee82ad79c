"""Forecast: credits spent, committed and left, and when they run out; for exporter, terminal and console."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from threelane.store import budgets, keys
from threelane.store.budgets import BudgetUse
from threelane.store.rates import Rate
from threelane.store.tally import Count

HOUR_MS = 3600_000
MINUTES = 60  # the burn rate is an average over this long


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the credits, in millionths; times in milliseconds, 0 when unknown.

    ``left`` is the last balance minus what was claimed since; ``committed`` the estimated cost of waiting messages, by
    lane; ``burn`` the charges per hour; ``drift`` how much more the balance fell than the known charges explain.
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
    budgets: tuple[BudgetUse, ...] = ()

    @property
    def hours_left(self) -> float | None:
        """Hours that the credits last at the present rate; None when nothing is charged or the balance is unknown."""
        return self.left / self.burn if self.burn > 0 and self.balance is not None else None

    @property
    def short(self) -> int:
        """The credits missing to pay for all waiting messages."""
        return max(0, sum(self.committed.values()) - self.left) if self.balance is not None else 0


def read(client: redis.Redis, now: int) -> Forecast:
    """Return the current forecast; its cost does not depend on the number of messages."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.BALANCE)
        pipe.hgetall(keys.TALLY)
        pipe.hgetall(keys.BURN)
        balance, tally, burnt = ({k.decode(): v.decode() for k, v in one.items()} for one in pipe.execute())
    floors = {lane: int(balance.get(f"floor:{lane}", 0)) for lane in keys.LANES}
    left = int(balance.get(Rate.LEFT, 0))
    sums = _sums(tally)
    return Forecast(
        balance=int(balance["credits"]) if "credits" in balance else None,
        balance_at=int(balance.get("at", 0)),
        error=balance.get("error", ""),
        left=left,
        drift=int(balance.get("drift", 0)),
        committed={lane: int(tally.get(Count.COMMITTED.field(lane), 0)) for lane in keys.LANES},
        burn=burn(burnt, now),
        waiting_lanes=tuple(lane for lane, floor in floors.items() if "credits" in balance and left < floor),
        by_lane=sums["lane"],
        by_centre=sums["centre"],
        by_producer=sums["producer"],
        by_country=sums["country"],
        budgets=tuple(budgets.usage(client, now)),
    )


def burn(minutes: Mapping[str, str], now: int) -> int:
    """Return the charges per hour: of the last hour, or since the first charge if that is more recent."""
    this = now // 60_000
    recent = {int(minute): int(amount) for minute, amount in minutes.items() if this - MINUTES < int(minute) <= this}
    if not recent:
        return 0
    earlier = any(int(minute) <= this - MINUTES for minute in minutes)
    span = MINUTES if earlier else this - min(recent) + 1
    return sum(recent.values()) * 60 // span


def _sums(tally: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return the charges, summed by each label."""
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
