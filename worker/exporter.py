"""Exporter: what is true of the whole fleet, told once, from Redis, at every scrape."""

from __future__ import annotations

from collections.abc import Iterator

import redis
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from producer import keys, logs
from producer.clock import RedisClock
from producer.connect import connect
from producer.status import CREDIT
from worker.account import hold
from worker.settings import ExporterSettings
from worker.until_told import until_told

MOST_COST_CENTRES = 50  # labels; the rest is summed up as "other"

# tally field, split at ":" -> metric and the labels that its parts fill
_COUNTS = {
    "accepted": ("threelane_accepted", "Messages accepted", ("lane",)),
    "repeated": ("threelane_repeated", "Messages asked for again under the same client id", ("lane",)),
    "parts": ("threelane_parts", "Message parts accepted", ("lane",)),
    "refused": ("threelane_refused", "Messages refused at the door", ("code",)),
    "to": ("threelane_moved", "Messages that came into a state", ("lane", "status")),
    "retried": ("threelane_retried", "Attempts that will be repeated", ("lane", "code")),
    "dead": ("threelane_dead", "Dead letters", ("code", "owner")),
    "in_doubt": ("threelane_in_doubt", "Attempts that left a message in doubt", ("lane", "code")),
    "lapsed": ("threelane_lapsed_leases", "Attempts whose worker died in the middle", ("lane",)),
    "resolved": ("threelane_resolved_doubts", "Messages in doubt that a look-up did not find", ("status",)),
    "swept": ("threelane_swept_messages", "Messages whose nudge was lost", ("lane",)),
    "unknown": ("threelane_unknown", "Messages whose end will never be known", ("code", "owner")),
    "redriven": ("threelane_redriven", "Dead letters put back", ("lane",)),
    "held": ("threelane_held", "Times something was put on hold", ("scope",)),
}


class Fleet(Collector):
    """Collects depths, ages, holds and counts; each read is of constant time."""

    def __init__(self, client: redis.Redis) -> None:
        """Read from this Redis."""
        self._client = client
        self._clock = RedisClock()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; when Redis is away only that is told."""
        up = GaugeMetricFamily("threelane_redis_up", "Whether Redis answered this scrape")
        try:
            yield from [*self._waiting(), *self._holds(), *self._counted()]
            up.add_metric([], 1)
        except (RedisError, OSError):
            up.add_metric([], 0)
        yield up

    def _waiting(self) -> Iterator[Metric]:
        self._clock.ask(self._client)
        now = self._clock.now()
        with self._client.pipeline(transaction=False) as pipe:
            for lane in keys.LANES:
                pipe.zcard(keys.QUEUED[lane])
                pipe.zrange(keys.QUEUED[lane], 0, 0, withscores=True)
            for shelf in (keys.DUE, keys.LEASES, keys.DOUBT, keys.DEAD, keys.AWAITING):
                pipe.zcard(shelf)
            found = pipe.execute()
        depth = GaugeMetricFamily("threelane_lane_depth", "Messages that are due and not claimed", labels=["lane"])
        oldest = GaugeMetricFamily("threelane_lane_oldest_seconds", "Age of the oldest of them", labels=["lane"])
        for place, lane in enumerate(keys.LANES):
            depth.add_metric([str(lane)], found[2 * place])
            first = found[2 * place + 1]
            oldest.add_metric([str(lane)], max(0.0, (now - first[0][1]) / 1000) if first else 0.0)
        states = GaugeMetricFamily("threelane_messages", "Messages in a state that is not final", labels=["status"])
        names = ("scheduled", "sending", "in_doubt", "dead", "sent")
        for name, number in zip(names, found[2 * len(keys.LANES) :], strict=True):
            states.add_metric([name], number)
        yield from (depth, oldest, states)

    def _holds(self) -> Iterator[Metric]:
        held = hold.holds(self._client, self._clock.now())
        metric = GaugeMetricFamily("threelane_on_hold", "What is on hold, by code", labels=["scope", "code"])
        for scope, one in sorted(held.items()):
            metric.add_metric([scope, one.code], 1)
        yield metric

    def _counted(self) -> Iterator[Metric]:
        tally = {name.decode(): int(n) for name, n in self._client.hgetall(keys.TALLY).items()}  # type: ignore[union-attr]
        families = {
            kind: CounterMetricFamily(name, meaning, labels=labels) for kind, (name, meaning, labels) in _COUNTS.items()
        }
        for field, number in sorted(tally.items()):
            kind, *labels = field.split(":")
            if kind in families and len(labels) == len(_COUNTS[kind][2]):
                families[kind].add_metric(labels, number)
        yield from families.values()
        yield _charged(tally)


def serve(settings: ExporterSettings) -> None:
    """Serve /metrics until told to stop."""
    logs.configure(settings.log_level)
    registry = CollectorRegistry()
    registry.register(Fleet(connect(settings)))
    server, _thread = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    logs.event("metrics", url=f"http://{settings.metrics_host}:{server.server_port}/metrics")
    until_told()
    server.shutdown()


def _charged(tally: dict[str, int]) -> Metric:
    """Return the credits charged; the cost centres that cost most have a label of their own."""
    metric = CounterMetricFamily("threelane_charged_credits", "Credits charged", labels=["lane", "cost_centre"])
    sums: dict[tuple[str, str], int] = {}
    centres: dict[str, int] = {}
    charged = [(name.split(":", 2), number) for name, number in tally.items() if name.startswith("charged:")]
    for (_, _, centre), number in charged:
        centres[centre] = centres.get(centre, 0) + number
    named = set(sorted(centres, key=lambda centre: -centres[centre])[:MOST_COST_CENTRES])
    for (_, lane, centre), number in charged:
        label = (lane, centre if centre in named else "other")
        sums[label] = sums.get(label, 0) + number
    for (lane, centre), millionths in sorted(sums.items()):
        metric.add_metric([lane, centre or "none"], millionths / CREDIT)
    return metric
