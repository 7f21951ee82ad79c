"""Deadline: whatever a call waits for, it ends once; the clock is the test's, so nothing here depends on speed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from threelane.runtime.deadline import BoundedSocket, Deadline


class TestClock:
    """A clock that the test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_all_waits_of_a_call_share_its_time(clock: TestClock) -> None:
    """Accept takes 2 s of 3: the nudge has one second, not three again."""
    whole, nudge = Deadline(3, clock), Deadline(3, clock)
    with whole.within():
        clock.now += 2
        with nudge.within():
            assert 1 == nudge.left()
        assert 1 == whole.left()


def test_a_part_of_a_call_never_ends_after_the_call(clock: TestClock) -> None:
    """Whatever limit the part asks for; and after a shorter part the call has the rest of its time."""
    deadline = Deadline(3, clock)
    with deadline.within():
        with deadline.within(10):
            assert 3 == deadline.left()
        with deadline.within(1):
            assert 1 == deadline.left()
        assert 3 == deadline.left()


def test_after_its_end_a_call_waits_for_nothing(clock: TestClock) -> None:
    """A retry, a second connection or another server would begin a new wait."""
    deadline = Deadline(3, clock)
    with deadline.within():
        clock.now += 3
        with pytest.raises(TimeoutError):
            deadline.left()
    assert 3 == deadline.left()


def test_a_server_that_sends_byte_by_byte_gets_no_more_time(
    clock: TestClock, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A time-out of a socket alone would begin again at each byte."""
    ours, theirs = pair
    deadline = Deadline(3, clock)
    bounded = BoundedSocket(ours, deadline)
    left = []
    with deadline.within():
        for _ in range(3):
            theirs.sendall(b".")
            bounded.recv(1)
            left.append(ours.gettimeout())
            clock.now += 1
        theirs.sendall(b".")
        with pytest.raises(TimeoutError):
            bounded.recv(1)
    assert [3, 2, 1] == left
