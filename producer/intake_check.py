"""Intake check: whether Redis takes messages now; queried at most once a second, however many ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import redis
from redis.exceptions import OutOfMemoryError, RedisError

from threelane.store import ceiling, keys, wrong_type
from threelane.store.bounded import limit
from threelane.store.wrong_type import WrongType

FRESH_SECONDS = 1.0


def check_intake(client: redis.Redis) -> None:
    """Return if Redis takes messages; raises RedisError with the reason if not.

    SET is refused by whatever refuses the scripts of intake, the memory ceiling included; with XX it writes nothing.
    A lane whose index is of another type takes no message.
    """
    with limit(client):
        client.set(keys.PROBE, b"", xx=True)
        if ceiling.is_near(client, ceiling.INTAKE_SHARE, 0):
            raise OutOfMemoryError
        if wrong := wrong_type.find(client, keys.QUEUED.values()):
            raise WrongType(*wrong)


class IntakeCheck:
    """The result of the last second, for all threads; callers that come during a query wait for it."""

    def __init__(self, client: redis.Redis, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the client, and the clock."""
        self._client = client
        self._monotonic = monotonic
        self._checking = threading.Lock()
        self._checked_at = float("-inf")
        self._failed: RedisError | None = None

    def __call__(self) -> None:
        """Return if Redis takes messages; raises RedisError with the reason if not."""
        with self._checking:
            if self._monotonic() - self._checked_at >= FRESH_SECONDS:
                self._failed = self._failure()
                self._checked_at = self._monotonic()
            if self._failed:
                raise self._failed.with_traceback(None)

    def _failure(self) -> RedisError | None:
        try:
            check_intake(self._client)
        except RedisError as failed:
            return failed
        return None
