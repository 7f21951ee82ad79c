"""Exporter: metrics of the whole fleet, read from Redis at every scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import redis
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError, ResponseError

from threelane.contract.accounts.account import shown
from threelane.contract.prices import CREDIT
from threelane.operations import age, capacity, fleet_metrics, forecast
from threelane.operations.catalogue import BY_NAME, beforehand
from threelane.operations.shared_read import SharedRead
from threelane.runtime import logs, variables
from threelane.runtime.clock import RedisClock
from threelane.runtime.deadline import Deadline
from threelane.store import countries, inbox, keys, pauses, rows, suppression
from threelane.store.connect import connect
from threelane.store.keys import Space
from threelane.store.sizes import COUNTED, sizes
from threelane.store.spaces import spaces
from threelane.store.states import Status
from threelane.store.visibility import READ, Visibility
from threelane.store.write_check import check_write
from threelane.store.wrong_type import is_wrong_type
from threelane.worker.account import hold
from threelane.worker.gateway import breaking
from threelane.worker.process.metrics_endpoint import serve_or_exit
from threelane.worker.process.settings import ExporterSettings
from threelane.worker.process.until_stopped import until_stopped

SCRAPE_SECONDS = 4.0  # longest reading; the scrape then ends within 5 s, long before Prometheus gives up
T = TypeVar("T")
_OF_ALL = (Status.DEAD,)
"""The states of one index for all accounts."""
_OF_ACCOUNT = tuple(one for one in COUNTED if one not in _OF_ALL)
END_SECONDS = 5.0  # after the stop signal, at most
# kind of a tally field (before the first ":") -> metric, meaning, and the labels of the remaining parts
_COUNTS = {
    "routed": ("threelane_replies_routed", "Replies by how the producer that gets them was found", ("route",)),
    "accepted": ("threelane_accepted", "Messages accepted", ("lane",)),
    "repeated": ("threelane_repeated", "Messages submitted again with the same client id", ("lane",)),
    "parts": ("threelane_parts", "Message parts accepted", ("lane",)),
    "opt_out_lines": ("threelane_opt_out_lines", "Accepted messages whose text got an opt-out line", ("lane",)),
    "opt_out_parts": ("threelane_opt_out_parts", "Message parts that opt-out lines cost", ("lane",)),
    "refused": ("threelane_refused", "Messages refused at accept", ("code",)),
    "to": ("threelane_moved", "Messages that entered a state", ("lane", "status")),
    "retried": ("threelane_retried", "Failed attempts that will be retried", ("lane", "code")),
    "dead": ("threelane_dead", "Messages that became dead letters", ("code", "owner")),
    "in_doubt": ("threelane_in_doubt", "Attempts that left a message in doubt", ("lane", "code")),
    "lapsed": ("threelane_lapsed_leases", "Attempts whose worker died before they finished", ("lane",)),
    "verified": (
        "threelane_verified_refusals",
        "Temporary refusals that are looked up before their retry",
        ("lane", "code"),
    ),
    "returned": (
        "threelane_returned",
        "Accepted messages that the gateway then refused for the account, back on their lane",
        ("lane", "code"),
    ),
    "diverted": (
        "threelane_diverted",
        "Unsent messages of an account that could not send, taken over by its stand-by",
        ("lane", "why"),
    ),
    "taken_over": ("threelane_taken_over", "Unsent messages that a stand-by took over", ("lane", "why")),
    "reported_by_both": (
        "threelane_reported_by_both",
        "Reports on a message from the account that it left unsent: two gateways may have it",
        ("lane",),
    ),
    "reopened": ("threelane_reopened_doubts", "Sent messages that the gateway no longer knows", ("lane",)),
    "renamed": ("threelane_renamed", "Sent messages that the gateway knows by another of its ids", ("lane",)),
    "hidden": (
        "threelane_hidden_samples",
        "Accepted messages that no look-up found within the longest grace period",
        (),
    ),
    "resolved": ("threelane_resolved_doubts", "Messages in doubt that no look-up found, by new state", ("status",)),
    "unpublished": (
        "threelane_unpublished",
        "Messages whose nudge the broker did not take; workers find them",
        ("lane",),
    ),
    "found": (
        "threelane_found_without_nudge",
        "Messages that a worker claimed by a look, without a nudge",
        ("lane",),
    ),
    "swept": ("threelane_swept_messages", "Messages whose nudge was lost and that no look claimed", ("lane",)),
    "swept_again": ("threelane_swept_again", "Messages that the sweep found for the second time", ("lane",)),
    "unknown": ("threelane_unknown", "Messages whose outcome will never be known", ("code", "owner")),
    "erased": ("threelane_erased", "Messages whose number and text were erased", ("lane",)),
    "newer": ("threelane_left_to_newer", "Times a worker left a message to a newer worker", ("lane",)),
    "redriven": ("threelane_redriven", "Dead letters put back on their lane", ("lane",)),
    "breaker_opened": ("threelane_breaker_openings", "Times the breaker opened, by the last failure", ("outcome",)),
    "probed": ("threelane_gateway_probes", "Probes of a gateway that did not answer", ("result",)),
    "held": ("threelane_held", "Holds placed", ("scope",)),
    "hold_probed": ("threelane_hold_probes", "Messages that tested an inferred hold", ("scope",)),
    "healed": ("threelane_holds_healed", "Inferred holds that an accepted message lifted", ("scope",)),
    "cancelled": ("threelane_cancelled", "Messages cancelled by a caller", ("lane",)),
    "expired_paused": ("threelane_expired_paused", "Messages that expired while their batch was paused", ("lane",)),
    "late": ("threelane_late", "Messages of lane 1 without a receipt in time", ("lane",)),
    "bypassed": ("threelane_bypassed", "Legal notices that bypassed the suppression list", ("lane",)),
    "reserved": ("threelane_reserved", "Times a lane waited because credits are reserved for higher lanes", ("lane",)),
    "charged_parts": ("threelane_charged_parts", "Message parts with a known charge", ("lane",)),
    "limited": ("threelane_limited", "Messages over a limit at accept", ("limited", "action")),
    "neighbour_runs": ("threelane_neighbour_runs", "Runs of neighbouring numbers in lane 1", ("action",)),
    "login_refused": ("threelane_console_logins_refused", "Refused logins at the console", ("refusal",)),
    "replies": ("threelane_replies_told", "Replies from recipients, by what they mean", ("word",)),
    "removed_unread": (
        "threelane_replies_removed_unread",
        "Replies that left the inbox before an operator assigned or dismissed them",
        ("removed_by",),
    ),
    "confirmations": ("threelane_stop_confirmations", "Confirmations of a STOP, by result", ("result",)),
    "suppressed": ("threelane_suppressions", "Entries added to the suppression list", ("source",)),
    "lifted": ("threelane_suppressions_lifted", "Entries removed from the suppression list", ()),
}


class Fleet(Collector):
    """Collects depths, ages, holds and counts; the cost of a scrape does not depend on the number of messages.

    Scrapes that coincide share one reading, and each ends within ``SCRAPE_SECONDS``, also while Redis is frozen.
    """

    def __init__(self, client: redis.Redis, most_seconds: float = SCRAPE_SECONDS) -> None:
        """Read from this Redis."""
        self._client = client
        self._clock = RedisClock()
        self._limit = fleet_metrics.LabelLimit()
        self._most_seconds = most_seconds
        self._shared = SharedRead(self._read, most_seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; when Redis does not answer in time, only ``threelane_redis_up`` with 0."""
        try:
            yield from self._shared.get()
        except (RedisError, OSError, TimeoutError):
            yield _up(False)

    def _read(self) -> list[Metric]:
        """Return all metrics, or only those of Redis itself if it does not answer."""
        with Deadline(self._most_seconds).within():
            writable = GaugeMetricFamily("threelane_redis_writable", "Whether Redis accepted a write at this scrape")
            writable.add_metric([], self._accepts_writes())
            self._clock.sync(self._client)
            now, client = self._clock.now(), self._client
            places = {shown(space.account): space for space in spaces(client)}
            metrics: list[Metric] = [writable]
            sections: tuple[Callable[[], Iterable[Metric]], ...] = (
                lambda: self._waiting(places),
                lambda: self._holds(places),
                lambda: self._counted(places),
                lambda: [self._unassigned(), self._misspelt()],
                lambda: fleet_metrics.paused(pauses.listed(client), now),
                lambda: self._money(places),
                lambda: fleet_metrics.capacity(_by_name(capacity.read_each(client, now))),
                lambda: fleet_metrics.new_countries(len(countries.new(client, now))),
                lambda: fleet_metrics.visibility(_by_name({one: _seen(client, one) for one in places.values()})),
            )
            failed = 0
            for section in sections:
                try:
                    metrics += section()
                except ResponseError as error:
                    if not is_wrong_type(error):
                        raise
                    failed += 1
            metrics += fleet_metrics.wrong_types(failed)
        return [*metrics, _up(True)]

    def _accepts_writes(self) -> bool:
        """Return whether a key can be written; raises RedisError if Redis does not answer."""
        try:
            check_write(self._client)
        except ResponseError:
            return False
        return True

    def _waiting(self, places: Mapping[str, Space]) -> Iterator[Metric]:
        of_lane = ["account", "lane"]
        depth = GaugeMetricFamily("threelane_lane_depth", "Due messages that no worker has claimed", labels=of_lane)
        oldest = GaugeMetricFamily(
            "threelane_lane_oldest_seconds", "Age of the oldest message that is due and not sent", labels=of_lane
        )
        waiting = GaugeMetricFamily(
            "threelane_waiting", "Messages that are not sent yet", labels=["account", "lane", "cause"]
        )
        states = GaugeMetricFamily("threelane_messages", "Messages in a non-final state", labels=["account", "status"])
        for account, space in places.items():
            lanes = age.read(self._client, self._clock.now(), space=space)
            with self._client.pipeline(transaction=False) as pipe:
                for lane in keys.LANES:
                    pipe.zcard(keys.names(space).QUEUED[lane])
                found = pipe.execute()
            for place, lane in enumerate(keys.LANES):
                depth.add_metric([account, str(lane)], found[place])
                oldest.add_metric([account, str(lane)], lanes[lane].oldest_seconds)
                for cause, number in lanes[lane].causes.items():
                    waiting.add_metric([account, str(lane), cause], number)
            for status, number in sizes(self._client, *_OF_ACCOUNT, space=space).items():
                states.add_metric([account, status], number)
        for status, number in sizes(self._client, *_OF_ALL).items():
            states.add_metric(["", status], number)
        yield from (depth, oldest, waiting, states)

    def _holds(self, places: Mapping[str, Space]) -> Iterator[Metric]:
        metric = GaugeMetricFamily(
            "threelane_on_hold", "Active holds by scope and code", labels=["account", "scope", "code"]
        )
        opened = GaugeMetricFamily(
            "threelane_breaker_open", "Breakers that are open: nothing is sent to their gateway", labels=["account"]
        )
        for account, space in places.items():
            held = hold.holds(self._client, self._clock.now(), space)
            kinds = Counter((_kind(scope), one.code) for scope, one in held.items())
            for (kind, code), number in sorted(kinds.items()):
                metric.add_metric([account, kind, code], number)
            opened.add_metric([account], sum(_kind(scope) == breaking.SCOPE for scope in held))
        yield from (metric, opened)

    def _money(self, places: Mapping[str, Space]) -> Iterator[Metric]:
        now = self._clock.now()
        found = {account: forecast.read(self._client, now, space) for account, space in places.items()}
        yield from fleet_metrics.money(found, now, self._limit)
        yield from fleet_metrics.budgets(next(iter(found.values())).budgets)

    def _unassigned(self) -> Metric:
        metric = GaugeMetricFamily("threelane_replies_unassigned", "Replies in the inbox: they belong to no producer")
        metric.add_metric([], inbox.size(self._client))
        return metric

    def _misspelt(self) -> Metric:
        name = "threelane_suppressed_misspelt"
        metric = GaugeMetricFamily(name, "Suppressed numbers under a former spelling, at the last hourly count")
        metric.add_metric([], suppression.misspelt_count(self._client))
        return metric

    def _counted(self, places: Mapping[str, Space]) -> Iterator[Metric]:
        tallies = {account: self._tally(space) for account, space in places.items()}
        counts: dict[str, Counter[tuple[str, ...]]] = {kind: Counter() for kind in _COUNTS}
        for kind, (name, _, _) in _COUNTS.items():
            counts[kind].update(dict.fromkeys(beforehand(BY_NAME[name], tuple(places)), 0))
        for account, tally in tallies.items():
            for field, number in tally.items():
                kind, *given = field.split(":")
                if kind in counts and len(given) == len(_COUNTS[kind][2]):
                    counts[kind][(*_of_account(_COUNTS[kind][0], account), *given)] += number
        for kind, (name, meaning, labels) in _COUNTS.items():
            whole = (*_of_account(name, "account"), *labels)
            yield _counter(name, meaning, whole, counts[kind], self._limit)
        yield _charged(tallies, self._limit)

    def _tally(self, space: Space) -> dict[str, int]:
        found = rows.table(self._client, keys.names(space).TALLY)
        return {rows.text(name): rows.number(n) for name, n in found.items()}


