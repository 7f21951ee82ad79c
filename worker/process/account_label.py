"""Account label: a worker serves one account, so each of its metrics has the name of that account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

LABEL = "account"
_OWN = "threelane_"


class OfAccount(CollectorRegistry):
    """A view of a registry in which each sample of Threelane's metrics has the account; `process_` ones have none."""

    def __init__(self, account: str, registry: CollectorRegistry = REGISTRY) -> None:
        """Show what this registry has."""
        super().__init__(support_collectors_without_names=True)
        self.register(_View(account, registry))


class _View(Collector):
    def __init__(self, account: str, registry: CollectorRegistry) -> None:
        self._account = account
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        """Have no names, so that registration does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        for metric in self._registry.collect():
            yield self._labelled(metric) if metric.name.startswith(_OWN) else metric

    def _labelled(self, metric: Metric) -> Metric:
        copied = Metric(metric.name, metric.documentation, metric.type, metric.unit)
        copied.samples = [one._replace(labels={LABEL: self._account, **one.labels}) for one in metric.samples]
        return copied
