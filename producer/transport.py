"""Transport: kombu's Redis transport with one client for each channel, where kombu makes a new one for each nudge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis as kombu_redis


class Channel(kombu_redis.Channel):
    """A channel that keeps its client; to make one takes longer than to publish."""

    _client_of_pool: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Lend the client of this channel's pool; threads may share it."""
        if client is None and (self._client_of_pool is None or self._client_of_pool.connection_pool is not self.pool):
            self._client_of_pool = self._create_client()  # type: ignore[attr-defined]
        yield client or self._client_of_pool


class Transport(kombu_redis.Transport):
    """What a producer publishes through."""

    Channel = Channel
