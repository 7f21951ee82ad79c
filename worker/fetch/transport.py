"""Transport: kombu's Redis transport without bookkeeping that hints do not need, and without its fatal errors.

kombu records in Redis which nudges a worker holds, so that they return when it dies.  A nudge is a hint: a look finds
the messages of a lost one, sooner than kombu's visibility timeout would.  So a worker keeps its nudges only in
memory, which saves two transactions a nudge, and puts back what it cannot serve.

When the connection breaks, kombu closes the channel twice; the second time it puts back the held nudges through a
closed connection, which raises an uncaught exception.  Above its memory ceiling, Redis before 7.4 refuses every command
in a transaction, even reads and deletes; so this transport uses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty
from time import monotonic, sleep
from typing import Any

from celery.worker.state import maybe_shutdown
from kombu import transport
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps, loads
from redis.exceptions import RedisError, ResponseError

from threelane.contract.refusal import Owner
from threelane.producer.explanation import explain
from threelane.runtime import logs
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings
from threelane.store import keys
from threelane.store.replies import text_of
from threelane.worker.fetch.lanes import LANES
from threelane.worker.fetch.nudge import DROPPED, NoNudge, from_list
from threelane.worker.process import refusals
from threelane.worker.process.controller import Consumer, Unrecoverable

REFUSED_SECONDS = 1.0  # after Redis refused a fetch
WRONG_TYPE = "WRONGTYPE"
OTHER_TYPE = (
    "a key of the broker has another type, so no nudge can be fetched, and looks carry the lanes: `threelane check` "
    "names the key; delete it, and find out which program wrote it"
)
CROWDED_SECONDS = 0.02  # wait for lane 1 only; meanwhile a thread may become free for the others


class QoS(virtual.QoS):
    """Keeps in memory the nudges that this worker holds."""

    def held(self) -> list[virtual.Message]:
        """Return the nudges that are neither acknowledged nor put back."""
        delivered: dict[str, virtual.Message] = dict(self._delivered or {})
        return [one for tag, one in delivered.items() if tag not in (self._dirty or ())]

    def restore_unacked(self) -> Any:
        """Put back the held nudges; no failure is reported: kombu would write those nudges into a file."""
        super().restore_unacked()
        return []

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Put back or drop, unless a lost connection has already put back all held nudges."""
        if delivery_tag in self._delivered:  # type: ignore[operator]
            super().reject(delivery_tag, requeue)


