"""Consumer pulse: Celery's consumer beats while its loop turns, and leaves while it connects again."""

from __future__ import annotations

from typing import Any

from celery import Celery, bootsteps

from threelane.worker.process.pulse import BEAT_SECONDS, CONSUMER, PULSE


class ConsumerPulse(bootsteps.StartStopStep):
    """A step of the consumer, after the one that takes tasks; the timer runs on the consumer's own loop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        """Start without a timer."""
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Beat from now on."""
        PULSE.beat(CONSUMER)
        self._timer = parent.timer.call_repeatedly(BEAT_SECONDS, PULSE.beat, (CONSUMER,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's
        """Beat no more: the consumer ends or waits for the broker."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        PULSE.leave(CONSUMER)

    shutdown = terminate = stop


def register(app: Celery) -> None:
    """Add the step to the consumer of an application."""
    app.steps["consumer"].add(ConsumerPulse)
