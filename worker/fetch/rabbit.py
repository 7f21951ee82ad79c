"""Rabbit: kombu's AMQP transport, changed to pull: a free thread takes a nudge in the order of the lanes.

AMQP pushes, and has no order of queues.  With one prefetch for all queues, a free thread serves whichever queue is
faster, so a backlog in lane 3 gets every second thread while codes wait.  With one prefetch per queue, a code may be
pushed to a worker whose threads are all busy with a newsletter, and waits there while another worker is idle.  In both
cases, nudges pushed from a closed lane would have to be returned.  So this channel does not consume the lanes.  When a
thread is free, it polls them with ``basic.get`` in the order of ``lanes``.  BRPOP does the same on Redis, and the same
rules apply: strict order, shares, and no poll of a closed lane.

Nothing blocks: the response to a get is one more event of the worker's loop, so heartbeats and acknowledgements go on
whatever the broker does.  While there is work, the next get follows a response or an acknowledgement at once.  When all
lanes are empty, the next round follows a pause, which is the longest that a message waits for an idle worker;
twenty-five rounds a second cost worker and broker 2 % of a core each.

A worker holds unacknowledged only what its threads work on, and what it keeps until its lane opens: ``put_back`` says
why.  RabbitMQ gives it to other workers when the connection ends, without a visibility timeout.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from amqp import spec
from amqp.exceptions import AMQPError, RecoverableConnectionError
from celery import Celery
from kombu.exceptions import KombuError
from kombu.transport import pyamqp

from threelane.store import keys
from threelane.worker.fetch.lanes import LANES, LaneOrder
from threelane.worker.fetch.nudge import DROPPED, NoNudge, from_amqp
from threelane.worker.fetch.put_back import WAITING
from threelane.worker.fetch.rabbit_refusals import REFUSALS, Refused

KEEP_SECONDS = 5.0  # a kept nudge is tried again after this time, though its lane is closed
PAUSE_SECONDS = 0.04  # between two rounds of gets from empty lanes
LOST = (OSError, RecoverableConnectionError)  # the connection is lost, with all that it held


class _Nudge(NamedTuple):
    """A nudge that this worker holds, as it arrived."""

    queue: str
    message: Any
    kept_at: float = 0.0


class _NotesRefusals:
    """A channel or connection: when RabbitMQ closes it, it refused the last request."""

    def _on_close(self, *reply: Any) -> None:
        """Handle the close."""
        try:
            super()._on_close(*reply)  # type: ignore[misc]
        except AMQPError as refused:
            REFUSALS.meet(refused)
            raise


class RabbitChannel(_NotesRefusals, pyamqp.Channel):
    """A channel that pulls nudges instead of having them pushed; it consumes other queues as usual."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start without lanes and without capacity."""
        self._takers: dict[str, tuple[str, Callable[[Any], None]]] = {}  # queue -> consumer's tag and callback
        self._order = LaneOrder()
        self._room = 0
        self._held: dict[int, _Nudge] = {}  # by delivery tag: those that threads work on
        self._kept: dict[int, _Nudge] = {}  # those that wait here until their lane opens
        self._queues_left: deque[str] = deque()  # the rest of this round
        self._pending_queue = ""  # the queue of the get under way
        super().__init__(*args, **kwargs)

    def _setup_listeners(self) -> None:
        super()._setup_listeners()  # type: ignore[misc]
        self._callbacks |= {  # type: ignore[attr-defined]
            spec.Basic.GetOk: self._fetched,
            spec.Basic.GetEmpty: self._found_empty,
        }

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool, argsig: str = "lBb") -> None:  # noqa: ARG002
        """Set how many nudges to hold at once; the broker need not know, since it pushes none."""
        self._room = prefetch_count

    def basic_consume(self, queue: str = "", consumer_tag: str = "", *args: Any, **kwargs: Any) -> Any:
        """Start fetching from a lane, or consuming any other queue."""
        if not keys.lane_of(queue):
            return super().basic_consume(queue, consumer_tag, *args, **kwargs)
        self._takers[queue] = consumer_tag, kwargs["callback"]
        self._order.update(self._takers)
        return consumer_tag

    def basic_cancel(self, consumer_tag: str, *args: Any, **kwargs: Any) -> Any:
        """Stop fetching from a lane, or consuming any other queue."""
        lanes = [queue for queue, (tag, _) in self._takers.items() if tag == consumer_tag]
        if not lanes:
            return super().basic_cancel(consumer_tag, *args, **kwargs)
        for queue in lanes:
            del self._takers[queue]
        self._order.update(self._takers)
        return None

    def basic_ack(self, delivery_tag: int, *args: Any, **kwargs: Any) -> None:
        """Acknowledge, and fetch another; after a lost connection the nudge comes again and finds nothing to do."""
        with suppress(*LOST):
            super().basic_ack(delivery_tag, *args, **kwargs)
        self._release(delivery_tag)

    def basic_reject(self, delivery_tag: int, requeue: bool, *args: Any, **kwargs: Any) -> None:
        """Keep a nudge until its lane opens, or drop it, and fetch another.

        After a lost connection, or when fetching has ended, RabbitMQ gives it to somebody when the connection ends.
        """
        nudge = self._held.pop(delivery_tag, None)
        if nudge and requeue:
            self._kept[delivery_tag] = nudge._replace(kept_at=time.monotonic())
        else:
            with suppress(*LOST):
                super().basic_reject(delivery_tag, requeue, *args, **kwargs)
        self.fetch()

    def fetch(self) -> None:
        """Start a round of gets, unless one is under way or no thread is free."""
        if not self._pending_queue and len(self._held) < self._room:
            LANES.holding(one.queue for one in self._held.values())
            self._queues_left = deque(self._order.queues())
            if not self._queues_left:
                LANES.responded()
            if overdue := self._overdue():
                self._take(overdue)
            else:
                self._get_next()

    def _overdue(self) -> int:
        """Return the delivery tag of a kept nudge that no longer waits for the rate alone, or 0."""
        latest = time.monotonic() - KEEP_SECONDS
        for tag, one in self._kept.items():
            lane = _lane_of(one.queue)
            has_thread = lane == keys.LANES[0] or not LANES.is_crowded
            if one.queue in self._takers and has_thread and (one.kept_at <= latest or LANES.is_held(lane)):
                return tag
        return 0

    def _get_next(self) -> None:
        self._pending_queue = ""
        queue = self._queues_left.popleft() if self._queues_left else ""
        if kept := min((tag for tag, one in self._kept.items() if one.queue == queue), default=0):
            self._take(kept)
            return
        self._pending_queue = queue
        if self._pending_queue:
            with suppress(*LOST):  # the reader of the connection handles it
                self.send_method(spec.Basic.Get, "Bsb", (0, self._pending_queue, False))

    def _found_empty(self, *_: Any) -> None:
        lane = _lane_of(self._pending_queue)
        self._note(lane, 0, nudge=any(one.queue == self._pending_queue for one in self._kept.values()))
        self._get_next()

    def _fetched(
        self, delivery_tag: int, redelivered: bool, exchange: str, routing_key: str, waiting: int, message: Any
    ) -> None:
        """Hand over a nudge, and start again with the first lane: it may have nudges by now."""
        queue, self._pending_queue = self._pending_queue, ""
        lane = _lane_of(queue)
        properties = message.properties
        try:
            message.body, message.properties = from_amqp(properties.get("application_headers"), message.body)
        except NoNudge as dropped:
            DROPPED.note(queue, dropped.problem, message.body)
            self._note(lane, waiting, nudge=False)
            self.basic_ack(delivery_tag)
            return
        self._note(lane, waiting, nudge=True)
        if queue not in self._takers:  # cancelled while the get was under way; at most once in a worker's life
            super().basic_reject(delivery_tag, requeue=True)
            return
        message.channel = self
        message.delivery_info = {
            "consumer_tag": self._takers[queue][0],
            "delivery_tag": delivery_tag,
            "redelivered": redelivered,
            "exchange": exchange,
            "routing_key": routing_key,
        }
        self._kept[delivery_tag] = _Nudge(queue, message)
        self._take(delivery_tag)

    def _note(self, lane: int, waiting: int, *, nudge: bool) -> None:
        """Note a response; ``nudge``: this worker has a nudge of the lane, whose messages looks need not claim."""
        REFUSALS.consuming()
        WAITING[lane] = waiting
        LANES.found(lane, nudge=nudge)

    def _take(self, delivery_tag: int) -> None:
        """Hand a nudge to a thread, and fetch another."""
        nudge = self._kept.pop(delivery_tag)
        self._held[delivery_tag] = nudge
        self._takers[nudge.queue][1](nudge.message)
        self.fetch()

    def _release(self, delivery_tag: int) -> None:
        self._held.pop(delivery_tag, None)
        self.fetch()


