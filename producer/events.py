"""Events: a producer's outcomes and replies, for as long as the producer is open."""

from __future__ import annotations

from collections.abc import Callable

import redis

from threelane.producer.outage import call
from threelane.store.events import IDLE_SECONDS, Event, EventReader


class ProducerEvents(EventReader):
    """Iterates over a producer's events as ``EventReader`` does; raises Unavailable in place of Redis's own errors.

    When Redis is back, iterate again: what was not acknowledged comes again.  After the producer was closed it raises
    ProducerClosed.
    """

    def __init__(
        self,
        connection: Callable[[], redis.Redis],
        group: str,
        consumer: str,
        producer: str,
        *,
        block_seconds: float | None = 5.0,
        idle_seconds: float = IDLE_SECONDS,
        batch: int = 10,
    ) -> None:
        """Read by the connections that ``connection`` returns, or raises for when there are none any more."""
        super().__init__(
            connection(),
            group,
            consumer,
            producer,
            block_seconds=block_seconds,
            idle_seconds=idle_seconds,
            batch=batch,
        )
        self._connection = connection

    def ack(self, *events: Event) -> None:
        """Acknowledge events: they are done with."""
        self._connection()
        call(lambda: super(ProducerEvents, self).ack(*events))

    def _fetch(self) -> bool:
        self._connection()
        return call(super()._fetch)
