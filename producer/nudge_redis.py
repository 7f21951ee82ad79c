"""Nudge on Redis: the list of a lane, in kombu's envelope, with redis-py only."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from threelane.producer import task_message
from threelane.producer.deadline import BoundedSocket, Deadline, remaining
from threelane.runtime import tls
from threelane.runtime.settings import Settings
from threelane.store import keys

PAUSE_SECONDS = 0.05  # before the retry on a new connection
_ID, _BODY = b"<id>", b"<body>"
T = TypeVar("T")


class _Bounded:
    """A connection of redis-py whose every wait ends with the call: connecting, TLS, login, commands."""

    socket_timeout = remaining()
    socket_connect_timeout = remaining()

    def __init__(self, *args: Any, deadline: Deadline, **more: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **more)

    def _connect(self) -> Any:
        return BoundedSocket(super()._connect(), self._deadline)  # type: ignore[misc]


class _Connection(_Bounded, redis.Connection):
    pass


class _TlsConnection(_Bounded, redis.SSLConnection):
    pass


class _SocketConnection(_Bounded, redis.UnixDomainSocketConnection):
    pass


_CONNECTIONS = {"redis": _Connection, "rediss": _TlsConnection, "unix": _SocketConnection}


class RedisBroker:
    """Pushes nudges onto the lists that kombu's workers pop from; threads and forked processes may share it.

    A call waits at most ``redis_timeout_seconds`` in total.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the first nudge connects.

        A lost connection is retried once, since it may predate a restart of Redis; a time-out is not.
        """
        self._deadline = Deadline(settings.redis_timeout_seconds)
        self._most = settings.redis_connections
        pool = redis.BlockingConnectionPool.from_url(
            settings.broker,
            connection_class=_CONNECTIONS[settings.broker.partition("://")[0]],
            deadline=self._deadline,
            retry=Retry(ConstantBackoff(PAUSE_SECONDS), 1, supported_errors=(RedisConnectionError,)),
            max_connections=self._most,
            health_check_interval=25,
            **({} if settings.broker.startswith("unix://") else {"socket_keepalive": True}),
            **tls.options(settings, settings.broker),
        )
        self._client = redis.Redis.from_pool(pool)
        self.forget()

    def publish(self, lane: int, bodies: Sequence[bytes]) -> None:
        """Push nudges in one call, in order; raises RedisError or TimeoutError."""
        self._run(lambda: self._client.lpush(keys.queue(lane), *[_envelope(lane, body) for body in bodies]))

    def depths(self) -> dict[int, int]:
        """Return the number of waiting nudges of each lane; raises RedisError or TimeoutError."""
        return dict(zip(keys.LANES, self._run(self._lengths), strict=True))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def forget(self) -> None:
        """Reset in a child process; redis-py does not use the parent's sockets there."""
        self._places = threading.BoundedSemaphore(self._most)

    def _lengths(self) -> list[int]:
        with self._client.pipeline(transaction=False) as pipe:
            for lane in keys.LANES:
                pipe.llen(keys.queue(lane))
            return pipe.execute()

    def _run(self, work: Callable[[], T]) -> T:
        """Run ``work`` within the time of one call, with one of the connections."""
        places = self._places  # a child process has its own
        with self._deadline.within():
            if not places.acquire(timeout=self._deadline.left()):
                raise TimeoutError
            try:
                return work()
            finally:
                places.release()


def _template(lane: int) -> tuple[bytes, list[bytes]]:
    """Return the part of an envelope before its body, and the parts after it, between the ids."""
    envelope = {
        "body": _BODY.decode(),
        "content-encoding": task_message.CONTENT_ENCODING,
        "content-type": task_message.CONTENT_TYPE,
        "headers": task_message.headers(_ID.decode()),
        "properties": {
            "correlation_id": _ID.decode(),
            "reply_to": "",
            "delivery_mode": task_message.PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": keys.queue(lane)},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": _ID.decode(),
        },
    }
    before, after = json.dumps(envelope, separators=(",", ":")).encode().split(_BODY)
    return before, after.split(_ID)


_TEMPLATES = {lane: _template(lane) for lane in keys.LANES}


def _envelope(lane: int, body: bytes) -> bytes:
    before, after = _TEMPLATES[lane]
    return before + b64encode(body) + task_message.new_id().encode().join(after)
