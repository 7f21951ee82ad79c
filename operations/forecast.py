"""Forecast: credits spent, committed and left, and when they run out; for exporter, terminal and console."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from threelane.store import budgets, keys, rows
from threelane.store.budgets import BudgetUse
from threelane.store.keys import HERE, Space
from threelane.store.rates import Rate
from threelane.store.tally import Count

HOUR_MS = 3600_000
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_TO_COUNTRIES = (Count.CHARGED_MESSAGES_TO, Count.CHARGED_PARTS_TO)
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
    messages_by_country: Mapping[str, int] = {}  # whose charge is known, since workers count them
    parts_by_country: Mapping[str, int] = {}
    budgets: tuple[BudgetUse, ...] = ()

    @property
    def hours_left(self) -> float | None:
        """Hours that the credits last at the present rate; None when nothing is charged or the balance is unknown."""
        return self.left / self.burn if self.burn > 0 and self.balance is not None else None

    @property
    def short(self) -> int:
        """The credits missing to pay for all waiting messages."""
        return max(0, sum(self.committed.values()) - self.left) if self.balance is not None else 0


def read(client: redis.Redis, now: int, space: Space = HERE) -> Forecast:
    """Return the current forecast of an account; its cost does not depend on the number of messages.

    Budgets are the same for all accounts, and count what all of them spend.
    """
    names = keys.names(space)
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(names.BALANCE)
        pipe.hgetall(names.TALLY)
        pipe.hgetall(names.BURN)
        found = zip((names.BALANCE, names.TALLY, names.BURN), pipe.execute(raise_on_error=False), strict=True)
    tables = [rows.known(key, one, {}) for key, one in found]
    balance, tally, burnt = ({rows.text(k): rows.text(v) for k, v in one.items()} for one in tables)
    if "credits" in balance and not _NUMBER.fullmatch(balance["credits"]):
        del balance["credits"]  # damaged: as before the first reading
    floors = {lane: rows.number(balance.get(f"floor:{lane}")) for lane in keys.LANES}
    left = rows.number(balance.get(Rate.LEFT))
    sums = _sums(tally)
    return Forecast(
        balance=int(balance["credits"]) if "credits" in balance else None,
        balance_at=rows.number(balance.get("at")),
        error=balance.get("error", ""),
        left=left,
        drift=rows.number(balance.get("drift")),
        committed={lane: rows.number(tally.get(Count.COMMITTED.field(lane))) for lane in keys.LANES},
        burn=burn(burnt, now),
        waiting_lanes=tuple(lane for lane, floor in floors.items() if "credits" in balance and left < floor),
        by_lane=sums["lane"],
        by_centre=sums["centre"],
        by_producer=sums["producer"],
        by_country=sums["country"],
        messages_by_country=sums[Count.CHARGED_MESSAGES_TO],
        parts_by_country=sums[Count.CHARGED_PARTS_TO],
        budgets=tuple(budgets.usage(client, now)),
    )


def burn(minutes: Mapping[str, str], now: int) -> int:
    """Return the charges per hour: of the last hour, or since the first charge if that is more recent."""
    this = now // 60_000
    charged = {rows.number(minute): rows.number(amount) for minute, amount in minutes.items()}
    recent = {minute: amount for minute, amount in charged.items() if this - MINUTES < minute <= this}
    if not recent:
        return 0
    earlier = any(0 < minute <= this - MINUTES for minute in charged)
    span = MINUTES if earlier else this - min(recent) + 1
    return sum(recent.values()) * 60 // span


def _sums(tally: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return the charges, summed by each label."""
    kinds = ("lane", "centre", "producer", "country", *_TO_COUNTRIES)
    sums: dict[str, Any] = {kind: defaultdict(int) for kind in kinds}
    for name, number in tally.items():
        kind, _, rest = name.partition(":")
        first, _, second = rest.partition(":")
        if kind == "charged":
            sums["lane"][first] += rows.number(number)
            sums["centre"][second or "none"] += rows.number(number)
        elif kind == "charged_by":
            sums[first][second or "none"] += rows.number(number)
        elif (family := f"{kind}:") in _TO_COUNTRIES:
            sums[family][first or "none"] += rows.number(number)
    return {kind: dict(found) for kind, found in sums.items()}
