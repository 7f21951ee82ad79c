"""Refusals: a running process waits while Redis refuses its commands, and logs each change once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.contract.refusal import Owner
from threelane.producer.explanation import explain
from threelane.runtime import logs
from threelane.store.replies import ErrorReply, did_not_run, reply_of
from threelane.worker.process import metrics, readiness
from threelane.worker.process.readiness import READINESS, Readiness

REDIS_VARIABLE = "THREELANE_REDIS_URL"
_LATE = "does not answer in time: check its load, and the network"
_CLOSED = "closes its connections: check its process, and a proxy in between"
QUIET_SECONDS = 3.0  # without a refusal, after one of a reply that reaches only some commands


class Refusals:
    """The refusals of one Redis, and the times that it did not answer; safe for threads.

    The first one makes the process not ready, and it claims nothing.  A write that Redis accepts ends that.
    """

    def __init__(
        self,
        part: str,
        readiness: Readiness | None,
        monotonic: Callable[[], float] = time.monotonic,
        variable: str = REDIS_VARIABLE,
    ) -> None:
        """Take the name of the server in events, the readiness that depends on it, if any does, and its variable."""
        self._part = part
        self._variable = variable
        self._readiness = readiness
        self._monotonic = monotonic
        self._changing = threading.Lock()
        self._logged: set[str] = set()  # in this outage
        self._since = self._noted_at = 0.0
        self._is_partial = False

    @property
    def is_waiting(self) -> bool:
        """Whether Redis refused a command since it last accepted one."""
        return bool(self._logged)

    def note(self, failed: BaseException) -> ErrorReply | None:
        """Note a failed command; returns the cause if the table of replies has it, which is then logged here."""
        reply = reply_of(failed)
        if reply:
            metrics.REFUSED.labels(reply.prefix).inc()
        if reply and reply.stops_workers:
            self._wait(reply.prefix, self.sentence(reply), reply.owner, is_partial=reply.is_partial)
        elif isinstance(failed, RedisTimeoutError):  # frozen, or so busy that nothing is sent; a probe ends it soon
            self._wait(_LATE, f"Redis at {self._variable} {_LATE}", Owner.OPERATOR, is_partial=False)
        elif reply is None and isinstance(failed, RedisError) and did_not_run(failed):
            self._wait("", explain(failed), Owner.OPERATOR, is_partial=False)
        return reply

    def lost(self, failed: RedisConnectionError) -> None:
        """Note that a probe lost its connection twice, as behind a proxy whose Redis is away."""
        if reply_of(failed) is None and not did_not_run(failed):  # ``note`` has these
            self._wait(_CLOSED, f"Redis at {self._variable} {_CLOSED}", Owner.OPERATOR, is_partial=False)

    def sentence(self, reply: ErrorReply) -> str:
        """Return the cause and the fix at this server."""
        return reply.sentence.replace(REDIS_VARIABLE, self._variable)

    def accepted(self, requested_at: float) -> None:
        """Note that Redis accepted a write that was sent at ``requested_at`` (monotonic)."""
        with self._changing:
            quiet_from = self._noted_at + (QUIET_SECONDS if self._is_partial else 0)
            if not self._logged or requested_at < quiet_from:
                return
            self._logged.clear()
            seconds = round(self._monotonic() - self._since, 1)
        if self._readiness:
            self._readiness.clear(self._part)
        logs.event(f"reached_{self._part}", level=30, seconds=seconds)

    def _wait(self, reply: str, problem: str, owner: Owner, *, is_partial: bool) -> None:
        with self._changing:
            self._noted_at = self._monotonic()
            if not self._logged:
                self._since, self._is_partial = self._noted_at, False
            self._is_partial |= is_partial
            is_new = reply not in self._logged
            self._logged.add(reply)
            if is_new and self._readiness:
                self._readiness.wait(self._part, problem)
        if is_new:
            logs.event(f"waits_for_{self._part}", level=40, problem=problem, owner=owner)


REDIS = Refusals(readiness.REDIS, READINESS)
"""The Redis that stores the records."""
BROKER = Refusals(readiness.BROKER, None, variable="THREELANE_BROKER_URL")
"""A Redis that is only the broker: without it, looks carry the lanes."""
