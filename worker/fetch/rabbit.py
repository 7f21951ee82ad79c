"""Rabbit: kombu's AMQP transport, made to fetch: who has a free thread takes a nudge, in the order of the lanes.

AMQP pushes, and knows no order of queues.  With one prefetch for all of them a free thread goes to whichever queue is
quicker, so a backlog in lane 3 gets every second thread while codes wait.  With a prefetch for each, a code may be
pushed to a worker whose threads are all busy with a newsletter, and waits there while another worker stands idle.
Either way what a closed lane has pushed would have to be given back.  So lanes are not consumed here.  They are asked,
one by one with ``basic.get`` in the order of ``lanes``, when a thread is free: that is what BRPOP does on Redis, and
the same rules hold: strict order, shares, and a closed lane is not asked at all.

Nothing blocks: a question is sent, and its answer is one more event of the worker's loop, so heartbeats and
acknowledgements go on whatever the broker does.  While there is work, the next question follows an answer or an
acknowledgement at once.  When all lanes are empty they are asked again after a pause, which is the longest that a
message waits for an idle worker; twenty-five times a second costs worker and broker two percent of a core each.

What a worker holds un-acknowledged is what its threads work on, and not more.  RabbitMQ gives it to others when the
connection ends, without a visibility timeout, and puts what is rejected back where it was in its lane.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp import spec
from amqp.exceptions import RecoverableConnectionError
from kombu.transport import pyamqp

from threelane.store import keys
from threelane.worker.fetch.lanes import LANES, LaneOrder

PAUSE_SECONDS = 0.04  # between two rounds of questions to empty lanes
LOST = (OSError, RecoverableConnectionError)  # the connection, with all that it held
LANE_QUEUES = frozenset(keys.queue(lane) for lane in keys.LANES)


class RabbitChannel(pyamqp.Channel):
    """A channel that asks for nudges, instead of having them pushed; other queues are consumed as ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        """Start without a lane and without room."""
        self._takers: dict[str, tuple[str, Callable[[Any], None]]] = {}  # queue -> consumer's tag and callback
        self._order = LaneOrder()
        self._room = 0
        self._held: dict[int, str] = {}  # delivery tag -> queue
        self._queues_left: deque[str] = deque()  # what is left of a round of questions
        self._pending_queue = ""  # the queue whose answer is still to come
        super().__init__(*given, **named)

    def _setup_listeners(self) -> None:
        super()._setup_listeners()  # type: ignore[misc]
        self._callbacks |= {  # type: ignore[attr-defined]
            spec.Basic.GetOk: self._fetched,
            spec.Basic.GetEmpty: self._found_empty,
        }

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool, argsig: str = "lBb") -> None:  # noqa: ARG002
        """Hold so many nudges at once; the broker need not know, since it pushes none."""
        self._room = prefetch_count

    def basic_consume(self, queue: str = "", consumer_tag: str = "", *given: Any, **named: Any) -> Any:
        """Begin to fetch from a lane, or to consume any other queue."""
        if queue not in LANE_QUEUES:
            return super().basic_consume(queue, consumer_tag, *given, **named)
        self._takers[queue] = consumer_tag, named["callback"]
        self._order.update(self._takers)
        return consumer_tag

    def basic_cancel(self, consumer_tag: str, *given: Any, **named: Any) -> Any:
        """Fetch nothing more from a lane, or consume nothing more from any other queue."""
        lanes = [queue for queue, (tag, _) in self._takers.items() if tag == consumer_tag]
        if not lanes:
            return super().basic_cancel(consumer_tag, *given, **named)
        for queue in lanes:
            del self._takers[queue]
        self._order.update(self._takers)
        return None

    def basic_ack(self, delivery_tag: int, *given: Any, **named: Any) -> None:
        """Acknowledge, and fetch another; if the connection is lost, the nudge comes again, and finds nothing to do."""
        with suppress(*LOST):
            super().basic_ack(delivery_tag, *given, **named)
        self._let_go(delivery_tag)

    def basic_reject(self, delivery_tag: int, *given: Any, **named: Any) -> None:
        """Put back or drop, and fetch another; if the connection is lost, RabbitMQ puts it back by itself."""
        with suppress(*LOST):
            super().basic_reject(delivery_tag, *given, **named)
        self._let_go(delivery_tag)

    def fetch(self) -> None:
        """Begin a round of questions, unless one is under way or no thread is free."""
        if not self._pending_queue and len(self._held) < self._room:
            LANES.holding(self._held.values())
            self._queues_left = deque(self._order.queues())
            self._get_next()

    def _get_next(self) -> None:
        self._pending_queue = self._queues_left.popleft() if self._queues_left else ""
        if self._pending_queue:
            with suppress(*LOST):  # whoever reads from the connection finds out
                self.send_method(spec.Basic.Get, "Bsb", (0, self._pending_queue, False))

    def _found_empty(self, *_: Any) -> None:
        self._get_next()

    def _fetched(
        self, delivery_tag: int, redelivered: bool, exchange: str, routing_key: str, _waiting: int, message: Any
    ) -> None:
        """Hand a nudge over, and begin again with the first lane: there may be something in it by now."""
        queue, self._pending_queue = self._pending_queue, ""
        if queue not in self._takers:  # cancelled between question and answer
            super().basic_reject(delivery_tag, requeue=True)
            return
        tag, take = self._takers[queue]
        message.channel = self
        message.delivery_info = {
            "consumer_tag": tag,
            "delivery_tag": delivery_tag,
            "redelivered": redelivered,
            "exchange": exchange,
            "routing_key": routing_key,
        }
        self._held[delivery_tag] = queue
        take(message)
        self.fetch()

    def _let_go(self, delivery_tag: int) -> None:
        self._held.pop(delivery_tag, None)
        self.fetch()


class RabbitConnection(pyamqp.Connection):
    """A connection with such channels."""

    Channel = RabbitChannel

    def fetch(self) -> None:
        """Let each channel ask for nudges; called when the pause is over."""
        for channel in list((self.channels or {}).values()):  # type: ignore[attr-defined]
            if isinstance(channel, RabbitChannel):
                channel.fetch()


class RabbitTransport(pyamqp.Transport):
    """The transport of the scheme amqp in a worker."""

    Connection = RabbitConnection

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Read what arrives, and ask for more when the pause is over."""
        super().register_with_event_loop(connection, loop)
        loop.call_repeatedly(PAUSE_SECONDS, connection.fetch)


class RabbitTlsTransport(RabbitTransport, pyamqp.SSLTransport):
    """The transport of the scheme amqps in a worker."""
