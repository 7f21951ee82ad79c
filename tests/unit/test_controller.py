"""A worker ends with code 0 only by a signal: whatever else ends Celery has a sentence and another code."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery.exceptions import WorkerShutdown, WorkerTerminate
from celery.worker import state
from redis.exceptions import AuthenticationError, ReadOnlyError

from threelane.runtime.exits import Exit
from threelane.worker.process import controller, refusals
from threelane.worker.process.controller import Consumer, Unrecoverable, Worker
from threelane.worker.process.readiness import BROKER, READINESS, REDIS


class Steps:
    """Celery's steps, which end in one way."""

    def __init__(self, end: BaseException | None) -> None:
        self._end = end

    def start(self, _: object) -> None:
        if self._end:
            raise self._end


def ended(monkeypatch: pytest.MonkeyPatch, end: BaseException | None, **flags: Any) -> int:
    """Return the exit code of a worker whose steps end so, with the flags that signal handlers set."""
    for name in ("should_stop", "should_terminate"):
        monkeypatch.setattr(state, name, flags.get(name))
    codes: list[int] = [0]
    one: Any = object.__new__(Worker)
    one.blueprint = Steps(end)
    monkeypatch.setattr(Worker, "stop", lambda _, exitcode: codes.append(exitcode))
    monkeypatch.setattr(Worker, "terminate", lambda _: None)
    try:
        one.start()
    except SystemExit as left:
        return int(left.code or 0)
    return codes[-1]


def too_many_files() -> WorkerTerminate:
    """Return what Celery raises then."""
    failed = WorkerTerminate(1)
    failed.__cause__ = OSError(24, "Too many open files")
    return failed


ENDS = {
    "an error reply of Redis": (ReadOnlyError("READONLY"), Exit.UNAVAILABLE, "this Redis is a replica"),
    "a refusal of the broker": (Unrecoverable("the queue differs", Exit.USAGE), Exit.USAGE, "the queue differs"),
    "a mistake of ours": (KeyError("x"), Exit.FAULT, "internal error, KeyError at"),
    "a remote shutdown": (WorkerShutdown("by remote"), Exit.FAULT, "from within, not by a signal"),
    "a remote shutdown with 0": (WorkerShutdown(0), Exit.FAULT, "from within, not by a signal"),
    "too many open files": (too_many_files(), Exit.UNAVAILABLE, "too many open files"),
    "nothing": (None, Exit.FAULT, "without a reason"),
}


@pytest.mark.parametrize("case", ENDS)
def test_an_end_without_a_signal_has_a_sentence_and_a_code(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A supervisor restarts what failed, and leaves what ended with 0."""
    end, code, sentence = ENDS[case]

    assert code == ended(monkeypatch, end)
    assert sentence in capsys.readouterr().err


def test_an_end_by_a_signal_has_code_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Also when a connection breaks meanwhile: the supervisor wanted the end."""
    ends: tuple[tuple[BaseException, dict[str, Any]], ...] = (
        (WorkerShutdown(0), {"should_stop": 0}),
        (ReadOnlyError("READONLY"), {"should_stop": 0}),
    )

    assert [0] * 2 == [ended(monkeypatch, end, **flags) for end, flags in ends]
    assert "" == capsys.readouterr().err


def test_results_that_were_not_recorded_show_in_the_code_of_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when everything else ended in time: the operator of a planned stop must see it."""
    monkeypatch.setattr(controller, "_cut_off", [])
    controller.note_cut_off()

    assert 10 == ended(monkeypatch, WorkerShutdown(0), should_stop=0)
    assert 70 == ended(monkeypatch, WorkerShutdown(70), should_stop=Exit.FAULT)


def test_a_part_that_fails_ends_the_worker_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own code failed at every message: it has logged why, and requested the end."""
    assert 70 == ended(monkeypatch, WorkerShutdown(70), should_stop=Exit.FAULT)


# fmt: off
BROKERS = {
    "the Redis of the records": (refusals.Refusals(REDIS, READINESS), REDIS, "THREELANE_REDIS_URL"),
    "another Redis": (refusals.Refusals(BROKER, None, variable="THREELANE_BROKER_URL"), BROKER, "THREELANE_BROKER_URL"),
}
# fmt: on


@pytest.mark.parametrize("case", BROKERS)
def test_a_broker_that_requires_a_password_is_logged_with_its_remedy_once(
    case: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers: to start it, or to look for another address, would not help."""
    tracker, part, variable = BROKERS[case]
    monkeypatch.setattr(Consumer, "refusals", tracker)
    monkeypatch.setattr(refusals, "REDIS", BROKERS["the Redis of the records"][0])
    one: Any = object.__new__(Consumer)
    caplog.set_level(logging.INFO)
    for _ in range(3):
        one.on_connection_error_before_connected(AuthenticationError("Authentication required."))

    problem = f"Redis requires a password, and {variable} has none: add the user or password (NOAUTH)"
    assert [(f"waits_for_{part}", problem)] == [(line.message, line.fields["problem"]) for line in caplog.records]
    assert problem == READINESS.reasons[part]
    READINESS.clear(part)
