"""Nudge on RabbitMQ: persistent, confirmed messages on the durable queue of a lane, with kombu only."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from amqp import spec
from amqp.exceptions import AMQPError, ChannelError, NotFound
from amqp.transport import SSLTransport as AmqpTlsTransport
from amqp.transport import TCPTransport as AmqpTcpTransport
from kombu import Connection
from kombu.transport import pyamqp

from threelane.producer import task_message
from threelane.runtime import broker_replies, tls
from threelane.runtime.broker_replies import BrokerReply
from threelane.runtime.deadline import BoundedSocket, Deadline, remaining
from threelane.runtime.settings import Settings
from threelane.store import keys

EXCHANGE = "sms"
IDLE_SECONDS = 30.0  # after this time an idle connection may be dead, and is replaced
CLOSE_SECONDS = 0.1  # to send the close of a connection
SCHEMES = {"amqp": "Transport", "pyamqp": "Transport", "amqps": "TlsTransport"}  # of this module

T = TypeVar("T")


class PublishRefused(Exception):
    """RabbitMQ refused a nudge: an alarm for memory or disk, a queue that does not exist, or one without a majority."""

    def __init__(self, broker_reply: BrokerReply) -> None:
        """Keep the reply."""
        self.broker_reply = broker_reply
        super().__init__(broker_reply.sentence())


class RabbitBroker:
    """Publishes nudges to RabbitMQ; threads and forked processes may share it.

    A thread uses a connection exclusively while it publishes.  A child process drops its parent's connections without
    sending to RabbitMQ.  A call waits at most ``redis_timeout_seconds`` in total.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the settings; the first nudge connects."""
        self._nodes = deque(settings.broker.split(";"))  # the node that answered last is first
        self._arguments = settings.rabbit_queue_arguments
        self._deadline = Deadline(settings.redis_timeout_seconds, monotonic)
        self._most = settings.redis_connections
        self._monotonic = monotonic
        self._begin()

    def publish(self, lane: int, bodies: Sequence[bytes], account: str = "") -> None:
        """Publish nudges and wait for all confirmations; raises errors of kombu and py-amqp."""
        self._run(lambda session: session.publish(keys.queue(lane, account), bodies))

    def depths(self, account: str = "") -> dict[int, int]:
        """Return the number of waiting nudges of each lane; raises errors of kombu and py-amqp."""
        return self._run(lambda session: {lane: session.depth(keys.queue(lane, account)) for lane in keys.LANES})

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

    def _run(self, work: Callable[[RabbitSession], T]) -> T:
        """Run ``work`` with a connection, and retry with a new one, since an idle one may predate a restart."""
        with self._deadline.within(), self._place():
            if session := self._unused():
                try:
                    return self._finish(session, work)
                except TimeoutError:
                    raise
                except (OSError, AMQPError, PublishRefused):
                    pass
            return self._finish(self._connect(), work)

    def _finish(self, session: RabbitSession, work: Callable[[RabbitSession], T]) -> T:
        try:
            answer = work(session)
        except BaseException:
            session.drop()
            raise
        self._idle.append((self._monotonic(), session))
        return answer

    @contextmanager
    def _place(self) -> Iterator[None]:
        places = self._places  # a child process has its own
        if not places.acquire(timeout=self._deadline.left()):
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

    def _connect(self) -> RabbitSession:
        """Connect to the first node that answers; each gets an equal share of the remaining time."""
        for untried in range(len(self._nodes), 0, -1):
            try:
                with self._deadline.within(self._deadline.left() / untried):
                    session = RabbitSession(self._nodes[0], self._deadline, self._arguments)
            except (OSError, AMQPError):
                if untried == 1:
                    raise
                self._nodes.rotate(-1)
            else:
                self._sessions.add(session)
                return session
        raise AssertionError("there is at least one node")


class _Bounded:
    """A transport of py-amqp whose every wait ends with the call, also those of the handshakes."""

    connect_timeout = remaining()
    sock: Any

    def __init__(self, host: str, deadline: Deadline, **more: Any) -> None:
        self._deadline = deadline
        super().__init__(host, **more)  # type: ignore[call-arg]

    def _connect(self, host: str, port: int, _: object) -> None:
        """Connect to the first address that accepts; py-amqp gives each of them the whole time."""
        failed: OSError | None = None
        for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            one = socket.socket(family, kind, protocol)
            try:
                one.settimeout(self._deadline.left())
                one.connect(address)
            except OSError as error:
                one.close()
                failed = error
            else:
                self.sock = one
                return
        raise failed or OSError("no address")


class _TcpTransport(_Bounded, AmqpTcpTransport):
    def _setup_transport(self) -> None:
        self.sock = BoundedSocket(self.sock, self._deadline)
        super()._setup_transport()  # type: ignore[misc]


class _TlsTransport(_Bounded, AmqpTlsTransport):
    def _setup_transport(self) -> None:
        super()._setup_transport()  # type: ignore[misc]
        self.sock = BoundedSocket(self.sock, self._deadline)
        self._quick_recv = self.sock.read

    def _shutdown_transport(self) -> None:
        """Do not wait for the end of TLS: a broker that hangs would not answer it."""


class _BoundedConnection(pyamqp.Connection):
    """A connection of kombu with a bounded transport."""

    def __init__(self, *args: Any, deadline: Deadline, **more: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **more)

    def Transport(
        self,
        host: str,
        connect_timeout: object,  # noqa: ARG002 - the deadline takes its place
        ssl: Any = False,
        *_: object,
        **more: Any,
    ) -> Any:
        """Return the transport of a connection."""
        settings = more.get("socket_settings")
        if ssl:
            return _TlsTransport(host, self._deadline, ssl=ssl, socket_settings=settings)
        return _TcpTransport(host, self._deadline, socket_settings=settings)


class Transport(pyamqp.Transport):
    """The transport of the amqp scheme in a producer."""

    Connection = _BoundedConnection


class TlsTransport(pyamqp.SSLTransport):
    """The transport of the amqps scheme in a producer."""

    Connection = _BoundedConnection


class RabbitSession:
    """A connection with one channel; each message is persistent, and confirmed or refused."""

    def __init__(self, url: str, deadline: Deadline, arguments: Mapping[str, Any] | None = None) -> None:
        """Connect before the call's end; raises errors of py-amqp.  Queues are declared with ``arguments``."""
        scheme = url.partition("://")[0]
        broker = Connection(
            url,
            transport=f"{__name__}:{SCHEMES[scheme]}",  # even if the process registered another transport
            ssl=tls.amqp_options(url) or False,
            transport_options={"on_blocked": self._blocked, "deadline": deadline},
        )
        self._deadline = deadline
        self._arguments = dict(arguments or {})
        self._connection: Any = broker.transport.establish_connection()
        self._transport = self._connection.transport
        self._unconfirmed: set[int] = set()
        self._published = 0
        self._known: set[str] = set()  # the queues that exist
        self._open_channel()

    def publish(self, queue: str, bodies: Sequence[bytes]) -> None:
        """Publish messages to a queue, and wait for all to be confirmed; raises PublishRefused if one is refused."""
        if queue not in self._known:
            self._find_or_declare(queue)
        for body in bodies:
            self._published += 1
            self._unconfirmed.add(self._published)
            self._channel.basic_publish(self._message(body), routing_key=queue, mandatory=True)
        while self._unconfirmed:
            self._connection.drain_events(timeout=self._deadline.left())

    def exists(self, queue: str) -> bool:
        """Return whether a queue exists."""
        try:
            self._channel.queue_declare(queue, passive=True)
        except NotFound:  # which closes the channel
            self._open_channel()
            return False
        return True

    def declare(self, queue: str, more: Mapping[str, Any] | None = None) -> None:
        """Declare a queue as workers do, with ``more`` arguments; raises ChannelError if it exists with others."""
        arguments = self._arguments | dict(more or {})
        self._channel.exchange_declare(EXCHANGE, "direct", durable=True, auto_delete=False)
        self._channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments or None)
        self._channel.queue_bind(queue, EXCHANGE, queue)

    def fetch(self, queue: str) -> bytes | None:
        """Take one message off a queue, with its acknowledgement; None if it is empty."""
        found = self._channel.basic_get(queue, no_ack=True)
        return None if found is None else bytes(found.body, "utf-8") if isinstance(found.body, str) else found.body

    def delete(self, queue: str) -> None:
        """Delete a queue."""
        self._channel.queue_delete(queue)

    @property
    def version(self) -> str:
        """The version of RabbitMQ."""
        return str(self._connection.server_properties.get("version", ""))

    def depth(self, queue: str) -> int:
        """Return the number of messages in a queue; 0 if it does not exist."""
        try:
            return int(self._channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # which closes the channel
            self._known.clear()
            self._open_channel()
            return 0

    def close(self) -> None:
        """Send the close of the protocol, without which RabbitMQ logs a warning; do not wait for the reply."""
        with suppress(OSError, AMQPError), self._deadline.within(CLOSE_SECONDS):
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
        self._channel.events["basic_nack"].add(self._nacked)
        self._channel.events["basic_return"].add(self._returned)
        self._channel.confirm_select()
        self._published = 0
        self._unconfirmed.clear()

    def _find_or_declare(self, queue: str) -> None:
        """Ensure that a queue exists; one with other arguments is fine, too."""
        if not self.exists(queue):
            self.declare(queue)
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

    def _blocked(self, *_: Any) -> None:
        raise PublishRefused(broker_replies.ALARM)

    def _returned(self, *_: Any) -> None:
        raise PublishRefused(broker_replies.RETURNED)

    def _nacked(self, *_: Any) -> None:
        raise PublishRefused(broker_replies.NACKED)
