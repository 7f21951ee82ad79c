"""Asking: one question to Redis from the command line, or a sentence and an exit code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import redis
import typer
from redis.exceptions import RedisError

from threelane.interfaces.command.caller import err
from threelane.producer.outage import explain
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store.connect import connect

Answer = TypeVar("Answer")


def asked(question: Callable[[redis.Redis], Answer]) -> Answer:
    """Ask Redis one thing, or end with a sentence and not a traceback; a ValueError is a mistake in what was asked."""
    client = connect(load_or_exit(Settings))
    try:
        return question(client)
    except ValueError as wrong:
        err.print(str(wrong), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(Exit.USAGE) from None
    except BrokenPipeError:  # of the output; Redis's own are RedisErrors
        raise
    except (RedisError, OSError) as failed:
        problem = explain(failed) if isinstance(failed, RedisError) else str(failed)
        err.print(problem, markup=False, highlight=False)
        raise typer.Exit(Exit.UNAVAILABLE) from None
    finally:
        client.close()


def now_of(client: redis.Redis) -> int:
    """Return the time of Redis in milliseconds."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def shown(at: int) -> str:
    """Return a time, given in milliseconds of Unix time, as people read it."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at / 1000))


def shown_exactly(at: int) -> str:
    """Return a time as ``shown`` does, with its milliseconds: a login code's whole way takes less than a second."""
    return f"{shown(at)[:-1]}.{at % 1000:03}Z"