class RedisChannel(kombu_redis.Channel):
    """A channel that can be closed twice, and opened on a Redis at its memory ceiling."""

    ack_emulation = False
    refusals = refusals.REDIS
    _client_of_pool: Any = None
    _refused_until = 0.0
    _is_of_other_type = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open the channel."""
        super().__init__(*args, **kwargs)
        self.QoS: Any = QoS
        self.connection_errors = kombu_redis.Transport.connection_errors  # an error reply closes no connection

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Lend the client of this channel's pool; kombu would create one for each command."""
        if client is None and (self._client_of_pool is None or self._client_of_pool.connection_pool is not self.pool):
            self._client_of_pool = self._create_client()  # type: ignore[attr-defined]
        yield client or self._client_of_pool

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Wait for a nudge in the lanes that have a free thread; only briefly if that is lane 1 alone."""
        if monotonic() < self._refused_until:
            return  # until kombu's next turn, at most a second later
        held = self.qos.held()  # type: ignore[attr-defined]
        LANES.holding(message.delivery_info["routing_key"] for message in held)
        super()._brpop_start(CROWDED_SECONDS if LANES.is_crowded else timeout)  # type: ignore[misc]

    def _brpop_read(self, **options: Any) -> Any:
        """Deliver a nudge, or record that the lanes were empty: their workers then look at the index instead."""
        try:
            self._deliver_next(**options)
        except Empty:
            self._queue_cycle.was_empty()  # type: ignore[attr-defined]
            self.refusals.accepted(self._brpop_sent_at)  # type: ignore[attr-defined]
            raise
        except ResponseError as failed:
            self._go_on(failed)
            self._refused_until = monotonic() + REFUSED_SECONDS
            raise Empty from None
        self.refusals.accepted(self._brpop_sent_at)  # type: ignore[attr-defined]
        self._is_of_other_type = False
        return True

    def _go_on(self, failed: ResponseError) -> None:
        """Note a reply that looks make up for; raises Unrecoverable for every other."""
        if self.refusals.note(failed):
            return
        if not text_of(failed).startswith(WRONG_TYPE):
            raise Unrecoverable(f"the worker ends: {explain(failed)}", Exit.UNAVAILABLE)  # Celery would try at once
        if not self._is_of_other_type:
            logs.event("queue_of_other_type", level=40, problem=OTHER_TYPE, owner=Owner.OPERATOR)
        self._is_of_other_type = True

    def _deliver_next(self, **options: Any) -> None:
        """Deliver the entry that was fetched, as kombu does, but drop what is no nudge; raises Empty."""
        client: Any = self.client
        try:
            fetched = client.parse_response(client.connection, "BRPOP", **options)
        except self.connection_errors:
            client.connection.disconnect()  # so that the next fetch connects again
            raise
        finally:
            self._in_poll = None
            if flush := getattr(self, "_flush_brpop_reauth", None):  # of newer kombu
                flush()
        if not fetched:
            raise Empty
        key, item = fetched
        queue = key.decode().rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)  # type: ignore[attr-defined]
        try:
            envelope = from_list(item, queue) if keys.lane_of(queue) else loads(item.decode())
        except NoNudge as dropped:
            DROPPED.note(queue, dropped.problem, item)
        else:
            self.connection._deliver(envelope, queue)

    def _restore(self, message: virtual.Message, leftmost: bool = False) -> None:  # noqa: ARG002 - kombu's
        """Put a nudge back at the head of its lane (the right end); if that fails, a look finds its messages."""
        with suppress(RedisError), self.conn_or_acquire() as client:
            lane = self._q_for_pri(message.delivery_info["routing_key"], 0)  # type: ignore[attr-defined]
            client.rpush(lane, dumps(message.serializable()))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Register the queue, which Threelane itself does not need: a Redis that refuses writes stops no start.

        A queue of a fanout exchange is a subscription of this connection, and nothing is left when it ends.
        """
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = (exchange, routing_key.replace("#", "*"))  # type: ignore[attr-defined]
            self._expires.pop(queue, None)  # type: ignore[attr-defined] # kombu would register it at each renewal
            return
        with self._unless_refused():
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[misc]

    def maybe_refresh_binding_expiry(self) -> None:
        """Keep the bindings of remote control, each second; kombu would log a refusal with its traceback."""
        with self._unless_refused():
            super().maybe_refresh_binding_expiry()  # type: ignore[misc]

    @contextmanager
    def _unless_refused(self) -> Iterator[None]:
        """Note a refusal instead of raising it: Celery would connect again at once, and again."""
        try:
            yield
        except ResponseError as failed:
            self._go_on(failed)

    def _size(self, queue: str) -> int:
        """Count the nudges that wait in a queue; 0 if Redis refuses to, which would otherwise end each connect."""
        lists = [self._q_for_pri(queue, step) for step in self.priority_steps]  # type: ignore[attr-defined]
        with self._unless_refused(), self.conn_or_acquire() as client:
            return sum(client.llen(one) for one in lists)
        return 0

    def _has_queue(self, queue: str, **_: Any) -> bool:
        """Return whether a queue has nudges; an empty one does not exist."""
        return self._size(queue) > 0


class RedisTransport(kombu_redis.Transport):
    """The transport of the redis and rediss schemes in a worker."""

    Channel = RedisChannel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)  # Celery connects again after these

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open the poll of the channels; waits for a free file, since Celery would end the process without one."""
        _when_files_are_free(lambda: super(RedisTransport, self).__init__(*args, **kwargs))

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Poll with Celery's loop, which opens another file for that."""
        _when_files_are_free(lambda: loop.poller)
        super().register_with_event_loop(connection, loop)


def _when_files_are_free(open_file: Callable[[], object]) -> None:
    """Open a file, or wait until this process may."""
    while True:
        try:
            open_file()
            return
        except OSError as failed:
            if not refusals.REDIS.note(failed):
                raise
            maybe_shutdown()
            sleep(REFUSED_SECONDS)


def install(settings: Settings) -> None:
    """Make kombu use this transport, and on RabbitMQ the one that pulls in the order of the lanes."""
    if settings.broker_url:
        RedisChannel.refusals = Consumer.refusals = refusals.BROKER
    vars(transport)["_transport_cache"].clear()  # kombu keeps what it resolved before, for good
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:RedisTransport"
    TRANSPORT_ALIASES["amqp"] = TRANSPORT_ALIASES["pyamqp"] = "threelane.worker.fetch.rabbit:RabbitTransport"
    TRANSPORT_ALIASES["amqps"] = "threelane.worker.fetch.rabbit:RabbitTlsTransport"
