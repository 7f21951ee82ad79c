"""The demo as a user starts it: one command, three ledgers, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api import API
from tests.servers import wait_until

PROJECT = Path(__file__).parents[2]
MARK = "THREELANE_TEST_MARK"
OPTED_OUT, PASSES, LOST = "27999112200", "27999190101", "27999300101"


class Command:
    """A command in a folder of its own; its processes are known by a mark in their environment or by the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        clean = {name: value for name, value in os.environ.items() if not name.startswith("THREELANE_")}
        temporary = folder / "tmp"
        temporary.mkdir()
        self.environment = clean | {MARK: self.mark, "PYTHONPATH": str(PROJECT), "TMPDIR": str(temporary)}
        self.process: subprocess.Popen[str] | None = None

    def start(self, *words: str) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "threelane", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self.process

    def run(self, *words: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "threelane", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def processes(self) -> dict[int, str]:
        """Return the processes that live and are this command's, or its children's, by id."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (line := self._is_ours(entry)) is not None:
                found[int(entry.name)] = line
        return found

    def _is_ours(self, entry: Path) -> str | None:
        try:
            line = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            marked = self.mark.encode() in entry.joinpath("environ").read_bytes()
            inside = str(self.folder) in line or os.readlink(entry / "cwd").startswith(str(self.folder))
        except OSError:  # it ended, or it is somebody else's
            return None
        return line if line and (marked or inside) else None

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()  # its children end with it
            self.process.communicate()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    if not Path("/proc/self/environ").exists():
        pytest.skip("looks for processes in /proc")
    made = Command(tmp_path)
    yield made
    made.end()


def messages(folder: Path, good: int = 54) -> Path:
    """Write a file of messages: most of them good, some that only the gateway can refuse, and bad rows."""
    rows = ["to,text,userPriorityQueue,costCentre,delay,clientMessageId"]
    rows += [f"27999{500000 + n},Hello number {n},{n % 3 + 1},{'login' if n % 2 else 'news'},," for n in range(good)]
    rows += [
        f"{PASSES},It passes at the second attempt,1,,,",
        f"{OPTED_OUT},Not wanted,3,,,",
        f"{LOST},Its answer is lost,2,,,",
        f"27999500990,{'Two parts. ' * 20},2,,,",
        "27999500991,Once,3,,,once1",
        "27999500991,Once,3,,,once1",
        "27999500992,In a second,1,,1,",
        "12,Not a number,3,,,",
        "27999500993,,3,,,",
        "27999500994,No such lane,9,,,",
        "27999500995,Other words,3,,,once1",
    ]
    file = folder / "messages.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


@pytest.mark.main_job
def test_a_file_goes_in_and_three_ledgers_agree(command: Command) -> None:
    """Bad rows are refused, a row that is there twice goes out once, and nothing of the demo is left running."""
    words = ("--gateway", API.name, "--messages", str(messages(command.folder)), "--json", "summary.json")
    completed = command.run("demo", *words)
    assert (0, "") == (completed.returncode, completed.stderr), completed.stdout
    summary = json.loads(command.folder.joinpath("summary.json").read_text(encoding="utf-8"))

    assert [] == summary["breaches"]
    assert {"101": 1, "105": 1, "107": 1, "409": 1} == summary["refused"]
    assert (60, 1, 59, 0) == tuple(
        summary[key] for key in ("accepted", "repeated", "sandbox_messages", "sandbox_twice")
    )
    dead = {API.code("122"): 1}
    assert ({"dead": 1, "delivered": 59}, dead) == (summary["by_status"], summary["dead_by_code"])
    assert 60 == summary["parts_counted"] == summary["parts_charged"]
    credits = (summary["credits_at_sandbox"], summary["credits_in_records"])
    assert ("48.000", "48") == credits  # on the One API, which reports no charge, the estimate at the sandbox's price
    assert 4 == len(re.findall(r"^row \d+ refused \d{3} ", completed.stdout, re.MULTILINE))
    assert "the three ledgers are equal" in completed.stdout
    assert {} == command.processes()
    assert [] == list(command.folder.joinpath("tmp").iterdir())


@pytest.mark.slow
def test_ctrl_c_in_the_middle_leaves_nothing_running(command: Command) -> None:
    """Exit code 130, one sentence, and no traceback."""
    process = command.start("demo", "--messages", str(messages(command.folder)))
    wait_until(lambda: any("exporter" in line for line in command.processes().values()), what="the last process")
    assert len(command.processes()) >= 6  # itself, Redis, sandbox, callbacks, worker, exporter
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)

    assert (130, "stopped; nothing is left running\n") == (process.returncode, error)
    assert {} == command.processes()
    assert [] == list(command.folder.joinpath("tmp").iterdir())


def test_the_kernel_ends_the_processes_of_a_killed_demo(command: Command) -> None:
    """kill -9 leaves no chance to tidy up, and still no worker survives it."""
    process = command.start("demo", "--messages", str(messages(command.folder)))
    wait_until(lambda: any("sandbox" in line for line in command.processes().values()), what="the sandbox")
    process.kill()
    process.communicate(timeout=20)
    wait_until(lambda: command.processes() == {}, what="the children to end")


@pytest.mark.parametrize(("content", "problem"), [("nonsense\n1\n", "nonsense"), (None, "messages.csv")])
def test_a_file_that_cannot_be_sent_ends_it_with_code_2(command: Command, content: str | None, problem: str) -> None:
    """At once and without a traceback: nothing is started for it."""
    file = command.folder / "messages.csv"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    ended = command.run("demo", "--messages", str(file))
    assert 2 == ended.returncode, ended.stdout
    assert problem in ended.stdout.replace("\n", "")
    assert "Starting" not in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert {} == command.processes()