def _lane_of(queue: str) -> int:
    return keys.lane_of(queue) or 0


class RabbitConnection(_NotesRefusals, pyamqp.Connection):
    """A connection whose channels pull."""

    Channel = RabbitChannel

    def fetch(self) -> None:
        """Start a round on each channel; called after each pause."""
        for channel in list((self.channels or {}).values()):  # type: ignore[attr-defined]
            if isinstance(channel, RabbitChannel):
                channel.fetch()


class _Reads:
    """A loop that drops a planned read of a connection that is lost by then."""

    def __init__(self, loop: Any, connection: Any) -> None:
        self._loop = loop
        self._connection = connection

    def call_soon(self, read: Callable[[Any], None], *_: Any) -> None:
        """Plan a read."""

        def unless_lost() -> None:
            if self._connection.connected:
                read(self)

        self._loop.call_soon(unless_lost)


class RabbitTransport(pyamqp.Transport):
    """The transport of the amqp scheme in a worker."""

    Connection = RabbitConnection

    def establish_connection(self) -> Any:
        """Connect; raises Refused, which kombu retries, while RabbitMQ refuses this worker."""
        REFUSALS.wait()
        try:
            return super().establish_connection()
        except AMQPError as refused:
            if refusal := REFUSALS.meet(refused):
                raise Refused(refusal) from refused
            raise

    def on_readable(self, connection: Any, loop: Any) -> None:
        """Read what arrives; a read that was planned before the connection was lost does nothing.

        Celery empties its loop after a lost connection, which would run that read and log a traceback.
        """
        super().on_readable(connection, _Reads(loop, connection))

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Read what arrives, and fetch more after each pause."""
        super().register_with_event_loop(connection, loop)
        loop.call_repeatedly(PAUSE_SECONDS, connection.fetch)


class RabbitTlsTransport(RabbitTransport, pyamqp.SSLTransport):
    """The transport of the amqps scheme in a worker."""


def declare_or_exit(app: Celery) -> None:
    """Declare the queues before the first message; ends the process with code 2 if a setting is wrong.

    A RabbitMQ that is away is waited for later, by Celery.
    """
    with suppress(OSError, AMQPError, KombuError), app.connection_for_read() as connection:
        connection.connect()
        for queue in app.amqp.queues.consume_from.values():
            queue(connection.default_channel).declare()
