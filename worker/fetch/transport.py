"""Transport: kombu's Redis transport, without what a queue of hints does not need and what would end a worker.

kombu writes down in Redis which nudges a worker holds, so that they come back when it dies.  A nudge is a hint: the
sweep finds the messages of a lost one, and sooner than kombu's visibility timeout would.  So a worker keeps what it
holds in its memory alone, which saves two transactions a nudge, and what it cannot serve it puts back itself.

When the connection breaks, kombu closes the channel twice, and the second time it puts back what is held through a
connection that is already gone, which raises what nobody catches.  And above its memory ceiling Redis before 7.4
refuses whatever stands in a transaction, also what asks or deletes; so nothing is asked for in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.worker.fetch.lanes import LANES

CROWDED_SECONDS = 0.02  # of waiting for lane 1 alone; meanwhile a thread may have become free for the others


class QoS(virtual.QoS):
    """Keeps the nudges that this worker holds, in its memory."""

    def held(self) -> list[virtual.Message]:
        """Return those that are neither acknowledged nor put back."""
        delivered: dict[str, virtual.Message] = dict(self._delivered or {})
        return [one for tag, one in delivered.items() if tag not in (self._dirty or ())]

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Put back or drop, unless the connection was lost meanwhile, and all that was held put back with it."""
        if delivery_tag in self._delivered:  # type: ignore[operator]
            super().reject(delivery_tag, requeue)


class RedisChannel(kombu_redis.Channel):
    """A channel that can be closed twice, and opened on a full Redis."""

    ack_emulation = False
    _client_of_pool: Any = None

    def __init__(self, *given: Any, **named: Any) -> None:
        """Open."""
        super().__init__(*given, **named)
        self.QoS: Any = QoS

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Lend the client of this channel's pool, where kombu would make a new one for each command."""
        if client is None and (self._client_of_pool is None or self._client_of_pool.connection_pool is not self.pool):
            self._client_of_pool = self._create_client()  # type: ignore[attr-defined]
        yield client or self._client_of_pool

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Wait for a nudge, in the lanes that have a thread free; ask soon again when that is lane 1 alone."""
        held = self.qos.held()  # type: ignore[attr-defined]
        LANES.holding(message.delivery_info["routing_key"] for message in held)
        super()._brpop_start(CROWDED_SECONDS if LANES.is_crowded else timeout)  # type: ignore[misc]

    def _restore(self, message: virtual.Message, leftmost: bool = False) -> None:  # noqa: ARG002 - kombu's
        """Put a nudge back to the head of its lane, the right; if that cannot be, the sweep finds its messages."""
        with (
            suppress(OutOfMemoryError, RedisConnectionError, RedisTimeoutError),
            self.conn_or_acquire() as client,
        ):
            lane = self._q_for_pri(message.delivery_info["routing_key"], 0)  # type: ignore[attr-defined]
            client.rpush(lane, dumps(message.serializable()))

    def _queue_bind(self, *given: Any) -> None:
        """Write down that the queue exists; a full Redis has it from others, and a worker must start all the same."""
        with suppress(OutOfMemoryError):
            super()._queue_bind(*given)  # type: ignore[misc]

    def _size(self, queue: str) -> int:
        """Count the nudges that wait in a queue."""
        with self.conn_or_acquire() as client:
            shelves = [self._q_for_pri(queue, step) for step in self.priority_steps]  # type: ignore[attr-defined]
            return sum(client.llen(one) for one in shelves)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        """Tell whether a queue has nudges; an empty one does not exist."""
        return self._size(queue) > 0


class RedisTransport(kombu_redis.Transport):
    """The transport of the schemes redis and rediss in a worker."""

    Channel = RedisChannel


def install() -> None:
    """Let this process's kombu use it, and on RabbitMQ the one that fetches in the order of the lanes."""
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:RedisTransport"
    TRANSPORT_ALIASES["amqp"] = TRANSPORT_ALIASES["pyamqp"] = "threelane.worker.fetch.rabbit:RabbitTransport"
    TRANSPORT_ALIASES["amqps"] = "threelane.worker.fetch.rabbit:RabbitTlsTransport"
