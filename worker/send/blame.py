"""Blame: attributes an exception of our own code to its message, and ends a worker at which every message fails.

A message that raised twice before its request left is a dead letter; after it left, it is in doubt.  Its nudge's other
messages go on.  After three different messages with no success between them, the fault is the worker's: it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from threading import Lock

import redis.asyncio

from threelane.contract.refusal import Owner
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.scripts import Item, script, texts
from threelane.worker.policy.ours import INTERNAL_ERROR, UNPROCESSED
from threelane.worker.process.internal_error import FaultStep, report
from threelane.worker.process.settings import WorkerSettings

MOST_MESSAGES = 3  # different ones; then the worker ends
RETRY_SECONDS = 2.0


class FaultCode(StrEnum):
    """The codes of such a message; the first is also the reason of both."""

    INTERNAL_ERROR = INTERNAL_ERROR.code
    UNPROCESSED = UNPROCESSED.code


class Fault(Item, frozen=True):
    """An exception at one message; ``token`` is "" if the message was not claimed."""

    id: str
    token: str
    step: FaultStep
    place: str
    has_left: bool = False  # its request may have left
    is_damaged: bool = False  # the body of its record is unreadable; that is no error of the code


@script(__file__, texts, [FaultCode, Owner])
def _blame(
    *,
    records: Sequence[RecordKey],
    now: int,
    again_at: int,
    wait: str,
    look_up_at: int,
    keep_ms: int,
    most: int,
    faults: Sequence[Fault],
) -> None:
    """Retry or end messages after an exception; returns the new state of each, or ""."""


async def blame(
    client: redis.asyncio.Redis, lane: int, faults: Sequence[Fault], settings: WorkerSettings, now: int
) -> None:
    """Retry, end or look up the messages at which our own code failed, and log each; set unreadable ones aside."""
    states = await _blame.within(settings.space).run(
        client,
        records=keys.records(one.id for one in faults),
        now=now,
        again_at=now + int(RETRY_SECONDS * 1000),
        wait=f"{RETRY_SECONDS:.3f}",
        look_up_at=now + int(settings.doubt_delays_seconds[0] * 1000),
        keep_ms=settings.retention_ms,
        most=INTERNAL_ERROR.most_attempts,
        faults=faults,
    )
    for one, status in zip(faults, states, strict=True):
        if one.is_damaged:
            continue  # set aside, which the script reports
        report(one.step, one.id, one.place, lane=lane, to=status)


class Blame:
    """Counts the different messages that failed since the last success; safe for threads."""

    def __init__(self, on_end: Callable[[], None] = lambda: None) -> None:
        """Start without failures; ``on_end`` is called once, when the worker must end."""
        self._changing = Lock()
        self._failed: set[str] = set()
        self._on_end = on_end
        self.is_over = False
        """Whether this worker must end."""

    def note(self, failed: Iterable[str], *, has_success: bool) -> None:
        """Note the messages of a nudge that failed, and whether any other was processed."""
        with self._changing:
            if has_success:
                self._failed.clear()
                return
            self._failed.update(failed)
            ends = len(self._failed) >= MOST_MESSAGES and not self.is_over
            self.is_over = self.is_over or ends
        if ends:
            logs.event("worker_failed", level=50, messages=len(self._failed), owner="operator")
            self._on_end()
