"""Transport: kombu's Redis transport, mended where a lost connection or a full Redis would end the whole worker.

When the connection breaks while nudges are un-acknowledged, kombu 5.7 closes the channel twice.  The second time it
puts them back through a connection that is already gone, which raises what nobody catches.  There is nothing to put
back then: what Redis keeps of them comes back by the visibility timeout, and the sweep is faster.

Above its memory ceiling Redis before 7.4 refuses whatever stands in a transaction, also what asks or deletes.  So
nothing that a full Redis would otherwise do is asked for in one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError
from redis.exceptions import TimeoutError as RedisTimeoutError


class QoS(kombu_redis.QoS):
    """Keeps count of the nudges that this worker holds."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what is held, if there is still a connection to do it through."""
        if self._is_cut_off():
            (self._delivered or {}).clear()
        else:
            super().restore_unacked(client)

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge; if the connection is lost, the nudge will come again, and find nothing to do."""
        if self._is_cut_off():
            return
        try:
            super().ack(delivery_tag)
        except (RedisConnectionError, RedisTimeoutError):
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Put back or drop, unless the connection was lost meanwhile."""
        if not self._is_cut_off():
            super().reject(delivery_tag, requeue)

    def append(self, message: Any, delivery_tag: Any) -> None:
        """Remember a nudge that was fetched; a full Redis cannot, and the nudge is served all the same."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            virtual.QoS.append(self, message, delivery_tag)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:  # noqa: ARG002
        """Put a nudge back to the head of its lane, the right; kombu would put what we reject at the end."""
        with suppress(OutOfMemoryError):  # it comes back by the visibility timeout, or by the sweep
            super().restore_by_tag(tag, client=client)

    def restore_visible(self, *given: Any, **named: Any) -> None:
        """Put back what dead workers held, if there is room for the lock that it takes."""
        with suppress(OutOfMemoryError):
            super().restore_visible(*given, **named)

    def _remove_from_indices(self, delivery_tag: Any, pipe: Any = None) -> Any:
        """Forget a nudge: its text first, since an entry of the index alone restores nothing."""
        if pipe is None:
            with self.channel.conn_or_acquire() as client:  # type: ignore[attr-defined]
                pipe = client.pipeline(transaction=False)
        return pipe.hdel(self.unacked_key, delivery_tag).zrem(self.unacked_index_key, delivery_tag)

    def _is_cut_off(self) -> bool:
        connection = self.channel.connection
        return connection is None or connection.client is None


class Channel(kombu_redis.Channel):
    """A channel that can be closed twice, and opened on a full Redis."""

    QoS = QoS

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


class Transport(kombu_redis.Transport):
    """The transport of the schemes redis and rediss in a worker."""

    Channel = Channel


def install() -> None:
    """Let this process's kombu use it, and on RabbitMQ the one that fetches in the order of the lanes."""
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["amqp"] = TRANSPORT_ALIASES["pyamqp"] = "worker.rabbit:Transport"
    TRANSPORT_ALIASES["amqps"] = "worker.rabbit:SSLTransport"
