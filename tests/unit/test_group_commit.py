"""Group commit: each caller gets its own answer, none waits for others, and a failure reaches all it concerns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from threelane.producer.group_commit import GroupCommit


def test_a_single_caller_is_served_at_once_and_alone() -> None:
    served: list[Sequence[int]] = []

    def double(requests: Sequence[int]) -> list[int]:
        served.append(requests)
        return [2 * one for one in requests]

    group_commit = GroupCommit(double, 100)
    assert [group_commit.submit(1), group_commit.submit(2)] == [2, 4]
    assert served == [[1], [2]]


def test_requests_that_arrive_meanwhile_share_a_round_trip_and_each_gets_its_own_answer() -> None:
    """32 threads, 50 calls each: every answer is the asker's, and none of them is served twice."""
    served: list[Sequence[int]] = []
    under_way = threading.Semaphore(1)

    def double(requests: Sequence[int]) -> list[int]:
        assert under_way.acquire(blocking=False), "two at work at once"
        served.append(requests)
        threading.Event().wait(0.001)
        under_way.release()
        return [2 * one for one in requests]

    group_commit = GroupCommit(double, 10)
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(group_commit.submit, range(1600)))
    assert answers == [2 * one for one in range(1600)]
    assert sorted(one for requests in served for one in requests) == list(range(1600))
    assert max(map(len, served)) == 10
    assert len(served) < 1600


def test_a_failure_is_raised_in_every_thread_that_it_concerns_and_in_no_other() -> None:
    """Those that gather behind it are served as ever."""
    gathered = threading.Event()

    def serve(requests: Sequence[str]) -> list[str]:
        if "first" in requests:
            gathered.wait(5)
        if "bad" in requests:
            raise ConnectionError("cut")
        return [one.upper() for one in requests]

    group_commit = GroupCommit(serve, 2)
    with ThreadPoolExecutor(5) as threads:
        submitted = {"first": threads.submit(group_commit.submit, "first")}
        for request in ("bad", "beside", "next", "last"):
            before = len(group_commit._waiting)
            submitted[request] = threads.submit(group_commit.submit, request)
            while len(group_commit._waiting) == before:
                threading.Event().wait(0.001)
        gathered.set()
        for request in ("bad", "beside"):
            with pytest.raises(ConnectionError):
                submitted[request].result(5)
        assert [submitted[request].result(5) for request in ("first", "next", "last")] == ["FIRST", "NEXT", "LAST"]
    assert group_commit.submit("after") == "AFTER"
