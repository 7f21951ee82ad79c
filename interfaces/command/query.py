"""Query: run a function with a Redis connection, with errors as sentences and exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import redis
import typer
from redis.exceptions import RedisError

from threelane.interfaces.command.printing import err
from threelane.producer.explanation import explain
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store.connect import connect

T = TypeVar("T")


def with_redis(run: Callable[[redis.Redis], T]) -> T:
    """Return what a function returns for a connection to Redis; ends the command on ValueError (usage) or an outage."""
    client = connect(load_or_exit(Settings))
    try:
        return run(client)
    except ValueError as wrong:
        err.print(str(wrong), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(Exit.USAGE) from None
    except BrokenPipeError:  # of the output; errors of Redis connections are RedisErrors
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
