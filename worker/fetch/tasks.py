"""Tasks: the one Celery task."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery
from celery.exceptions import Reject
from redis.exceptions import RedisError

from threelane.runtime import logs
from threelane.runtime.raised import place_of
from threelane.store import keys


def register(app: Celery, attempt: Callable[[int, list[str]], bool]) -> None:
    """Register the task that runs ``attempt`` for a nudge.

    A nudge that was served only in part goes back unchanged to the head of its lane: when it comes again, the served
    messages are settled or at least claimed.
    """

    @app.task(name=keys.TASK, acks_late=True, ignore_result=True)
    def send(lane: int, ids: list[str]) -> None:
        try:
            served = attempt(lane, ids)
        except (RedisError, OSError) as failed:
            raise Reject(type(failed).__name__, requeue=True) from None
        except Exception as failed:  # a bug beside the messages: looks find them, and a nudge would come back at once
            logs.event("task_failed", level=40, lane=lane, messages=len(ids), error=place_of(failed), owner="operator")
            return
        if not served:
            raise Reject("put back", requeue=True)
