"""Explanation: an error of Redis as a sentence with its cause and the fix."""

from __future__ import annotations

from redis.exceptions import NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.runtime import tls
from threelane.store.replies import did_not_run, reply_of, text_of
from threelane.store.wrong_type import WrongType, is_wrong_type


def explain(failed: RedisError) -> str:
    """Return the cause and the fix, without addresses and passwords."""
    if reply := reply_of(failed) or reply_of(failed.__cause__):
        denied = isinstance(failed, NoPermissionError)
        return f"{reply.sentence}: {text_of(failed)}" if denied else reply.sentence
    if problem := tls.problem(failed):
        return problem
    if is_wrong_type(failed):
        what = ", ".join(failed.names) if isinstance(failed, WrongType) else ""
        return f"{what or 'a key of Threelane'} in Redis is of another type: threelane damaged list has the remedy"
    if "DB index is out of range" in str(failed):
        return "Redis has no database of that number: correct the end of THREELANE_REDIS_URL"
    if isinstance(failed, RedisTimeoutError):
        return (
            "Redis did not answer within THREELANE_REDIS_TIMEOUT_SECONDS: check its load and address, and retry with "
            "the same client message id"
        )
    if did_not_run(failed):
        return "Redis does not answer at THREELANE_REDIS_URL: start it, or correct the address"
    return f"Redis failed during the command ({type(failed).__name__}): retry with the same client message id"
