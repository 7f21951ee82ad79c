"""Events: outcomes and replies of a producer, while the producer is open."""

from __future__ import annotations

from collections.abc import Callable

import redis

from threelane.producer.outage import call
from threelane.store.events import IDLE_SECONDS, Event, EventReader


class ProducerEvents(EventReader):
    """Iterates over a producer's events as ``EventReader`` does; raises Unavailable instead of RedisError.

    When Redis is back, iterate again: events without acknowledgement are delivered again.  After the producer was
    closed it raises ProducerClosed.
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
        """Take ``connection``, which returns the Redis client or raises when it is closed."""
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
        """Acknowledge events, so that they are not delivered again."""
        self._connection()
        call(lambda: super(ProducerEvents, self).ack(*events))

    def _fetch(self) -> bool:
        self._connection()
        return call(super()._fetch)
