"""Nudge on RabbitMQ: persistent, confirmed messages on the durable queue of a lane, with kombu only."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from amqp import spec
from amqp.exceptions import AMQPError, ChannelError
from kombu import Connection

from threelane.producer import task_message
from threelane.runtime import tls
from threelane.runtime.settings import Settings
from threelane.store import keys

EXCHANGE = "sms"
IDLE_SECONDS = 30.0  # after this time an idle connection may be dead, and is replaced
CLOSE_SECONDS = 0.1  # to send the close of a connection
SCHEMES = {"amqp": "Transport", "pyamqp": "Transport", "amqps": "SSLTransport"}  # of kombu's module for RabbitMQ

T = TypeVar("T")
Left = Callable[[], float]
"""Returns the remaining seconds of a call; raises TimeoutError if there are none."""


class PublishRefused(Exception):
    """RabbitMQ refused a nudge: the queue does not exist, or memory or disk are exhausted."""


class RabbitBroker:
    """Publishes nudges to RabbitMQ; threads and forked processes may share it.

    A thread uses a connection exclusively while it publishes.  A child process drops its parent's connections without
    sending to RabbitMQ.  A call waits at most ``redis_timeout_seconds`` in total.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the settings; the first nudge connects."""
        self._nodes = deque(settings.broker.split(";"))  # the node that answered last is first
        self._seconds = settings.redis_timeout_seconds
        self._most = settings.redis_connections
        self._monotonic = monotonic
        self._begin()

    def publish(self, lane: int, bodies: Sequence[bytes]) -> None:
        """Publish nudges and wait for all confirmations; raises errors of kombu and py-amqp."""
        self._run(lambda session, left: session.publish(keys.queue(lane), bodies, left))

    def depths(self) -> dict[int, int]:
        """Return the number of waiting nudges of each lane; raises errors of kombu and py-amqp."""
        return self._run(lambda session, left: {lane: session.depth(keys.queue(lane), left) for lane in keys.LANES})

    def close(self) -> None:
        """Close the connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop()[1].close()

    def forget(self) -> None:
        """Reset in a child process; the parent keeps the connections."""
        for session in list(self._sessions):
            session.abandon()
        self._begin()

    def _begin(self) -> None:
        self._idle: deque[tuple[float, RabbitSession]] = (
            deque()
        )  # with the time since when; the last used is at the right
        self._sessions: WeakSet[RabbitSession] = WeakSet()
        self._places = threading.BoundedSemaphore(self._most)

    def _run(self, work: Callable[[RabbitSession, Left], T]) -> T:
        """Run ``work`` with a connection, and retry with a new one, since an idle one may predate a restart."""
        deadline = self._monotonic() + self._seconds

        def left() -> float:
            if (seconds := deadline - self._monotonic()) > 0:
                return seconds
            raise TimeoutError

        with self._place(left):
            if session := self._unused():
                try:
                    return self._finish(session, work, left)
                except TimeoutError:
                    raise
                except (OSError, AMQPError, PublishRefused):
                    pass
            return self._finish(self._connect(left), work, left)

    def _finish(self, session: RabbitSession, work: Callable[[RabbitSession, Left], T], left: Left) -> T:
        try:
            answer = work(session, left)
        except BaseException:
            session.drop()
            raise
        self._idle.append((self._monotonic(), session))
        return answer

    @contextmanager
    def _place(self, left: Left) -> Iterator[None]:
        places = self._places  # a child process has its own
        if not places.acquire(timeout=left()):
            raise TimeoutError
        try:
            yield
        finally:
            places.release()

    def _unused(self) -> RabbitSession | None:
        """Return the last used connection, unless it is idle for too long; close those that are."""
        latest = self._monotonic() - IDLE_SECONDS
        with suppress(IndexError):  # another thread took the last one
            while self._idle[0][0] < latest:
                self._idle.popleft()[1].close()
            return self._idle.pop()[1]
        return None

    def _connect(self, left: Left) -> RabbitSession:
        """Connect to the first node that answers; each gets an equal share of the remaining time."""
        for remaining in range(len(self._nodes), 0, -1):
            try:
                session = RabbitSession(self._nodes[0], left() / remaining)
            except (OSError, AMQPError):
                if remaining == 1:
                    raise
                self._nodes.rotate(-1)
            else:
                self._sessions.add(session)
                return session
        raise AssertionError("there is at least one node")


