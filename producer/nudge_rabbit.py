"""Nudge on RabbitMQ: persistent, confirmed messages on the durable queue of a lane, by kombu alone."""

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
IDLE_SECONDS = 30.0  # a connection that was unused for so long may be dead without notice, and is replaced
CLOSE_SECONDS = 0.1  # for the last word of a connection, where nobody reads any more
SCHEMES = {"amqp": "Transport", "pyamqp": "Transport", "amqps": "SSLTransport"}  # of kombu's module for RabbitMQ

T = TypeVar("T")
Left = Callable[[], float]
"""Returns the seconds that a call may still wait; raises TimeoutError when there are none."""


class PublishRefused(Exception):
    """RabbitMQ refused a nudge: there is no such queue, or it is out of memory or disk."""


class RabbitBroker:
    """Publishes nudges to RabbitMQ; threads and forked processes may share it.

    A thread has a connection to itself while it publishes.  A child process forgets its parent's connections without a
    word to RabbitMQ.  All waits of a call together end after ``redis_timeout_seconds``.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the settings; the first nudge connects."""
        self._nodes = deque(settings.broker.split(";"))  # the one that answered last comes first
        self._seconds = settings.redis_timeout_seconds
        self._most = settings.redis_connections
        self._monotonic = monotonic
        self._begin()

    def publish(self, lane: int, bodies: Sequence[bytes]) -> None:
        """Publish nudges and wait until RabbitMQ has confirmed all; raises what kombu and py-amqp raise."""
        self._run(lambda session, left: session.publish(keys.queue(lane), bodies, left))

    def depths(self) -> dict[int, int]:
        """Return how many nudges wait on each lane; raises what kombu and py-amqp raise."""
        return self._run(lambda session, left: {lane: session.depth(keys.queue(lane), left) for lane in keys.LANES})

    def close(self) -> None:
        """Give the connections back."""
        with suppress(IndexError):
            while True:
                self._idle.pop()[1].close()

    def forget(self) -> None:
        """Begin anew in a child process, whose parent goes on with the connections."""
        for session in list(self._sessions):
            session.abandon()
        self._begin()

    def _begin(self) -> None:
        self._idle: deque[tuple[float, RabbitSession]] = deque()  # with since when; the last used at the right
        self._sessions: WeakSet[RabbitSession] = WeakSet()
        self._places = threading.BoundedSemaphore(self._most)

    def _run(self, work: Callable[[RabbitSession, Left], T]) -> T:
        """Work with a connection, and once more with a new one where the first was from before a restart."""
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
        places = self._places  # a child process has others
        if not places.acquire(timeout=left()):
            raise TimeoutError
        try:
            yield
        finally:
            places.release()

    def _unused(self) -> RabbitSession | None:
        """Return the connection that was used last, unless that is too long ago; those that are too old are closed."""
        latest = self._monotonic() - IDLE_SECONDS
        with suppress(IndexError):  # another thread took the last one
            while self._idle[0][0] < latest:
                self._idle.popleft()[1].close()
            return self._idle.pop()[1]
        return None

    def _connect(self, left: Left) -> RabbitSession:
        """Return a new connection to the first node that answers; each has its share of the time that is left."""
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
    """A connection with one channel, on which each message is persistent, and is confirmed or refused."""

    def __init__(self, url: str, seconds: float) -> None:
        """Connect within some seconds; raises what py-amqp raises."""
        scheme = url.partition("://")[0]
        broker = Connection(
            url,
            transport=f"kombu.transport.pyamqp:{SCHEMES[scheme]}",  # whatever this process's kombu has for the scheme
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
        """Publish messages to a queue, and wait for all to be confirmed; raises PublishRefused when one is refused."""
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
        """Return how many messages wait in a queue; 0 when there is no such queue."""
        self._wait_at_most(left())
        try:
            return int(self._channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # which closes the channel
            self._known.clear()
            self._open_channel()
            return 0

    def close(self) -> None:
        """End the connection as the protocol has it, else RabbitMQ warns of it; its answer is not waited for."""
        with suppress(OSError, AMQPError):
            self._wait_at_most(CLOSE_SECONDS)
            self._connection.send_method(spec.Connection.Close, "BsBB", (200, "", 0, 0))
        self.drop()

    def drop(self) -> None:
        """Close the connection without waiting for RabbitMQ."""
        with suppress(OSError, AMQPError):
            self._connection.collect()

    def abandon(self) -> None:
        """Let go of a socket that belongs to the parent process; to shut it down would end the parent's connection."""
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
        """Make sure that a queue exists; one that was declared with other arguments takes nudges as well."""
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
        """Take note of a nack, of a nudge without a queue, and of an alarm for memory or disk."""
        raise PublishRefused

    def _wait_at_most(self, seconds: float) -> None:
        """Bound each wait for RabbitMQ; py-amqp's own timeout of reads is without effect."""
        self._transport.sock.settimeout(seconds)
