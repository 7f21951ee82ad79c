"""Fleet metrics: credits and capacity as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from threelane.contract.prices import CREDIT
from threelane.operations.capacity import Capacity
from threelane.operations.catalogue import LABELS, MOST, OTHER
from threelane.operations.forecast import Forecast
from threelane.store import keys
from threelane.store.pauses import PausedBatch
from threelane.store.visibility import Visibility


class LabelLimit:
    """Limits the values of open-ended labels; a value once exposed keeps its series, so no counter decreases."""

    def __init__(self) -> None:
        """Start with no value exposed."""
        self._exposed: dict[str, set[str]] = {}

    def limited(self, family: str, label: str, sums: Mapping[str, int]) -> Callable[[str], str]:
        """Return a function from value to label: the value if it is known or among the largest sums, else ``other``."""
        exposed = self._exposed.setdefault(family, set())
        known, others = LABELS[label].known, LABELS[label].others
        for value in sorted(sums, key=lambda value: -sums[value]):
            if len(exposed) >= others:
                break
            if value not in known:
                exposed.add(value)
        return lambda value: value if value in known or value in exposed else OTHER


def money(found: Forecast, now: int, limit: LabelLimit) -> Iterator[Metric]:
    """Yield what is spent, committed and left; unknown values are omitted."""
    balance, left, age = None, None, None
    if found.balance is not None:
        balance, left, age = found.balance / CREDIT, found.left / CREDIT, (now - found.balance_at) / 1000
    yield from _gauge("threelane_balance_credits", "Balance at the last reading", balance)
    yield from _gauge("threelane_balance_age_seconds", "Age of the last balance reading", age)
    if balance is not None or found.error:
        yield from _gauge("threelane_balance_unread", "1: the last balance reading failed", bool(found.error))
    yield from _gauge("threelane_left_credits", "Balance minus what was claimed since it was read", left)
    yield from _gauge(
        "threelane_short_credits", "Credits missing to pay for all waiting messages", found.short / CREDIT
    )
    yield from _gauge("threelane_burn_credits_per_hour", "Credits charged per hour, recently", found.burn / CREDIT)
    yield from _gauge("threelane_hours_left", "Hours until the balance runs out", found.hours_left)
    yield from _gauge("threelane_drift_credits", "Credits spent without a known charge", found.drift / CREDIT)
    committed = GaugeMetricFamily(
        "threelane_committed_credits", "Estimated cost of all waiting messages", labels=["lane"]
    )
    reserved = GaugeMetricFamily(
        "threelane_lane_reserved", "1: the lane waits because credits are reserved for higher lanes", labels=["lane"]
    )
    for lane in keys.LANES:
        committed.add_metric([str(lane)], found.committed[lane] / CREDIT)
        reserved.add_metric([str(lane)], float(lane in found.waiting_lanes))
    yield from (committed, reserved)
    yield _spent("threelane_charged_by_producer_credits", "producer", found.by_producer, limit)
    yield _spent("threelane_charged_by_country_credits", "country", found.by_country, limit)
    limits = GaugeMetricFamily("threelane_budget_credits", "Budget limits", labels=["scope", "period"])
    used = GaugeMetricFamily(
        "threelane_budget_used_credits", "Reserved and spent credits of budgets", labels=["scope", "period"]
    )
    for one in found.budgets[:MOST]:
        limits.add_metric([one.scope, one.period], one.budget.limit / CREDIT)
        used.add_metric([one.scope, one.period], one.spent / CREDIT)
    yield from (limits, used)


def capacity(found: Capacity) -> Iterator[Metric]:
    """Yield workers, memory use of Redis, and how long the backlog takes."""
    yield from _gauge("threelane_workers", "Workers that reported within 20 seconds", found.workers)
    yield from _gauge("threelane_workers_of_lane_1", "Reporting workers that fetch lane 1", found.workers_lane_1)
    yield from _gauge(
        "threelane_workers_at_fault", "Reporting workers that send nothing for a reason of their own", found.at_fault
    )
    yield from _gauge(
        "threelane_workers_not_ready",
        "Reporting workers that claim nothing yet, as after a refused login",
        found.not_ready,
    )
    yield from _gauge(
        "threelane_workers_worth_having", "Number of workers that the backlog justifies", found.worth_having
    )
    yield from _gauge(
        "threelane_drain_minutes", "Minutes to drain the backlog at the allowed rate", found.drain_minutes
    )
    yield from _gauge(
        "threelane_redis_memory_share", "Fraction of its memory limit that Redis uses", found.memory_share
    )
    yield from _gauge("threelane_suppressed_numbers", "Numbers on the suppression list", found.suppressed)


def new_countries(number: int) -> Iterator[Metric]:
    """Yield how many countries raise an alarm."""
    meaning = "Countries that got their first message within a day, and that no operator allowed"
    yield from _gauge("threelane_new_countries", meaning, number)


def wrong_types(parts: int) -> Iterator[Metric]:
    """Yield how many parts of a scrape failed at a key of another type."""
    meaning = "Parts of this scrape that are missing because a key of Redis is of another type"
    yield from _gauge("threelane_scrape_parts_missing", meaning, parts)


def visibility(seen: Visibility) -> Iterator[Metric]:
    """Yield how soon look-ups find accepted messages, if it is known."""
    delay = seen.delay_ms / 1000 if seen.delay_ms else None
    meaning = "Largest recent time until a look-up found an accepted message"
    yield from _gauge("threelane_look_up_delay_seconds", meaning, delay)


def _gauge(name: str, meaning: str, value: float | None) -> Iterator[Metric]:
    if value is not None:
        metric = GaugeMetricFamily(name, meaning)
        metric.add_metric([], value)
        yield metric


def _spent(name: str, label: str, sums: Mapping[str, int], limit: LabelLimit) -> Metric:
    """Return credits by a label; the values with the largest sums get own series, the rest is ``other``."""
    metric = CounterMetricFamily(name, "Credits charged", labels=[label])
    show = limit.limited(name, label, sums)
    limited: dict[str, int] = {}
    for value, amount in sums.items():
        limited[show(value)] = limited.get(show(value), 0) + amount
    for value, amount in sorted(limited.items()):
        metric.add_metric([value], amount / CREDIT)
    return metric


def paused(found: Sequence[PausedBatch], now: int) -> Iterator[Metric]:
    """Return how many messages of paused batches wait, by lane, and how long the oldest pause lasts."""
    messages = GaugeMetricFamily("threelane_paused_messages", "Waiting messages of paused batches", labels=["lane"])
    for lane in keys.LANES:
        messages.add_metric([str(lane)], sum(one.messages[lane] for one in found))
    yield messages
    oldest = GaugeMetricFamily("threelane_oldest_pause_seconds", "How long the oldest pause of a batch lasts; 0: none")
    since = min((one.pause.since for one in found), default=now)
    oldest.add_metric([], max(0, now - since) / 1000)
    yield oldest
