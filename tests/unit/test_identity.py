"""Several workers of a host need no settings: each has a slot and a name of its own, for as long as it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from threelane.demo.child import _end_with_parent
from threelane.worker.process.identity import Identity, announced
from threelane.worker.process.settings import WorkerSettings

TAKE = """
import sys
from threelane.worker.process.identity import IDENTITY
from threelane.worker.process.settings import WorkerSettings
IDENTITY.take(WorkerSettings())
print(IDENTITY.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """Settings with a run folder of this test."""
    monkeypatch.setenv("THREELANE_RUN_DIR", str(tmp_path / "run"))
    return WorkerSettings(worker_name="w")


@pytest.fixture
def other(settings: WorkerSettings) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the first slot and the name w."""
    with subprocess.Popen(
        [sys.executable, "-c", TAKE],
        env={**os.environ, "THREELANE_WORKER_NAME": "w"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_end_with_parent,
    ) as process:
        assert process.stdout
        assert "w\n" == process.stdout.readline()
        yield process
        process.kill()


def taken(settings: WorkerSettings) -> Identity:
    """Return the identity of one more worker."""
    identity = Identity()
    identity.take(settings)
    return identity


def test_each_worker_of_a_host_has_a_name_and_a_slot(settings: WorkerSettings) -> None:
    """Two workers that report under one name hide each other's death."""
    workers = [taken(settings) for _ in range(3)]

    assert ["w", "w-2", "w-3"] == [one.name for one in workers]
    assert [1, 2, 3] == [one.slot for one in announced(settings)]


def test_a_clean_end_frees_slot_and_name(settings: WorkerSettings) -> None:
    """The next worker takes the lowest free ones, so that names stay few."""
    first, second = taken(settings), taken(settings)
    first.release()

    assert ["w-2"] == [one.name for one in announced(settings)]
    assert ("w", 1) == ((third := taken(settings)).name, third.announced.slot)
    assert "w-2" == second.name


def test_a_killed_worker_frees_slot_and_name(settings: WorkerSettings, other: subprocess.Popen[str]) -> None:
    """The kernel releases the lock: a host that lost all workers starts with the same names."""
    assert [other.pid] == [one.pid for one in announced(settings)]
    other.send_signal(signal.SIGKILL)
    other.wait()

    assert [] == announced(settings)
    assert "w" == taken(settings).name


def test_a_worker_of_another_redis_takes_no_name(settings: WorkerSettings) -> None:
    """Staging and production on one host are two fleets, and only the slot is of the host."""
    staging = WorkerSettings(worker_name="w", redis_url="redis://:secret@127.0.0.1:6379/9")
    first, second = taken(settings), taken(staging)

    assert [("w", 1), ("w", 2)] == [(one.name, one.announced.slot) for one in (first, second)]
    assert [1] == [one.slot for one in announced(settings)]
    assert [1, 2] == [one.slot for one in announced()]


def test_a_report_is_announced(settings: WorkerSettings) -> None:
    """Checks on the same host see the address of the metrics and why a worker is not ready, also without Redis."""
    identity = taken(settings)
    identity.report(metrics="127.0.0.1:9464", reasons={"redis": "Redis does not answer"})
    assert [("127.0.0.1:9464", "Redis does not answer")] == [(one.metrics, one.not_ready) for one in announced()]

    identity.report(reasons={})
    assert [("127.0.0.1:9464", "")] == [(one.metrics, one.not_ready) for one in announced()]


def test_a_folder_that_cannot_be_used_ends_the_process(
    settings: WorkerSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one sentence: which variable, which folder, and what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        taken(WorkerSettings(run_dir=tmp_path / "file"))

    assert 2 == ended.value.code
    assert f"threelane: THREELANE_RUN_DIR: {tmp_path}/file is not a folder" in capsys.readouterr().err


def test_the_last_worker_leaves_no_folder_behind(
    settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that Threelane created below the temporary folder; one that an operator chose stays."""
    monkeypatch.delenv("THREELANE_RUN_DIR")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = (taken(WorkerSettings()) for _ in range(2))
    for one in (first, second):
        one.report(metrics="127.0.0.1:9464")
    folder = first.folder
    assert folder is not None
    assert 0o700 == folder.stat().st_mode & 0o777
    assert ["prometheus", "worker-1.json", "worker-2.json"] == sorted(one.name for one in folder.iterdir())

    first.release()
    assert folder.exists()
    second.release()
    assert [] == [*tmp_path.iterdir()]


def test_a_folder_of_another_user_is_refused(
    settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its owner could announce workers, and hold our slots."""
    theirs = tmp_path / "run"
    theirs.mkdir()
    owner = theirs.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    if owner == 0:
        os.chown(theirs, 65534, -1)
        monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(SystemExit):
        taken(WorkerSettings(run_dir=theirs))

    assert f"{theirs} belongs to another user" in capsys.readouterr().err
