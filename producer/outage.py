"""Outage: the exception when Redis is unavailable, with what is known of the messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from redis.exceptions import RedisError

from threelane.contract.errors import Refused, ThreelaneError
from threelane.contract.refusal import Owner
from threelane.producer.accept import Accepted
from threelane.producer.explanation import explain
from threelane.store.replies import did_not_run, reply_of

Answer = Accepted | Refused
T = TypeVar("T")


class Unavailable(ThreelaneError):
    """Redis or the HTTP API cannot accept messages now; the text has the cause and the fix.

    ``answers`` are the answers from before the outage.  ``unsure`` are ids of messages that may have been accepted:
    query their ``status``, or send again with the same client message id, which never sends twice.  Messages that are
    in neither were certainly not accepted.  ``retry_after`` is the number of seconds to wait, if known, and ``owner``
    is who can fix it.
    """

    def __init__(
        self,
        problem: str,
        answers: Sequence[Answer] = (),
        unsure: Sequence[str] = (),
        retry_after: float = 0,
        owner: Owner = Owner.OPERATOR,
    ) -> None:
        """Keep all values in ``args``, from which pickle and copy rebuild the exception."""
        self.answers = list(answers)
        self.unsure = list(unsure)
        self.retry_after = retry_after
        self.owner = owner
        super().__init__(problem, self.answers, self.unsure, retry_after, owner)

    def __str__(self) -> str:
        """Return the text."""
        return str(self.args[0])

    def including(self, answers: Sequence[Answer]) -> Unavailable:
        """Return the same outage with answers from before it."""
        return Unavailable(str(self), [*answers, *self.answers], self.unsure, self.retry_after, self.owner)


def call(commands: Callable[[], T]) -> T:
    """Run Redis commands and return their result; raises Unavailable instead of RedisError."""
    try:
        return commands()
    except RedisError as failed:
        raise unavailable(failed) from None


def unavailable(failed: RedisError, answers: Sequence[Answer] = (), unsure: Sequence[str] = ()) -> Unavailable:
    """Return the exception for an error of redis-py; no id is unsure if the command certainly did not run."""
    reply = reply_of(failed) or reply_of(failed.__cause__)
    wait, owner = (reply.retry_seconds, reply.owner) if reply else (0, Owner.OPERATOR)
    return Unavailable(explain(failed), answers, () if did_not_run(failed) else unsure, wait, owner)
