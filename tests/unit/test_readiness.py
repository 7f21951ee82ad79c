"""A worker process is ready when no part of it has a reason against it."""

from __future__ import annotations

from threelane.worker.process.readiness import Readiness


def test_a_process_is_ready_when_the_last_reason_is_cleared() -> None:
    """Two parts wait for different things; either alone stops the claims."""
    readiness = Readiness()
    readiness.wait("redis", "Redis does not respond")
    readiness.wait("login", "001 Authentication failed")
    readiness.clear("redis")

    assert (False, {"login": "001 Authentication failed"}) == (readiness.is_ready, dict(readiness.reasons))

    readiness.clear("login")
    assert readiness.is_ready


def test_a_reason_is_new_once() -> None:
    """The caller logs a new reason, not each attempt."""
    readiness = Readiness()

    assert [True, False, True] == [readiness.wait("login", text) for text in ("001", "001", "108")]
    assert [True, False] == [readiness.clear("login") for _ in range(2)]
