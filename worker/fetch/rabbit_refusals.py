"""RabbitMQ refusals: a worker whose connection or queues RabbitMQ refuses ends, or retries at intervals.

Meanwhile looks find its messages.  A refusal is logged once a minute, since Celery reconnects as often as it may.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from amqp.exceptions import RecoverableConnectionError

from threelane.runtime import logs
from threelane.runtime.broker_replies import RETRY_SECONDS, Ends, Refusal, refusal_of
from threelane.runtime.exits import Exit

CALM_SECONDS = 60.0  # after this time a refusal is a new one: the first retry is immediate, and it is logged again


class Refused(RecoverableConnectionError):
    """RabbitMQ refuses this worker; kombu retries with growing pauses of up to half a minute."""

    def __init__(self, refusal: Refusal) -> None:
        """Keep the reply, for the reason that the worker reports."""
        super().__init__(refusal.sentence)
        self.broker_reply, self.broker_text = refusal


class Refusals:
    """The refusals of RabbitMQ that this process met."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start without refusals."""
        self._monotonic = monotonic
        self._has_consumed = False
        self._last: Refusal | None = None
        self._met_at = self._logged_at = float("-inf")
        self._retry_at = float("-inf")

    def meet(self, failed: BaseException) -> Refusal | None:
        """Log a refusal; ends the process with code 2 and a sentence if waiting cannot help."""
        refusal = refusal_of(failed)
        if refusal is None:
            return None
        if refusal.reply.ends is Ends.ALWAYS or (refusal.reply.ends is Ends.AT_START and not self._has_consumed):
            logs.event("broker_refused", level=50, reply=refusal.reply.name, problem=refusal.sentence)
            print(f"threelane: {refusal.sentence}", file=sys.stderr)
            raise SystemExit(Exit.USAGE)
        now = self._monotonic()
        is_new = self._last is None or self._last.reply is not refusal.reply
        if is_new or now - self._logged_at >= CALM_SECONDS:
            logs.event("broker_refused", level=40, reply=refusal.reply.name, problem=refusal.sentence)
            self._logged_at = now
        self._retry_at = now if now - self._met_at >= CALM_SECONDS else now + RETRY_SECONDS
        self._last, self._met_at = refusal, now
        return refusal

    def wait(self) -> None:
        """Raise Refused until it is time for the next attempt."""
        if self._last and self._monotonic() < self._retry_at:
            raise Refused(self._last)

    def consuming(self) -> None:
        """Record that RabbitMQ answered a request for a nudge: it accepts this process."""
        self._has_consumed = True
        if self._last:
            logs.event("broker_accepted", level=30, reply=self._last.reply.name)
            self._last = None


REFUSALS = Refusals()
"""The refusals of this process."""
