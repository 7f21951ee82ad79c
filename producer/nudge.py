"""Nudge: publish the ids of due messages, up to 99 in one task message of their lane, without Celery."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from weakref import WeakSet

from threelane.producer import task_message
from threelane.producer.nudge_redis import RedisBroker
from threelane.runtime import broker_replies, logs
from threelane.runtime.settings import Settings

NUDGE_SIZE = 99  # messages in one request of the XML and One APIs
PAUSE_SECONDS = 1.0  # after a failure, or as long as the failure took
SLOW = 0.5  # a call that took this share of its time is followed by a pause, too


class Broker(Protocol):
    """Transports nudges to workers."""

    def publish(self, lane: int, bodies: Sequence[bytes], account: str = "") -> None:
        """Publish nudges on their lane of an account, in order; raises errors of the library."""

    def depths(self, account: str = "") -> dict[int, int]:
        """Return the number of waiting nudges of each lane of an account; raises errors of the library."""

    def close(self) -> None:
        """Close the connections."""

    def forget(self) -> None:
        """Reset in a child process; the parent keeps the connections."""


class Nudger:
    """Publishes nudges; threads and forked processes may share it.

    A nudge is a hint: the record of the message is queued, and workers also find messages without a nudge.  So an
    unavailable broker delays messages and loses none, and ``publish`` does not raise.  It takes at most
    ``redis_timeout_seconds``.  After a failure or a slow call, nudges are skipped for a pause, so that callers do not
    wait for the broker, and counted in ``skipped``.
    """

    def __init__(
        self, settings: Settings, monotonic: Callable[[], float] = time.monotonic, *, account: str = ""
    ) -> None:
        """Take the settings and the account whose queues are meant; the first nudge connects."""
        self._account = account
        self._broker = _broker(settings)
        self._slow_seconds = SLOW * settings.redis_timeout_seconds
        self._monotonic = monotonic
        self._paused_until = float("-inf")
        self._counting = threading.Lock()
        self._logged = 0  # of ``skipped``
        self.skipped = 0
        """The number of messages that were not published because of a pause."""
        self._failed = 0
        self._unreported: Counter[tuple[str, int]] = Counter()
        _ALL.add(self)

    @property
    def unpublished(self) -> int:
        """The number of messages that the broker did not take, in failed calls or because of a pause."""
        return self.skipped + self._failed

    def publish(self, lane: int, ids: Sequence[str], account: str | None = None) -> bool:
        """Publish the ids on their lane, all nudges at once; returns whether the broker accepted them.

        ``account``: that of these messages, if it is not the one of this object.
        """
        account = self._account if account is None else account
        started = self._monotonic()
        if started < self._paused_until:
            with self._counting:
                self.skipped += len(ids)
                self._unreported[account, lane] += len(ids)
            return False
        starts = range(0, len(ids), NUDGE_SIZE)
        try:
            if ids:
                bodies = [task_message.body(lane, ids[at : at + NUDGE_SIZE]) for at in starts]
                self._broker.publish(lane, bodies, account)
        except Exception as failed:  # for any error of the library: the records are written
            ended = self._monotonic()
            self._paused_until = ended + max(PAUSE_SECONDS, ended - started)
            with self._counting:
                self._failed += len(ids)
                self._unreported[account, lane] += len(ids)
            error = type(failed).__name__
            refusal = broker_replies.refusal_of(failed)
            about = {"problem": refusal.sentence} if refusal else {}
            skipped = self._newly_skipped()
            logs.event("nudge_failed", level=30, lane=lane, messages=len(ids), error=error, skipped=skipped, **about)
            return False
        if self.skipped > self._logged:
            logs.event("nudges_resumed", skipped=self._newly_skipped())
        if (took := self._monotonic() - started) > self._slow_seconds:
            self._paused_until = started + 2 * took
            logs.event("nudges_slow", level=30, lane=lane, messages=len(ids))
        return True

    def take_unreported(self) -> dict[str, dict[int, int]]:
        """Return by account and lane how many messages the broker did not take since the last call."""
        with self._counting:
            taken, self._unreported = self._unreported, Counter()
        found: dict[str, dict[int, int]] = {}
        for (account, lane), messages in taken.items():
            found.setdefault(account, {})[lane] = messages
        return found

    def give_back(self, unreported: Mapping[str, Mapping[int, int]]) -> None:
        """Return counts that could not be reported."""
        with self._counting:
            for account, lanes in unreported.items():
                self._unreported.update({(account, lane): messages for lane, messages in lanes.items()})

    def depths(self) -> dict[int, int]:
        """Return the number of waiting nudges of each lane; raises errors of the broker's library."""
        return self._broker.depths(self._account)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._broker.close()

    def forget(self) -> None:
        """Reset in a child process, where a thread of the parent may have held the lock."""
        self._counting = threading.Lock()
        self._unreported = Counter()  # the parent reports its own
        self._broker.forget()

    def _newly_skipped(self) -> int:
        """Return the number of skipped messages since the last log event."""
        with self._counting:
            new, self._logged = self.skipped - self._logged, self.skipped
        return new


def _broker(settings: Settings) -> Broker:
    if settings.broker_kind == "Redis":
        return RedisBroker(settings)
    from threelane.producer.nudge_rabbit import RabbitBroker  # imports kombu, which is optional

    return RabbitBroker(settings)


_ALL: WeakSet[Nudger] = WeakSet()


def _forget_all() -> None:
    for one in list(_ALL):
        one.forget()


if hasattr(os, "register_at_fork"):  # not on platforms without fork
    os.register_at_fork(after_in_child=_forget_all)