class RabbitSession:
    """A connection with one channel; each message is persistent, and confirmed or refused."""

    def __init__(self, url: str, seconds: float) -> None:
        """Connect within ``seconds``; raises errors of py-amqp."""
        scheme = url.partition("://")[0]
        broker = Connection(
            url,
            transport=f"kombu.transport.pyamqp:{SCHEMES[scheme]}",  # even if the process registered another transport
            connect_timeout=seconds,
            ssl=tls.amqp_options(url) or False,
            transport_options={"on_blocked": self._refused},
        )
        self._connection: Any = broker.transport.establish_connection()
        self._transport = self._connection.transport
        self._wait_at_most(seconds)
        self._unconfirmed: set[int] = set()
        self._published = 0
        self._known: set[str] = set()  # the queues that exist
        self._open_channel()

    def publish(self, queue: str, bodies: Sequence[bytes], left: Left) -> None:
        """Publish messages to a queue, and wait for all to be confirmed; raises PublishRefused if one is refused."""
        if queue not in self._known:
            self._wait_at_most(left())
            self._find_or_declare(queue)
        for body in bodies:
            self._wait_at_most(left())
            self._published += 1
            self._unconfirmed.add(self._published)
            self._channel.basic_publish(self._message(body), routing_key=queue, mandatory=True)
        while self._unconfirmed:
            self._connection.drain_events(timeout=left())

    def depth(self, queue: str, left: Left) -> int:
        """Return the number of messages in a queue; 0 if it does not exist."""
        self._wait_at_most(left())
        try:
            return int(self._channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # which closes the channel
            self._known.clear()
            self._open_channel()
            return 0

    def close(self) -> None:
        """Send the close of the protocol, without which RabbitMQ logs a warning; do not wait for the reply."""
        with suppress(OSError, AMQPError):
            self._wait_at_most(CLOSE_SECONDS)
            self._connection.send_method(spec.Connection.Close, "BsBB", (200, "", 0, 0))
        self.drop()

    def drop(self) -> None:
        """Close the connection without waiting for RabbitMQ."""
        with suppress(OSError, AMQPError):
            self._connection.collect()

    def abandon(self) -> None:
        """Close the socket without a shutdown, which would end the parent's connection."""
        if self._transport.sock:
            self._transport.sock.close()
            self._transport.sock = None
        self._transport.connected = False

    def _open_channel(self) -> None:
        self._channel = self._connection.channel()
        self._channel.events["basic_ack"].add(self._confirmed)
        self._channel.events["basic_nack"].add(self._refused)
        self._channel.events["basic_return"].add(self._refused)
        self._channel.confirm_select()
        self._published = 0
        self._unconfirmed.clear()

    def _find_or_declare(self, queue: str) -> None:
        """Ensure that a queue exists; one with other arguments is fine, too."""
        try:
            self._channel.queue_declare(queue, passive=True)
        except ChannelError:  # which closes the channel
            self._open_channel()
            self._channel.exchange_declare(EXCHANGE, "direct", durable=True, auto_delete=False)
            self._channel.queue_declare(queue, durable=True, auto_delete=False)
            self._channel.queue_bind(queue, EXCHANGE, queue)
        self._known.add(queue)

    def _message(self, body: bytes) -> Any:
        task_id = task_message.new_id()
        return self._channel.prepare_message(
            body,
            priority=0,
            content_type=task_message.CONTENT_TYPE,
            content_encoding=task_message.CONTENT_ENCODING,
            headers=task_message.headers(task_id),
            properties={"correlation_id": task_id, "reply_to": "", "delivery_mode": task_message.PERSISTENT},
        )

    def _confirmed(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {one for one in self._unconfirmed if one > tag}
        else:
            self._unconfirmed.discard(tag)

    def _refused(self, *_: Any) -> None:
        """Handle a nack, a returned nudge, or an alarm for memory or disk."""
        raise PublishRefused

    def _wait_at_most(self, seconds: float) -> None:
        """Limit each wait for RabbitMQ; py-amqp's own read time-out has no effect."""
        self._transport.sock.settimeout(seconds)
