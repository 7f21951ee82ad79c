"""A round that fails again and again is counted each time and logged once, until a round succeeds."""

from __future__ import annotations

import logging

import pytest
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.worker.process import metrics
from threelane.worker.process.rounds import Failures


def counted() -> float:
    return metrics.HOUSEKEEPING_FAILED.labels("late")._value.get()


def test_a_failure_that_goes_on_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """While Redis is frozen, twenty duties fail each second: their lines would hide why."""
    failures, before = Failures("late"), counted()
    with caplog.at_level(logging.WARNING):
        for failed in (RedisTimeoutError(), RedisTimeoutError(), ResponseError("ERR odd"), RedisTimeoutError()):
            failures.note(failed)
        failures.end()
        failures.note(RedisTimeoutError())

    logged = [record.fields["error"] for record in caplog.records if record.message == "housekeeping_failed"]
    assert ["TimeoutError", "ResponseError", "TimeoutError"] == logged
    assert 5 == counted() - before
