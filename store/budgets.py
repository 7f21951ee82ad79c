"""Budgets: how many credits a cost centre or a producer may spend in a day or a month, UTC.

The accept script reserves the estimate, the charge replaces it, and a message that ends without a charge releases it.
So spending exceeds a limit by no more than the difference between estimates and charges.  Days before yesterday no
longer count against a limit and are not updated; their months are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
import redis

from threelane.contract.fields import LABEL
from threelane.contract.schedule import DAY
from threelane.store import keys, rows

PERIODS = ("day", "month")
KINDS = ("centre", "producer")
MOST_PERIODS = 5  # that a change may affect now


class Budget(msgspec.Struct, frozen=True):
    """A limit in millionths of a credit; ``over``: what to do with messages beyond it, ``refuse`` or ``hold``.

    ``hold`` schedules a message for the next day, if its budgets have room then and it is still valid.
    """

    limit: int
    over: str = "refuse"


class BudgetUse(msgspec.Struct, frozen=True):
    """A budget and its reserved and spent amount, in millionths of a credit."""

    scope: str  # centre:<name> or producer:<name>
    period: str
    budget: Budget
    spent: int
    is_damaged: bool = False  # its row is unreadable: what it limits is refused


_read = msgspec.json.Decoder(Budget).decode


def read_row(row: bytes) -> Budget:
    """Return a stored budget; raises ValueError for one that the scripts cannot compare with."""
    found = _read(row)
    if not 0 <= found.limit < rows.MOST_EXACT:
        raise ValueError(found.limit)
    return found


def day(at: int) -> str:
    """Return the day of a time in milliseconds, as YYYYMMDD; its first six digits are the month."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%d")


def periods(now: int) -> tuple[str, ...]:
    """Return the periods that a change may affect now: yesterday, today, tomorrow, and their months.

    Older periods no longer count against a limit.
    """
    return _periods(now // DAY)


@lru_cache(maxsize=8)
def _periods(day_number: int) -> tuple[str, ...]:
    days = [day((day_number + more) * DAY) for more in (-1, 0, 1)]
    return (*days, days[0][:6], days[-1][:6])


def parse_scope(raw: str) -> str:
    """Return ``centre:<name>`` or ``producer:<name>``; raises ValueError with the correct form."""
    kind, _, name = raw.partition(":")
    if kind not in KINDS or not LABEL.fullmatch(name):
        raise ValueError(f"{raw!r}: write centre:<cost centre> or producer:<name>")
    return raw


def put(client: redis.Redis, scope: str, period: str, budget: Budget) -> None:
    """Set a limit; raises ValueError with the correct values."""
    if period not in PERIODS:
        raise ValueError(f"{period!r}: give day or month")
    if budget.over not in ("refuse", "hold") or budget.limit < 0:
        raise ValueError("give 0 credits or more, and refuse or hold for messages over the budget")
    client.hset(keys.BUDGETS, f"{parse_scope(scope)}:{period}", msgspec.json.encode(budget))


def remove(client: redis.Redis, scope: str, period: str) -> bool:
    """Remove a limit; returns whether there was one."""
    return bool(client.hdel(keys.BUDGETS, f"{scope}:{period}"))


def usage(client: redis.Redis, now: int) -> Iterator[BudgetUse]:
    """Yield each budget with its reserved and spent amount in the period of ``now``."""
    today = day(now)
    found = rows.table(client, keys.BUDGETS)
    for name, limit in sorted(found.items()):
        scope, _, period = rows.text(name).rpartition(":")
        spent_in = keys.key(keys.Key.SPENT, today if period == "day" else today[:6])
        spent = rows.number(rows.entry(client, spent_in, scope))
        budget = rows.decode(keys.BUDGETS, name, limit, read_row)
        yield BudgetUse(scope, period, budget or Budget(0), spent, is_damaged=budget is None)
