"""Enqueue: tell the workers of a lane that messages are due, up to 99 ids in one nudge."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from threelane.runtime import logs
from threelane.runtime.settings import Settings
from threelane.store import keys

if TYPE_CHECKING:
    from celery import Celery

NUDGE_SIZE = 99  # what one request of the XML and One APIs takes


class Nudger:
    """Publishes nudges.

    A nudge is a hint: the record says that the message is queued, and workers find what no nudge told them of.
    So a broker that cannot be reached makes a nudge late, never a message lost, and ``publish`` does not raise.
    """

    def __init__(self, settings: Settings, app: Celery | None = None) -> None:
        """Publish through ``app``, or through an application of its own that is made at the first nudge."""
        self._settings = settings
        self._app = app

    def publish(self, lane: int, ids: Sequence[str]) -> bool:
        """Put the ids on their lane, on Redis in one call; tells whether the broker took all of them."""
        lots = [list(ids[start : start + NUDGE_SIZE]) for start in range(0, len(ids), NUDGE_SIZE)]
        try:
            with (
                self._application().producer_or_acquire() as broker,
                broker.batch() if len(lots) > 1 else nullcontext(),
            ):
                for lot in lots:
                    self._application().send_task(
                        keys.TASK,
                        args=(lane, lot),
                        argsrepr="",  # for Celery's events, which nobody reads; it would take as long as the rest
                        kwargsrepr="",
                        queue=keys.queue(lane),
                        producer=broker,
                    )
        except Exception as failed:  # whatever the transport raises, the records are written
            logs.event("nudge_failed", level=30, lane=lane, messages=len(ids), error=type(failed).__name__)
            return False
        return True

    def depths(self) -> dict[int, int]:
        """Return how many nudges wait on each lane; raises what the transport raises when it is away."""
        broker: Any
        with self._application().pool.acquire(block=True) as broker:
            try:
                return _depths(broker)
            except broker.recoverable_connection_errors:  # it may be from before a restart
                broker.collect()
                return _depths(broker)

    def close(self) -> None:
        """Give the broker's connections back."""
        if self._app is not None:
            self._app.close()

    def _application(self) -> Celery:
        if self._app is None:
            from threelane.producer.broker import application  # Celery takes a third of a second to import

            self._app = application(self._settings)
        return self._app


def _depths(broker: Any) -> dict[int, int]:
    return {lane: _depth(broker, keys.queue(lane)) for lane in keys.LANES}


def _depth(broker: Any, queue: str) -> int:
    try:
        return int(broker.default_channel.queue_declare(queue, passive=True).message_count)
    except broker.channel_errors:  # on Redis an empty queue does not exist, nor on a RabbitMQ that has seen no worker
        return 0
