"""A worker that Redis does not serve is not ready, with the reason, until Redis accepts a write."""

from __future__ import annotations

import logging

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.worker.process.readiness import REDIS, Readiness
from threelane.worker.process.refusals import Refusals

AWAY = {
    "frozen": (RedisTimeoutError("Timeout reading from 127.0.0.1:6379"), "does not answer in time"),
    "stopped": (RedisConnectionError("Error 111 connecting to 127.0.0.1:6379. Connect call failed."), "start it"),
    "a replica": (ReadOnlyError("READONLY You can't write against a read only replica."), "replica"),
}


@pytest.mark.parametrize("case", AWAY)
def test_a_worker_whose_redis_does_not_serve_it_is_not_ready_until_it_does(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A frozen Redis answers nothing, and so has no error reply: the probe passed while nothing was sent."""
    caplog.set_level(logging.INFO)
    failed, text = AWAY[case]
    readiness = Readiness()
    refusals = Refusals(REDIS, readiness, lambda: 100.0)
    for _ in range(3):
        refusals.note(failed)

    assert (False, True) == (readiness.is_ready, text in readiness.reasons[REDIS])
    assert refusals.is_waiting
    refusals.accepted(requested_at=101.0)
    assert readiness.is_ready
    assert ["waits_for_redis", "reached_redis"] == [record.getMessage() for record in caplog.records]


def test_a_command_that_fails_alone_stops_no_worker() -> None:
    """An error of our own is no outage."""
    readiness = Readiness()
    Refusals(REDIS, readiness).note(ResponseError("ERR syntax error"))

    assert readiness.is_ready
