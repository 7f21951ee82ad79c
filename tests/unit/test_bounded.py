"""Bounded: what a request does that waited for a thread while Redis was frozen."""

from __future__ import annotations

import contextvars
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.runtime.deadline import Deadline, arrive
from threelane.store.bounded import BoundedRedis, StillSilent, open_client

T = TypeVar("T")


@pytest.fixture
def silent() -> Iterator[BoundedRedis]:
    """A client of a server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = open_client(f"redis://127.0.0.1:{server.getsockname()[1]}/0", Deadline(0.1))
        yield client
        client.close()


def of_a_request(work: Callable[[], T], before: Callable[[], object] = lambda: None) -> T:
    """Run a piece of work as one of a request that arrived, and then waited for a thread while ``before`` ran."""

    def request() -> T:
        arrive()
        contextvars.Context().run(before)
        return work()

    return contextvars.Context().run(request)


def timed_out(client: BoundedRedis) -> None:
    with pytest.raises(RedisTimeoutError):
        client.ping()


def test_a_request_that_waited_while_redis_timed_out_does_not_wait_for_it_again(silent: BoundedRedis) -> None:
    """A thousand requests on forty threads would take 25 times the setting."""
    with pytest.raises(StillSilent):
        of_a_request(silent.ping, before=lambda: timed_out(silent))


def test_the_next_request_and_every_caller_that_is_no_request_tries(silent: BoundedRedis) -> None:
    """Otherwise nobody would find out that Redis answers again."""
    timed_out(silent)
    with pytest.raises(RedisTimeoutError) as of_the_next:
        of_a_request(silent.ping)
    with pytest.raises(RedisTimeoutError) as of_a_program:
        silent.ping()
    assert [RedisTimeoutError] * 2 == [type(of_the_next.value), type(of_a_program.value)]


def test_one_answer_ends_it(client: redis.Redis) -> None:
    """One slow command is no frozen Redis: whoever waited tries."""
    port = client.connection_pool.connection_kwargs["port"]
    bounded = open_client(f"redis://127.0.0.1:{port}/0", Deadline(20))
    pool = bounded.connection_pool

    def time_out_and_answer() -> None:
        bounded.ping()
        pool.timed_out_at, pool.answered_at = pool.answered_at, pool.answered_at

    assert of_a_request(bounded.ping, before=time_out_and_answer)
    bounded.close()
