"""Outage: what a caller gets when Redis cannot take messages now, and what is known of those it sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.contract.errors import Refused, ThreelaneError
from threelane.producer.accept import Accepted
from threelane.runtime import tls

Answer = Accepted | Refused
T = TypeVar("T")


class Unavailable(ThreelaneError):
    """Redis cannot take messages now; the text says why and what to do.

    ``answers`` are those that were given before it happened.  ``unsure`` are ids that may have been accepted, or
    not: ask ``status`` for them, or send again with the same client message id, which never sends twice.
    ``retry_after`` is how many seconds to wait, where that is known.
    """

    def __init__(
        self, problem: str, answers: Sequence[Answer] = (), unsure: Sequence[str] = (), retry_after: float = 0
    ) -> None:
        """Keep what is known and what is not, also in ``args``, from which pickle and copy make it again."""
        self.answers = list(answers)
        self.unsure = list(unsure)
        self.retry_after = retry_after
        super().__init__(problem, self.answers, self.unsure, retry_after)

    def __str__(self) -> str:
        """Return the sentence."""
        return str(self.args[0])


def call(commands: Callable[[], T]) -> T:
    """Return what commands of Redis return; raises Unavailable when they fail."""
    try:
        return commands()
    except RedisError as failed:
        raise Unavailable(explain(failed)) from None


def never_sent(failed: RedisError) -> bool:
    """Tell whether the command surely did not reach Redis."""
    return isinstance(failed, OutOfMemoryError) or (
        isinstance(failed, RedisConnectionError) and "connecting to" in str(failed)
    )


def explain(failed: RedisError) -> str:
    """Return what happened and what to do about it; never an address or a password."""
    if isinstance(failed, OutOfMemoryError):
        return "Redis is at its memory ceiling: nothing is taken in until workers have drained the queue"
    if isinstance(failed, NoPermissionError):
        return f"Redis does not let this user do it ({failed}): compare its ACL with deploy/redis-users.acl"
    if isinstance(failed, AuthenticationError):
        return "Redis refuses the user or the password in THREELANE_REDIS_URL: correct them"
    if problem := tls.problem(failed):
        return problem
    if isinstance(failed, RedisTimeoutError):
        return (
            "Redis gave no answer within THREELANE_REDIS_TIMEOUT_SECONDS: see whether it is overloaded or the "
            "address is another server's, and ask again with the same client message id"
        )
    if never_sent(failed):
        return "Redis does not answer at THREELANE_REDIS_URL: start it, or correct the address"
    return f"Redis failed while it was asked ({type(failed).__name__}): ask again with the same client message id"
