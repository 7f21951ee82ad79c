"""Bounded: a Redis client whose every command ends within one limit of time, whatever it waits for.

redis-py starts its time-out again for each wait: for a free connection, to connect, for the login, for each reply, and
for all of that again with each retry.  On a Redis that is frozen, a call with a time-out of 3 s took 12 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import redis
from redis.backoff import AbstractBackoff
from redis.client import Pipeline
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.runtime.deadline import BoundedSocket, Deadline, arrived_before, remaining

HEALTH_SHARE = 0.5  # of the remaining time, for the check of an idle connection: its retry needs the rest
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

    def _send_ping(self) -> None:
        """Check an idle connection, in a part of the time: one that a firewall dropped is replaced in the rest."""
        with self._deadline.within(_left(self._deadline) * HEALTH_SHARE):
            super()._send_ping()  # type: ignore[misc]


class _Connection(_Bounded, redis.Connection):
    pass


class _TlsConnection(_Bounded, redis.SSLConnection):
    pass


class _SocketConnection(_Bounded, redis.UnixDomainSocketConnection):
    pass


_CONNECTIONS = {"redis": _Connection, "rediss": _TlsConnection, "unix": _SocketConnection}


class StillSilent(RedisTimeoutError):
    """Redis has let a command time out since this request arrived, and has answered none since: not tried again."""


class _Pool(redis.BlockingConnectionPool):
    """A pool that waits for a free connection until the end of the call.

    Requests that wait for a thread while Redis is frozen would each wait for Redis again, one group of threads after
    the other; so one that arrived before the latest time-out is refused at once, until Redis answers anything.
    """

    timeout = remaining()

    def __init__(self, *args: Any, deadline: Deadline, **more: Any) -> None:
        self._deadline = deadline
        self.timed_out_at = self.answered_at = float("-inf")
        super().__init__(*args, deadline=deadline, **more)  # type: ignore[no-untyped-call]

    def get_connection(self, *args: Any, **more: Any) -> Any:
        """Return a connection; raises RedisError."""
        if self.answered_at < self.timed_out_at and arrived_before(self.timed_out_at):
            raise StillSilent("Redis has not answered since this request arrived")
        return _as_redis_error(lambda: super(_Pool, self).get_connection(*args, **more))  # type: ignore[no-untyped-call]


class _Pipeline(Pipeline):
    """A pipeline that ends within the limit."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands and return the replies."""
        with _limit(self.connection_pool):
            return super().execute(raise_on_error)


class BoundedRedis(redis.Redis):
    """A client whose every command and pipeline ends within the limit; a script does with ``limit``."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply."""
        with limit(self):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Return a pipeline."""
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class Pause(AbstractBackoff):
    """The pause before a retry; none after the end of the call."""

    def __init__(self, seconds: float, deadline: Deadline) -> None:
        """Take the pause and the deadline."""
        self._seconds = seconds
        self._deadline = deadline

    def compute(self, failures: int) -> float:  # noqa: ARG002 - redis-py's
        """Return the seconds to wait."""
        try:
            return min(self._seconds, self._deadline.left())
        except TimeoutError:
            return 0


def open_client(address: str, deadline: Deadline, **options: Any) -> BoundedRedis:
    """Return a client of this address that threads and forked processes may share."""
    pool = _Pool.from_url(
        address,
        connection_class=_CONNECTIONS[address.partition("://")[0]],
        deadline=deadline,
        **options,
    )
    return BoundedRedis.from_pool(pool)  # type: ignore[return-value]  # it is one of this class


def limit(client: redis.Redis) -> AbstractContextManager[None]:
    """Return a context in which all calls of a bounded client end within one limit; other clients have none."""
    pool = client.connection_pool
    return _limit(pool) if isinstance(pool, _Pool) else nullcontext()


@contextmanager
def _limit(pool: Any) -> Iterator[None]:
    with pool.connection_kwargs["deadline"].within():
        try:
            yield
        except StillSilent:
            raise
        except RedisTimeoutError:
            pool.timed_out_at = time.monotonic()
            raise
        pool.answered_at = time.monotonic()


def _left(deadline: Deadline) -> float:
    return _as_redis_error(deadline.left)


def _as_redis_error(work: Callable[[], T]) -> T:
    try:
        return work()
    except TimeoutError as late:
        raise RedisTimeoutError(str(late)) from None
