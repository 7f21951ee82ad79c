"""Canary: wait for the outcome of the first messages of a bulk, before sending the others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus

LOOK_SECONDS = 0.5
_GOOD = frozenset({Status.DELIVERED, Status.EMULATED})
_TAKEN = frozenset({*_GOOD, Status.SENT})
Read = Callable[[Sequence[str]], Sequence[MessageStatus | None]]


class Canary(msgspec.Struct, frozen=True):
    """The result of the first messages: how many of ``watched`` are ``failed`` and ``delivered``.

    After the time-out messages at the gateway count as successful, all others as failed.  ``why`` counts the failed by
    code or state.
    """

    watched: int
    failed: int
    delivered: int
    why: dict[str, int] = {}

    @property
    def percent(self) -> float:
        """The percentage of failed messages."""
        return 100 * self.failed / self.watched if self.watched else 0.0


def parse_percent(text: str) -> float:
    """Parse ``5%`` or ``5`` as 5.0; raises ValueError with the correct form."""
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise ValueError(f"{text!r}: give a share from 0% to 100%, as in 5%")
    return percent


def watch(
    read: Read,
    ids: Sequence[str],
    most_percent: float,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Canary:
    """Wait until all have ended, too many have failed, or the time is over; ``read`` returns their status."""
    ends = monotonic() + seconds
    while True:
        found = read(ids)
        over = monotonic() >= ends
        failed = Counter(_why(one) for one in found if _failed(one, over=over))
        canary = Canary(
            len(ids), failed.total(), sum(one is not None and one.status in _GOOD for one in found), dict(failed)
        )
        if over or canary.percent > most_percent or all(one is None or one.status in AT_REST for one in found):
            return canary
        sleep(min(LOOK_SECONDS, max(0.0, ends - monotonic())))


def _failed(one: MessageStatus | None, *, over: bool) -> bool:
    if one is None:
        return True
    return one.status not in _TAKEN if over else one.status in AT_REST and one.status not in _GOOD


def _why(one: MessageStatus | None) -> str:
    if one is None:
        return "forgotten"
    return one.code or one.network_status or str(one.status)
