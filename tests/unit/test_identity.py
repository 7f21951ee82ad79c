"""Several workers of a host need no settings: each has a slot and a name of its own, for as long as it lives."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from threelane.demo.child import _end_with_parent
from threelane.worker.process import probes, run_folder
from threelane.worker.process.identity import Identity, announced, around
from threelane.worker.process.pulse import Pulse
from threelane.worker.process.readiness import Readiness
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
    assert 0o711 == folder.stat().st_mode & 0o777
    assert ["lock", "prometheus", "worker-1.json", "worker-2.json"] == sorted(one.name for one in folder.iterdir())

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


def modes(folder: Path) -> dict[str, str]:
    """Return the permissions of the run folder and of all that is in it."""
    return {str(one.relative_to(folder)): f"{one.stat().st_mode & 0o777:o}" for one in [folder, *folder.rglob("*")]}


def test_other_users_read_what_prometheus_needs_and_nothing_else(settings: WorkerSettings, tmp_path: Path) -> None:
    """Prometheus runs as its own user; whoever can open a file can lock it, and a locked slot passes as a live worker.

    The umask of the service does not matter.
    """
    before = os.umask(0o077)
    try:
        taken(settings).report(metrics="127.0.0.1:9464")
    finally:
        os.umask(before)

    assert {
        ".": "711",
        "lock": "600",
        "worker-1.json": "600",
        "prometheus": "755",
        "prometheus/worker-1.json": "644",
    } == modes(tmp_path / "run")


def test_a_lock_that_nobody_releases_stops_neither_readers_nor_workers(
    settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stands still holds it: health has its deadline, and messages need the new worker."""
    monkeypatch.setattr("threelane.worker.process.run_folder.LOCK_SECONDS", 0.1)
    first = taken(settings)
    with (tmp_path / "run" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert ["w"] == [one.name for one in announced(settings)]
        second = taken(settings)
        second.leave_name()
        assert not second.is_dead(first.announced.incarnation)
        assert [1, 2] == [one.slot for one in announced(settings)]
        first.release()
        assert [2] == [one.slot for one in announced(settings)]


def test_a_reader_of_a_dead_workers_file_moves_no_slot(settings: WorkerSettings, tmp_path: Path) -> None:
    """A check that looks at the file at that instant holds its lock, shared; a new worker waits for that, not more."""
    (tmp_path / "run").mkdir()
    dead = tmp_path / "run" / "worker-1.json"
    dead.touch()
    with dead.open() as read:
        fcntl.flock(read, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (read, fcntl.LOCK_UN)).start()
        assert 1 == taken(settings).announced.slot


def test_a_worker_announces_itself_again(settings: WorkerSettings, tmp_path: Path) -> None:
    """Somebody cleaned up the temporary folder: checks and Prometheus find the worker after its next heartbeat."""
    first = taken(settings)
    first.report(metrics="127.0.0.1:9464")
    shutil.rmtree(tmp_path / "run")
    assert [] == announced(settings)

    first.report(reasons={})
    assert [("w", 1, "127.0.0.1:9464")] == [(one.name, one.slot, one.metrics) for one in announced(settings)]
    assert (tmp_path / "run" / "prometheus" / "worker-1.json").exists()
    assert not first.is_dead(first.announced.incarnation)


def test_a_worker_announces_itself_again_beside_one_that_took_its_slot(
    settings: WorkerSettings, tmp_path: Path
) -> None:
    """Both are seen; the name is settled in Redis."""
    first = taken(settings)
    shutil.rmtree(tmp_path / "run")
    second = taken(settings)
    first.report(reasons={})

    assert [1, 2] == [one.slot for one in announced(settings)]
    assert [1, 2] == [one.announced.slot for one in (second, first)]


def test_a_lost_file_for_prometheus_is_written_again(settings: WorkerSettings, tmp_path: Path) -> None:
    """A clean-up of temporary files removes what nobody has written for days."""
    first = taken(settings)
    first.report(metrics="127.0.0.1:9464")
    shutil.rmtree(tmp_path / "run" / "prometheus")
    first.report(reasons={})

    assert b"127.0.0.1:9464" in (tmp_path / "run" / "prometheus" / "worker-1.json").read_bytes()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def overwritten(file: Path) -> None:
    file.write_bytes(b"garbage\n" * 1000)


def closed(file: Path) -> None:
    file.chmod(0)


def removed(file: Path) -> None:
    file.unlink()


def given_away(file: Path) -> None:
    if os.geteuid() == 0:
        os.chown(file, 65534, -1)


@pytest.mark.parametrize("damage", [emptied, overwritten, closed, removed, given_away])
@pytest.mark.parametrize(("name", "mode"), [("worker-1.json", 0o600), ("prometheus/worker-1.json", 0o644)])
def test_a_damaged_announcement_is_written_again(
    settings: WorkerSettings, tmp_path: Path, name: str, mode: int, damage: Callable[[Path], None]
) -> None:
    """A full disk lost its text, or somebody changed it: a healthy worker must not count as gone for good."""
    first = taken(settings)
    first.report(metrics="127.0.0.1:9464")
    announcement = tmp_path / "run" / name
    content = announcement.read_bytes()
    damage(announcement)
    first.report(reasons={})

    found = announcement.lstat()
    assert (content, os.geteuid(), mode) == (announcement.read_bytes(), found.st_uid, stat.S_IMODE(found.st_mode))
    assert ["w"] == [one.name for one in announced(settings)]


@pytest.mark.parametrize("damage", [emptied, overwritten, closed])
def test_a_worker_whose_announcement_cannot_be_read_is_not_dead(
    settings: WorkerSettings, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Its lock is held; who took it for dead would report under its name, and both would for good."""
    first, second = taken(settings), taken(settings)
    damage(tmp_path / "run" / "worker-1.json")

    assert not second.is_dead(first.announced.incarnation)


def unlistable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the folder fail as one with mode 0 does for whoever is not root."""

    def refuse(path: Any, *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", refuse)
    monkeypatch.setattr("os.listdir", refuse)
    return "Permission denied"


def a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.rmtree(folder)
    folder.touch()
    return "is not a folder"


def a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.rmtree(folder)
    monkeypatch.setattr("os.write", lambda *_: 0)
    return "No space left on device"


@pytest.mark.parametrize("damage", [unlistable, a_file, a_full_disk])
def test_an_unusable_folder_stops_no_worker_that_runs(
    settings: WorkerSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path, pytest.MonkeyPatch], str],
) -> None:
    """Its heartbeats go on; it logs once why it is not announced, and announces itself as soon as it can."""
    first, folder = taken(settings), tmp_path / "run"
    first.report(metrics="127.0.0.1:9464")
    with pytest.MonkeyPatch.context() as monkeypatch:
        text = damage(folder, monkeypatch)
        for _ in range(2):
            first.report(reasons={"redis": "Redis is away"})
            assert not first.is_dead(first.announced.incarnation)
        first.leave_name()
        monkeypatch.setattr(probes, "IDENTITY", first)
        shown = probes.live(Pulse(), Readiness())
        unknown = around(settings).unknown
    if folder.is_file():
        folder.unlink()

    assert text in first.problem
    assert 1 == [record.getMessage() for record in caplog.records].count("not_announced")
    assert (True, (f"it is not announced: {first.problem}",)) == (shown.is_live, shown.warnings)
    assert (damage is not a_full_disk) is bool(unknown)
    first.report(reasons={})
    assert ("", ["w-2"]) == (first.problem, [one.name for one in announced(settings)])


def test_a_full_disk_is_noticed_before_a_worker_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes an empty file, and loses what is written."""
    monkeypatch.setattr("os.write", lambda *_: 0)
    with pytest.raises(run_folder.Unusable, match="No space left on device"):
        run_folder.checked(tmp_path / "run")
    assert [] == [*tmp_path.iterdir()]


def file(folder: Path) -> str:
    folder.touch()
    return f"{folder} is not a folder"


def link(folder: Path) -> str:
    folder.symlink_to("/nowhere")
    return f"{folder} is not a folder"


def of_everybody(folder: Path) -> str:
    folder.mkdir()
    folder.chmod(0o777)
    return f"every user can write {folder}: chmod o-w {folder}, or set it to"


def below_a_file(folder: Path) -> str:
    folder.parent.rmdir()
    folder.parent.touch()
    return f"{folder.parent} is not a folder"


@pytest.mark.parametrize("made", [file, link, of_everybody, below_a_file])
def test_a_check_of_an_unusable_folder_reports_what_a_worker_would(
    made: Callable[[Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the variable, the folder and the remedy; the worker ends with code 2."""
    (tmp_path / "below").mkdir()
    folder = tmp_path / "below" / "run"
    problem = made(folder)
    with pytest.raises(run_folder.Unusable) as unusable:
        run_folder.checked(folder)
    with pytest.raises(SystemExit) as ended:
        taken(WorkerSettings(run_dir=folder))

    assert str(unusable.value).startswith(f"THREELANE_RUN_DIR: {problem}")
    assert (2, f"threelane: {unusable.value}\n") == (ended.value.code, capsys.readouterr().err)


def test_a_check_leaves_no_folder_behind(tmp_path: Path) -> None:
    """An operator checks as root: a folder of root would stop the workers of another user."""
    assert tmp_path / "a" / "run" == run_folder.checked(tmp_path / "a" / "run")
    assert [] == [*tmp_path.iterdir()]


def test_a_sticky_folder_of_everybody_is_used_without_what_others_put_there(
    settings: WorkerSettings, tmp_path: Path
) -> None:
    """As /tmp: nobody removes our files, and files of others announce no workers."""
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o1777)
    first = taken(settings)
    forged = folder / "worker-7.json"
    forged.write_bytes((folder / "worker-1.json").read_bytes())
    if os.geteuid() == 0:
        os.chown(forged, 65534, -1)
        with forged.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert [1] == [one.slot for one in announced(settings)]
    os.mkfifo(folder / "worker-8.json")
    assert [first.name] == [one.name for one in announced(settings)]
