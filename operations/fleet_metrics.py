"""Fleet metrics: credits and capacity as Prometheus metrics, by account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from threelane.contract.prices import CREDIT
from threelane.operations.capacity import Capacity
from threelane.operations.catalogue import LABELS, MOST, OTHER
from threelane.operations.forecast import Forecast
from threelane.store import keys
from threelane.store.budgets import BudgetUse
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


def money(each: Mapping[str, Forecast], now: int, limit: LabelLimit) -> Iterator[Metric]:
    """Yield what is spent, committed and left by account; unknown values are omitted."""
    known = {name: one for name, one in each.items() if one.balance is not None}
    read = {name: one for name, one in each.items() if one.balance is not None or one.error}
    balance = {name: (one.balance or 0) / CREDIT for name, one in known.items()}
    yield from _by_account("threelane_balance_credits", "Balance at the last reading", balance)
    age = {name: (now - one.balance_at) / 1000 for name, one in known.items()}
    yield from _by_account("threelane_balance_age_seconds", "Age of the last balance reading", age)
    unread = {name: bool(one.error) for name, one in read.items()}
    yield from _by_account("threelane_balance_unread", "1: the last balance reading failed", unread)
    left = {name: one.left / CREDIT for name, one in known.items()}
    yield from _by_account("threelane_left_credits", "Balance minus what was claimed since it was read", left)
    short = {name: one.short / CREDIT for name, one in each.items()}
    yield from _by_account("threelane_short_credits", "Credits missing to pay for all waiting messages", short)
    burn = {name: one.burn / CREDIT for name, one in each.items()}
    yield from _by_account("threelane_burn_credits_per_hour", "Credits charged per hour, recently", burn)
    hours = {name: one.hours_left for name, one in each.items()}
    yield from _by_account("threelane_hours_left", "Hours until the balance runs out", hours)
    drift = {name: one.drift / CREDIT for name, one in each.items()}
    yield from _by_account("threelane_drift_credits", "Credits spent without a known charge", drift)
    committed = GaugeMetricFamily(
        "threelane_committed_credits", "Estimated cost of all waiting messages", labels=["account", "lane"]
    )
    reserved = GaugeMetricFamily(
        "threelane_lane_reserved",
        "1: the lane waits because credits are reserved for higher lanes",
        labels=["account", "lane"],
    )
    for (name, one), lane in product(each.items(), keys.LANES):
        committed.add_metric([name, str(lane)], one.committed[lane] / CREDIT)
        reserved.add_metric([name, str(lane)], float(lane in one.waiting_lanes))
    yield from (committed, reserved)
    by_producer = {name: one.by_producer for name, one in each.items()}
    yield _spent("threelane_charged_by_producer_credits", "producer", by_producer, limit)
    by_country = {name: one.by_country for name, one in each.items()}
    yield _spent("threelane_charged_by_country_credits", "country", by_country, limit)


def budgets(found: Sequence[BudgetUse]) -> Iterator[Metric]:
    """Yield budgets, which are the same for all accounts."""
    limits = GaugeMetricFamily("threelane_budget_credits", "Budget limits", labels=["scope", "period"])
    used = GaugeMetricFamily(
        "threelane_budget_used_credits", "Reserved and spent credits of budgets", labels=["scope", "period"]
    )
    for one in found[:MOST]:
        limits.add_metric([one.scope, one.period], one.budget.limit / CREDIT)
        used.add_metric([one.scope, one.period], one.spent / CREDIT)
    yield from (limits, used)


_OF_WORKERS = (
    ("threelane_workers", "Workers that reported within 20 seconds", "workers"),
    ("threelane_workers_of_lane_1", "Reporting workers that fetch lane 1", "workers_lane_1"),
    ("threelane_workers_at_fault", "Reporting workers that send nothing for a reason of their own", "at_fault"),
    (
        "threelane_workers_not_ready",
        "Reporting workers that claim nothing yet, as after a refused login",
        "not_ready",
    ),
    ("threelane_workers_worth_having", "Number of workers that the backlog justifies", "worth_having"),
    ("threelane_drain_minutes", "Minutes to drain the backlog at the allowed rate", "drain_minutes"),
)


def capacity(each: Mapping[str, Capacity]) -> Iterator[Metric]:
    """Yield workers and how long the backlog takes, by account; and the memory use of Redis."""
    for name, meaning, field in _OF_WORKERS:
        yield from _by_account(name, meaning, {account: getattr(one, field) for account, one in each.items()})
    whole = next(iter(each.values()))
    yield from _gauge(
        "threelane_redis_memory_share", "Fraction of its memory limit that Redis uses", whole.memory_share
    )
    yield from _gauge("threelane_suppressed_numbers", "Numbers on the suppression list", whole.suppressed)


def new_countries(number: int) -> Iterator[Metric]:
    """Yield how many countries raise an alarm."""
    meaning = "Countries that got their first message within a day, and that no operator allowed"
    yield from _gauge("threelane_new_countries", meaning, number)


def wrong_types(parts: int) -> Iterator[Metric]:
    """Yield how many parts of a scrape failed at a key of another type."""
    meaning = "Parts of this scrape that are missing because a key of Redis is of another type"
    yield from _gauge("threelane_scrape_parts_missing", meaning, parts)


def visibility(each: Mapping[str, Visibility]) -> Iterator[Metric]:
    """Yield how soon look-ups find accepted messages, by account; where it is known."""
    delays = {name: seen.delay_ms / 1000 for name, seen in each.items() if seen.delay_ms}
    meaning = "Largest recent time until a look-up found an accepted message"
    yield from _by_account("threelane_look_up_delay_seconds", meaning, delays)


def _gauge(name: str, meaning: str, value: float) -> Iterator[Metric]:
    metric = GaugeMetricFamily(name, meaning)
    metric.add_metric([], value)
    yield metric


def _by_account(name: str, meaning: str, values: Mapping[str, float | None]) -> Iterator[Metric]:
    """Yield a gauge with the known values; nothing if none is known."""
    metric = GaugeMetricFamily(name, meaning, labels=["account"])
    for account, value in values.items():
        if value is not None:
            metric.add_metric([account], value)
    if metric.samples:
        yield metric


def _spent(name: str, label: str, each: Mapping[str, Mapping[str, int]], limit: LabelLimit) -> Metric:
    """Return credits by account and a label; the values with the largest sums get own series, the rest is ``other``."""
    metric = CounterMetricFamily(name, "Credits charged", labels=["account", label])
    sums: Counter[str] = Counter()
    for one in each.values():
        sums.update(one)
    show = limit.limited(name, label, sums)
    limited: Counter[tuple[str, str]] = Counter()
    for account, one in each.items():
        for value, amount in one.items():
            limited[account, show(value)] += amount
    for values, amount in sorted(limited.items()):
        metric.add_metric(values, amount / CREDIT)
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
