"""Tasks: the one Celery task."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery
from celery.exceptions import Reject
from redis.exceptions import RedisError

from threelane.store import keys


def register(app: Celery, attempt: Callable[[int, list[str]], bool]) -> None:
    """Make ``attempt`` the work of a nudge.

    A nudge that could not be served whole goes back to the head of its lane, as it was: what was served of it is
    found settled, or at least claimed, when it comes again.
    """

    @app.task(name=keys.TASK, acks_late=True, ignore_result=True)
    def send(lane: int, ids: list[str]) -> None:
        try:
            served = attempt(lane, ids)
        except (RedisError, OSError) as failed:
            raise Reject(type(failed).__name__, requeue=True) from None
        if not served:
            raise Reject("put back", requeue=True)
