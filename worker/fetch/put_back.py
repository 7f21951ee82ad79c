"""Put back: what becomes of a nudge of RabbitMQ that was served in part or not at all.

``basic.reject`` with ``requeue`` counts against the delivery limit of a quorum queue (20 by default in RabbitMQ 4): at
a low rate, a nudge of 99 messages would be dropped before all were sent.  So a nudge is published again, confirmed, and
then acknowledged.  It goes to the end of its lane.  That would put its oldest messages behind the whole backlog, and
looks would claim them as overtaken; so if others wait behind it and only the rate was missing, the worker keeps it, and
serves it first when the lane opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from threelane.store import keys
from threelane.worker.fetch.lanes import LANES


class PutBack(Protocol):
    """How a nudge goes back."""

    def __call__(self, lane: int, ids: Sequence[str], *, began: float, failed: bool = False) -> bool:
        """Return whether to acknowledge the nudge, since it was published again; otherwise the transport keeps it.

        ``began`` is when its attempt began (monotonic), ``failed`` whether Redis failed during the attempt.
        """


AWAY_SECONDS = 1.0  # after an attempt that Redis failed
WAITING = dict.fromkeys(keys.LANES, 0)
"""Lane -> how many nudges waited in its queue when this process last fetched from it."""


class _Publisher(Protocol):
    def publish(self, lane: int, ids: Sequence[str]) -> bool: ...


def by_transport(lane: int, ids: Sequence[str], *, began: float, failed: bool = False) -> bool:  # noqa: ARG001
    """Leave it to the transport: Redis puts a nudge back at the head of its lane."""
    return False


def on_rabbitmq(nudger: _Publisher) -> PutBack:
    """Return how a nudge of RabbitMQ goes back.

    RabbitMQ may refuse it, as in an alarm for memory.  It is acknowledged all the same, and counted as unpublished:
    looks find its messages, and the same nudge again and again would keep a thread busy.
    """

    def put_back(lane: int, ids: Sequence[str], *, began: float, failed: bool = False) -> bool:
        if failed:
            LANES.close_for(lane, AWAY_SECONDS)
        if WAITING[lane] and LANES.waited_for_rate(lane, began):
            return False
        if nudger.publish(lane, ids):
            LANES.found(lane, nudge=True)  # it may have been seen empty meanwhile
        return True

    return put_back