def _of_account(name: str, value: str) -> tuple[str, ...]:
    """Return a value in the place of the label account, if a metric has that label."""
    return (value,) if "account" in BY_NAME[name].labels else ()


def _by_name(each: Mapping[Space, T]) -> dict[str, T]:
    return {shown(space.account): one for space, one in each.items()}


def _seen(client: redis.Redis, space: Space) -> Visibility:
    found: Any = client.hmget(keys.names(space).VISIBILITY, READ)
    return Visibility.read(found)


def serve(settings: ExporterSettings) -> None:
    """Serve /metrics until a stop signal."""
    logs.configure(settings.log_level)
    variables.warn()
    registry = CollectorRegistry()
    registry.register(Fleet(connect(settings)))
    server = serve_or_exit(settings, registry)
    until_stopped(END_SECONDS)
    server.shutdown()


def _up(is_up: bool) -> Metric:
    up = GaugeMetricFamily("threelane_redis_up", "Whether Redis answered this scrape in time")
    up.add_metric([], is_up)
    return up


def _charged(tallies: Mapping[str, Mapping[str, int]], limit: fleet_metrics.LabelLimit) -> Metric:
    """Return the credits charged; only the cost centres with the highest charges get their own label value."""
    counts: dict[tuple[str, ...], int] = {}
    for account, tally in tallies.items():
        fields = ((name.split(":", 2), number) for name, number in tally.items() if name.startswith("charged:"))
        counts |= {(account, lane, centre or "none"): number for (_, lane, centre), number in fields}
    labels = ("account", "lane", "cost_centre")
    return _counter("threelane_charged_credits", "Credits charged", labels, counts, limit, CREDIT)


def _counter(
    name: str,
    meaning: str,
    labels: Sequence[str],
    counts: Mapping[tuple[str, ...], int],
    limit: fleet_metrics.LabelLimit,
    unit: int = 1,
) -> Metric:
    """Return the counts; of the label values that the catalogue does not list, only a limited number get own series."""
    shown_as: list[Callable[[str], str]] = []
    for place, label in enumerate(labels):
        if label == "account":  # a table of all accounts bounds it
            shown_as.append(str)
            continue
        sums: Counter[str] = Counter()
        for values, number in counts.items():
            sums[values[place]] += number
        shown_as.append(limit.limited(f"{name} {label}", label, sums))
    limited: Counter[tuple[str, ...]] = Counter()
    for values, number in counts.items():
        limited[tuple(show(value) for show, value in zip(shown_as, values, strict=True))] += number
    metric = CounterMetricFamily(name, meaning, labels=labels)
    for values, number in sorted(limited.items()):
        metric.add_metric(values, number / unit)
    return metric


def _kind(scope: str) -> str:
    """Return a scope as a label value: single senders and prefixes would be too many."""
    return scope if scope.startswith("lane:") else scope.partition(":")[0]
