"""Run folder: what another user of the host, or one process that stands still, can do to workers and their checks."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Workers, log_of, workers
from tests.servers import typed, wait_until

__all__ = ["workers"]
NOBODY = 65534
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "threelane-worker@.service"
TRY = """
import fcntl, json, os, pathlib, sys
folder, user = pathlib.Path(sys.argv[1]), int(sys.argv[2])
targets = folder / "prometheus"
os.setgroups([]), os.setgid(user), os.setuid(user)  # after the imports: Python may be readable to root alone
def lock(path):
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
def attempt(what):
    try:
        return str(what() or "done")
    except OSError as failed:
        return failed.strerror
print(json.dumps({
    "lock the folder": attempt(lambda: lock(folder)),
    "lock the lock": attempt(lambda: lock(folder / "lock")),
    "lock a slot": attempt(lambda: lock(folder / "worker-1.json")),
    "announce a worker": attempt(lambda: (folder / "worker-7.json").write_text("{}")),
    "remove a worker": attempt(lambda: (folder / "worker-1.json").unlink()),
    "announce a target": attempt(lambda: (targets / "worker-7.json").write_text("[]")),
    "read the targets": [json.loads(one.read_text())[0]["labels"]["worker"] for one in targets.glob("*")],
}))
"""


@pytest.fixture
def folder(workers: Workers) -> Iterator[Path]:
    """A run folder with the mode of the systemd unit, in a place that every user can reach."""
    place = Path(tempfile.mkdtemp(prefix="threelane-run-"))
    place.chmod(0o755)
    made = place / "threelane"
    made.mkdir()
    made.chmod(int(re.findall(r"^RuntimeDirectoryMode=(\d+)$", UNIT.read_text(encoding="ascii"), re.M)[0], 8))
    workers.environment = workers.environment | {"THREELANE_RUN_DIR": str(made)}
    yield made
    workers.stop()
    shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_locks_and_forges_nothing_and_prometheus_reads(workers: Workers, folder: Path) -> None:
    """A slot that another user locks would pass as a live worker for good."""
    workers.start(worker_name="w")
    done = subprocess.run([sys.executable, "-c", TRY, folder, str(NOBODY)], capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)

    assert ["w"] == found.pop("read the targets")
    assert {"Permission denied"} == {*found.values()}


def test_whoever_holds_the_lock_stops_no_check_and_no_worker(workers: Workers, folder: Path) -> None:
    """As a process of the same user that stands still, or a script that locks the folder."""
    workers.start(worker_name="w")
    whole = os.open(folder, os.O_RDONLY)
    fcntl.flock(whole, fcntl.LOCK_EX)
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert 0 == typed("health", environment=workers.environment).returncode
        workers.start(worker_name="w")

        assert ["w", "w-2"] == [event["worker"] for event in workers.events("identity")]
        assert [str(folder)] == [event["run_dir"] for event in workers.events("run_folder_locked")]
        health = typed("health", "--json", environment=workers.environment)
    os.close(whole)
    assert "w, w-2" == json.loads(health.stdout)["worker"]


def test_a_deleted_run_folder_is_written_again(workers: Workers, folder: Path) -> None:
    """Otherwise health reports 5 for good, and a supervisor restarts a healthy worker again and again."""
    child = workers.start(worker_name="w")
    child.process.send_signal(signal.SIGSTOP)  # before its next heartbeat
    shutil.rmtree(folder)
    assert 5 == typed("health", environment=workers.environment).returncode
    child.process.send_signal(signal.SIGCONT)

    wait_until(lambda: 0 == typed("health", environment=workers.environment).returncode, what="the next heartbeat")
    assert ["w"] == [line["worker"] for line in log_of(child) if line["event"] == "announced_again"]
    assert (folder / "prometheus" / "worker-1.json").exists()
