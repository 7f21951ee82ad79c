"""Nudge: publish that messages of a lane are due, up to 99 ids in one task message, without Celery."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol
from weakref import WeakSet

from threelane.producer import task_message
from threelane.producer.nudge_redis import RedisBroker
from threelane.runtime import logs
from threelane.runtime.settings import Settings

NUDGE_SIZE = 99  # what one request of the XML and One APIs takes
PAUSE_SECONDS = 1.0  # without a try after a failure, or as long as the failure took


class Broker(Protocol):
    """What carries nudges to workers."""

    def publish(self, lane: int, bodies: Sequence[bytes]) -> None:
        """Put nudges on their lane, in their order; raises what its library raises."""

    def depths(self) -> dict[int, int]:
        """Return how many nudges wait on each lane; raises what its library raises."""

    def close(self) -> None:
        """Give the connections back."""

    def forget(self) -> None:
        """Begin anew in a child process, whose parent goes on with the connections."""


class Nudger:
    """Publishes nudges; safe to share between threads, and with processes that are forked later.

    A nudge is a hint: the record says that the message is queued, and workers find what no nudge led them to.
    So a broker that cannot be reached makes a nudge late, never a message lost, and ``publish`` does not raise.
    Nor does it hold every caller: after a failure nudges are skipped for a pause, and counted in ``skipped``.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the settings; the first nudge connects."""
        self._broker = _broker(settings)
        self._monotonic = monotonic
        self._paused_until = float("-inf")
        self._counting = threading.Lock()
        self._logged = 0  # of ``skipped``
        self.skipped = 0
        """How many messages were not published because of a pause."""
        _ALL.add(self)

    def publish(self, lane: int, ids: Sequence[str]) -> bool:
        """Put the ids on their lane, all nudges at once; returns whether the broker took them."""
        started = self._monotonic()
        if started < self._paused_until:
            with self._counting:
                self.skipped += len(ids)
            return False
        starts = range(0, len(ids), NUDGE_SIZE)
        try:
            if ids:
                self._broker.publish(lane, [task_message.body(lane, ids[at : at + NUDGE_SIZE]) for at in starts])
        except Exception as failed:  # whatever the library raises, the records are written
            ended = self._monotonic()
            self._paused_until = ended + max(PAUSE_SECONDS, ended - started)
            error = type(failed).__name__
            logs.event(
                "nudge_failed", level=30, lane=lane, messages=len(ids), error=error, skipped=self._newly_skipped()
            )
            return False
        if self.skipped > self._logged:
            logs.event("nudges_resumed", skipped=self._newly_skipped())
        return True

    def depths(self) -> dict[int, int]:
        """Return how many nudges wait on each lane; raises what the broker's library raises when it is away."""
        return self._broker.depths()

    def close(self) -> None:
        """Give the broker's connections back."""
        self._broker.close()

    def forget(self) -> None:
        """Begin anew in a child process: another thread of its parent may have held the lock."""
        self._counting = threading.Lock()
        self._broker.forget()

    def _newly_skipped(self) -> int:
        """Return how many were skipped since the last log event."""
        with self._counting:
            new, self._logged = self.skipped - self._logged, self.skipped
        return new


def _broker(settings: Settings) -> Broker:
    if settings.broker_kind == "Redis":
        return RedisBroker(settings)
    from threelane.producer.nudge_rabbit import RabbitBroker  # and with it kombu, which not everybody has

    return RabbitBroker(settings)


_ALL: WeakSet[Nudger] = WeakSet()


def _forget_all() -> None:
    for one in list(_ALL):
        one.forget()


if hasattr(os, "register_at_fork"):  # not where nothing forks
    os.register_at_fork(after_in_child=_forget_all)
