"""Fleet metrics: money and capacity as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from threelane.contract.prices import CREDIT
from threelane.operations.capacity import Capacity
from threelane.operations.catalogue import LABELS, MOST, OTHER
from threelane.operations.forecast import Money
from threelane.store import keys


class Named:
    """Which values of a label have series of their own; once told, a value keeps its own, so that no counter falls."""

    def __init__(self) -> None:
        """Nothing is told yet."""
        self._told: dict[str, set[str]] = {}

    def among(self, family: str, label: str, sums: Mapping[str, int]) -> Callable[[str], str]:
        """Return what a value is called: by its name if it is known or among those that stand for most, else other."""
        told = self._told.setdefault(family, set())
        known, others = LABELS[label].known, LABELS[label].others
        for value in sorted(sums, key=lambda value: -sums[value]):
            if len(told) >= others:
                break
            if value not in known:
                told.add(value)
        return lambda value: value if value in known or value in told else OTHER


def money(found: Money, now: int, named: Named) -> Iterator[Metric]:
    """Yield what is spent, committed and left; what is not known is left out."""
    balance, left, age = None, None, None
    if found.balance is not None:
        balance, left, age = found.balance / CREDIT, found.left / CREDIT, (now - found.balance_at) / 1000
    yield from _gauge("threelane_balance_credits", "The balance as it was last read", balance)
    yield from _gauge("threelane_balance_age_seconds", "How long ago that was", age)
    if balance is not None or found.error:
        yield from _gauge("threelane_balance_unread", "1: the last reading of the balance failed", bool(found.error))
    yield from _gauge("threelane_left_credits", "The balance less what was claimed since", left)
    yield from _gauge("threelane_short_credits", "Credits missing to pay for all that waits", found.short / CREDIT)
    yield from _gauge("threelane_burn_credits_per_hour", "Credits charged in an hour, of late", found.burn / CREDIT)
    yield from _gauge("threelane_hours_left", "Hours until the balance runs dry", found.hours_left)
    yield from _gauge("threelane_drift_credits", "Credits that went without a charge", found.drift / CREDIT)
    committed = GaugeMetricFamily("threelane_committed_credits", "Estimates of all that waits", labels=["lane"])
    reserved = GaugeMetricFamily("threelane_lane_reserved", "1: it waits, credits are kept for others", labels=["lane"])
    for lane in keys.LANES:
        committed.add_metric([str(lane)], found.committed[lane] / CREDIT)
        reserved.add_metric([str(lane)], float(lane in found.waiting_lanes))
    yield from (committed, reserved)
    yield _spent("threelane_charged_by_producer_credits", "producer", found.by_producer, named)
    yield _spent("threelane_charged_by_country_credits", "country", found.by_country, named)
    limit = GaugeMetricFamily("threelane_budget_credits", "Budgets", labels=["scope", "period"])
    used = GaugeMetricFamily("threelane_budget_used_credits", "Reserved and spent of it", labels=["scope", "period"])
    for one in found.budgets[:MOST]:
        limit.add_metric([one.scope, one.period], one.budget.limit / CREDIT)
        used.add_metric([one.scope, one.period], one.spent / CREDIT)
    yield from (limit, used)


def capacity(found: Capacity) -> Iterator[Metric]:
    """Yield what the fleet can do: workers, the memory of Redis, how long the backlog takes."""
    yield from _gauge("threelane_workers", "Workers that reported within 20 seconds", found.workers)
    yield from _gauge("threelane_workers_of_lane_1", "Those of them that fetch lane 1", found.workers_lane_1)
    yield from _gauge("threelane_workers_worth_having", "Workers that the backlog is worth", found.worth_having)
    yield from _gauge("threelane_drain_minutes", "Minutes to drain at the allowed rate", found.drain_minutes)
    yield from _gauge("threelane_redis_memory_share", "Share of its memory ceiling that Redis uses", found.memory_share)
    yield from _gauge("threelane_suppressed_numbers", "Numbers on the list of suppressed ones", found.suppressed)


def _gauge(name: str, meaning: str, value: float | None) -> Iterator[Metric]:
    if value is not None:
        metric = GaugeMetricFamily(name, meaning)
        metric.add_metric([], value)
        yield metric


def _spent(name: str, label: str, sums: Mapping[str, int], named: Named) -> Metric:
    """Return credits by a label; the values that stand for most have one of their own, the rest is ``other``."""
    metric = CounterMetricFamily(name, "Credits charged", labels=[label])
    called = named.among(name, label, sums)
    told: dict[str, int] = {}
    for value, amount in sums.items():
        told[called(value)] = told.get(called(value), 0) + amount
    for value, amount in sorted(told.items()):
        metric.add_metric([value], amount / CREDIT)
    return metric
