"""Internal error: counts and logs an exception of our own code, or of an added gateway, at one message."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from prometheus_client import Counter
from redis.exceptions import RedisError

from threelane.runtime import logs
from threelane.runtime.raised import place_of
from threelane.store import scripts

OUTAGES = (RedisError, OSError)
"""What Redis or the network is at fault for, never a message."""


class FaultStep(StrEnum):
    """The step that failed; a metric label."""

    CLAIM = "claim"
    SEND = "send"
    JUDGE = "judge"
    SETTLE = "settle"
    LOOK_UP = "look_up"
    CANCEL = "cancel"
    REPLY = "reply"
    WEBHOOK = "webhook"
    RECORD = "record"  # a script found a damaged record


INTERNAL_ERRORS = Counter(
    "threelane_internal_errors",
    "Exceptions of Threelane's own code, or of an added gateway, at one message, by the step that failed",
    ["step"],
)
for _step in FaultStep:  # a counter that first appears as 1 shows no increase
    INTERNAL_ERRORS.labels(_step)


def report(step: FaultStep, about: str, failed: Exception | str, **more: Any) -> str:
    """Count and log an exception at a message, an event or a reply; returns its type and place."""
    place = failed if isinstance(failed, str) else place_of(failed)
    INTERNAL_ERRORS.labels(step).inc()
    logs.event("internal_error", level=40, id=about, step=step, error=place, owner="operator", **more)
    return place


def _record_damaged(_: str, why: str) -> None:
    if not why:  # an unreadable record is no error of the code
        INTERNAL_ERRORS.labels(FaultStep.RECORD).inc()


scripts.on_damage.append(_record_damaged)
