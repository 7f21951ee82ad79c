"""Processes: the processes of a run, and the CPU seconds of each, children included."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from threelane.demo.child import _end_with_parent

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")
_SCHEDULED = 2  # the process clock of time scheduled; see clock_getcpuclockid(3)


class Use(dict[str, float]):
    """CPU seconds by kind of process: producer, worker, callbacks, redis, gateway."""

    def __sub__(self, earlier: Use) -> Use:
        """Return the use since an earlier reading."""
        return Use({kind: seconds - earlier.get(kind, 0.0) for kind, seconds in self.items()})

    def __add__(self, other: Use) -> Use:
        """Return the sum of two uses."""
        return Use({kind: self.get(kind, 0.0) + other.get(kind, 0.0) for kind in (self | other)})

    def total(self, *kinds: str) -> float:
        """Return the sum of these kinds; without arguments, of all except the gateway."""
        return sum(seconds for kind, seconds in self.items() if (kind in kinds if kinds else kind != "gateway"))


class Process:
    """One process with its log in a file; it ends with the benchmark, however that ends."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start the process with this process's environment, without THREELANE_*, and ``environment``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("THREELANE_")}
        self.name, self.log = name, log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**inherited, **environment},
                preexec_fn=_end_with_parent,
                start_new_session=True,  # Ctrl-C is handled here
            )

    def line(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Return the next line of its output, parsed as JSON; raises RuntimeError after ``seconds`` without one."""
        assert self.process.stdout
        if not self.has_output(seconds) or not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.name} printed no line; the end of its log:\n{self.log.read_text()[-2000:]}")
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def has_output(self, seconds: float = 0.0) -> bool:
        """Return whether its standard output has a line to read."""
        assert self.process.stdout
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def send(self, command: Sequence[Any]) -> None:
        """Write a line of JSON to its standard input."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, command: Sequence[Any], seconds: float) -> dict[str, Any]:
        """Write a command and return the response."""
        self.send(command)
        return self.line(seconds)

    def cpu(self) -> float:
        """Return the CPU seconds used by the process and its children."""
        return cpu_of(self.process.pid)

    def stop(self) -> None:
        """Terminate the process; kill it after STOP_SECONDS."""
        stop_all([self])


def stop_all(processes: Sequence[Process]) -> None:
    """Terminate all, then wait for each; kill one that takes longer than STOP_SECONDS."""
    for one in processes:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGTERM)
    for one in processes:
        try:
            one.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *arguments]


class Others:
    """Measures the share of the machine used by other programs: a large share makes the figures unreliable."""

    def __init__(self) -> None:
        """Start to count."""
        self._begun = self._counts()

    def share(self) -> float:
        """Return the share of all cores used by other programs since the start."""
        (busy, ours, whole), (busy_before, ours_before, before) = self._counts(), self._begun
        return max(0.0, busy - busy_before - (ours - ours_before)) / max(whole - before, 1 / _TICKS)

    @staticmethod
    def _counts() -> tuple[float, float, float]:
        user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split(None, 9)[1:9])
        busy = (user + nice + system + sum(rest)) / _TICKS
        return busy, cpu_of(os.getpid()), busy + (idle + waiting) / _TICKS


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process and of its children, running and ended; 0 when it has ended.

    Its own are read from its clock, in nanoseconds: /proc counts in 10 ms, a tenth of a small run.
    """
    try:
        own = time.clock_gettime(~pid << 3 | _SCHEDULED)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0.0
    children = [child for task in tasks for child in _children(task)]
    return own + sum(map(int, fields[13:15])) / _TICKS + sum(map(cpu_of, children))


def _children(task: Path) -> list[int]:
    """Return the children of a thread; none when it has ended meanwhile."""
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        return []
