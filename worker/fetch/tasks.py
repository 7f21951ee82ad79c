"""Tasks: the one Celery task."""

from __future__ import annotations

import time
from collections.abc import Callable

from celery import Celery
from celery.exceptions import Reject
from redis.exceptions import RedisError

from threelane.runtime import logs
from threelane.runtime.raised import place_of
from threelane.store import keys
from threelane.worker.fetch.put_back import PutBack, by_transport
from threelane.worker.process import refusals


def register(app: Celery, attempt: Callable[[int, list[str]], bool], put_back: PutBack = by_transport) -> None:
    """Register the task that runs ``attempt`` for a nudge.

    A nudge that was served only in part goes back unchanged: when it comes again, the served messages are settled or at
    least claimed.
    """

    @app.task(name=keys.TASK, acks_late=True, ignore_result=True)
    def send(lane: int, ids: list[str]) -> None:
        began = time.monotonic()
        try:
            served = attempt(lane, ids)
        except (RedisError, OSError) as failed:
            refusals.REDIS.note(failed)
            if put_back(lane, ids, began=began, failed=True):
                return
            raise Reject(type(failed).__name__, requeue=True) from None
        except Exception as failed:  # a bug beside the messages: looks find them, and a nudge would come back at once
            logs.event("task_failed", level=40, lane=lane, messages=len(ids), error=place_of(failed), owner="operator")
            return
        if not served and not put_back(lane, ids, began=began):
            raise Reject("put back", requeue=True)
