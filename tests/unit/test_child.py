"""A process of the demo stack is waited for while it runs, and its end is reported at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from threelane.demo import child
from threelane.demo.child import Child, Failed


def started(folder: Path, program: str) -> Child:
    return Child("worker", [sys.executable, "-c", program], folder / "worker.log", {})


def test_an_event_of_which_half_is_written_is_read_when_it_is_complete(tmp_path: Path) -> None:
    """On a busy machine the rest of the line may come much later."""
    program = (
        'import sys; w = sys.stdout.write; w(\'{"event":"started",\'); sys.stdout.flush()\n'
        'w(\'"at":1}\\n{"event":"other"}\\n{"event":"started","at":2\'); sys.stdout.flush()'
    )
    assert 1 == started(tmp_path, program).event("started")["at"]


def test_the_half_of_an_event_is_no_event(tmp_path: Path) -> None:
    """Of a process that was killed while it wrote: no traceback of a parser."""
    with pytest.raises(Failed, match="ended with code 0"):
        started(tmp_path, "print('{\"event\":\"started\"', end='')").event("started")


def test_a_process_that_ends_is_reported_with_its_code(tmp_path: Path) -> None:
    """And with the end of its log."""
    with pytest.raises(Failed) as failed:
        started(tmp_path, "import sys; print('no such account'); sys.exit(2)").event("started")
    assert str(failed.value) == (
        f"worker did not start: it ended with code 2; the end of {tmp_path / 'worker.log'}:\nno such account"
    )


def test_a_process_that_runs_but_is_not_ready_is_reported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked like one that had ended."""
    monkeypatch.setattr(child, "START_SECONDS", 0)
    process = started(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(Failed, match="worker did not start: it was not ready after 0 seconds"):
        process.event("started")
    process.process.kill()
    process.process.wait()
