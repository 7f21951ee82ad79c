"""Outage: the exception when Redis is unavailable, with what is known of the messages."""

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
    """Redis or the HTTP API cannot accept messages now; the text has the cause and the fix.

    ``answers`` are the answers from before the outage.  ``unsure`` are ids of messages that may have been accepted:
    query their ``status``, or send again with the same client message id, which never sends twice.  ``retry_after`` is
    the number of seconds to wait, if known.
    """

    def __init__(
        self, problem: str, answers: Sequence[Answer] = (), unsure: Sequence[str] = (), retry_after: float = 0
    ) -> None:
        """Keep all values in ``args``, from which pickle and copy rebuild the exception."""
        self.answers = list(answers)
        self.unsure = list(unsure)
        self.retry_after = retry_after
        super().__init__(problem, self.answers, self.unsure, retry_after)

    def __str__(self) -> str:
        """Return the text."""
        return str(self.args[0])


def call(commands: Callable[[], T]) -> T:
    """Run Redis commands and return their result; raises Unavailable instead of RedisError."""
    try:
        return commands()
    except RedisError as failed:
        raise Unavailable(explain(failed)) from None


def never_sent(failed: RedisError) -> bool:
    """Return whether the command certainly did not reach Redis."""
    return isinstance(failed, OutOfMemoryError) or (
        isinstance(failed, RedisConnectionError) and "connecting to" in str(failed)
    )


def explain(failed: RedisError) -> str:
    """Return the cause and the fix, without addresses and passwords."""
    if isinstance(failed, OutOfMemoryError):
        return "Redis is at its memory ceiling: no messages are accepted until workers have drained the queue"
    if isinstance(failed, NoPermissionError):
        return f"Redis denied permission ({failed}): compare the ACL of the user with deploy/redis-users.acl"
    if isinstance(failed, AuthenticationError):
        return "Redis refuses the user or password in THREELANE_REDIS_URL: correct them"
    if problem := tls.problem(failed):
        return problem
    if str(failed).startswith("WRONGTYPE"):
        return "a key of Threelane in Redis has the wrong type: another program writes to this database"
    if "DB index is out of range" in str(failed):
        return "Redis has no database of that number: correct the end of THREELANE_REDIS_URL"
    if isinstance(failed, RedisTimeoutError):
        return (
            "Redis did not answer within THREELANE_REDIS_TIMEOUT_SECONDS: check its load and address, and retry with "
            "the same client message id"
        )
    if never_sent(failed):
        return "Redis does not answer at THREELANE_REDIS_URL: start it, or correct the address"
    return f"Redis failed during the command ({type(failed).__name__}): retry with the same client message id"
