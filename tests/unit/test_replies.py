"""The table of error replies, and what recognises them in the exceptions of redis-py."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser

from threelane.contract.refusal import Owner
from threelane.operations import redis_errors
from threelane.producer.explanation import explain
from threelane.producer.outage import unavailable
from threelane.store.replies import TABLE, did_not_run, reply_of

ON_THE_WIRE = {
    "READONLY": "READONLY You can't write against a read only replica.",
    "UNBLOCKED": "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "CLUSTERDOWN Hash slot not served",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "NOAUTH": "NOAUTH Authentication required.",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM": "NOPERM this user has no permissions to run the 'evalsha' command",
    "max number of clients reached": "ERR max number of clients reached",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
}


def parsed(reply: str) -> exceptions.RedisError:
    """Return the exception that redis-py raises for a reply."""
    error: Any = BaseParser.parse_error(reply)
    return error


def in_a_pipeline(failed: exceptions.RedisError) -> exceptions.RedisError:
    """Return the exception as a pipeline raises it: with the command and its arguments in front."""
    failed.args = (f"Command # 1 (HSET tl:m:1 to 27999000001) of pipeline caused error: {failed}", *failed.args[1:])
    return failed


def in_an_asynchronous_pipeline(failed: exceptions.RedisError) -> exceptions.RedisError:
    """Return the exception as redis-py 8 raises it there: with all its arguments in parentheses."""
    failed.args = (f"Command # 1 (ZRANGE tl:due 0 499) of pipeline caused error: {failed.args[:1]}", *failed.args[1:])
    return failed


def without_status_code(failed: exceptions.RedisError) -> exceptions.RedisError:
    """Return the exception as earlier versions of redis-py raise it."""
    failed.__dict__.pop("status_code", None)
    return failed


def test_every_reply_of_the_table_is_recognised() -> None:
    """A row that nothing recognises would be a promise without effect."""
    assert [row.prefix for row in TABLE] == [*ON_THE_WIRE, "EMFILE"]
    for shape in (lambda one: one, in_a_pipeline, in_an_asynchronous_pipeline, without_status_code):
        found = {prefix: reply_of(shape(parsed(text))) for prefix, text in ON_THE_WIRE.items()}
        assert {row.prefix: row for row in TABLE if row.prefix != "EMFILE"} == found


@pytest.mark.parametrize(
    "failed",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system"),
        exceptions.ConnectionError("Error 24 connecting to 127.0.0.1:6379. Too many open files."),
    ],
)
def test_too_many_open_files_are_recognised(failed: Exception) -> None:
    """redis-py wraps the error of the operating system, asyncio and kombu do not."""
    reply = reply_of(failed)

    assert reply is not None
    assert "EMFILE" == reply.prefix


@pytest.mark.parametrize(
    "failed",
    [
        parsed("ERR unknown command 'FOO'"),
        parsed("BUSYGROUP Consumer Group name already exists"),
        parsed("BUSYKEY Target key name already exists."),
        parsed("WRONGTYPE Operation against a key holding the wrong kind of value"),
        exceptions.ConnectionError("Connection closed by server."),
        exceptions.ConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused."),
        exceptions.TimeoutError("Timeout reading from socket"),
        OSError(errno.EPIPE, "Broken pipe"),
        ValueError("MISCONF"),
    ],
)
def test_other_failures_are_not_replies_of_the_table(failed: Exception) -> None:
    """Otherwise a bug would be waited for."""
    assert reply_of(failed) is None


def test_a_sentence_has_the_cause_the_fix_and_the_reply_but_no_data() -> None:
    """redis-py puts the arguments of a command into the text of its exception."""
    for prefix, text in ON_THE_WIRE.items():
        sentence = explain(in_a_pipeline(parsed(text)))
        assert f"({prefix})" in sentence
        assert "27999000001" not in sentence


def test_a_refused_command_certainly_did_not_run() -> None:
    """A caller may send again at once, also without a client message id."""
    for text in ON_THE_WIRE.values():
        away = unavailable(parsed(text), (), ["an id"])
        assert ([], Owner.OPERATOR, True) == (away.unsure, away.owner, away.retry_after > 0)

    lost = exceptions.ConnectionError("Connection closed by server.")
    assert not did_not_run(lost)
    assert ["an id"] == unavailable(lost, (), ["an id"]).unsure


def test_the_page_is_generated_from_the_table() -> None:
    """One fact has one place: `python -m threelane.operations.redis_errors > docs/redis-errors.md`."""
    page = Path(__file__).parents[2] / "docs" / "redis-errors.md"
    assert "\n".join(redis_errors.document()) + "\n" == page.read_text(encoding="utf-8")
