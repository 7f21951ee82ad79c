"""Processes: what one run starts, and the CPU seconds of each, its children included."""

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
_SCHEDULED = 2  # which clock of a process: what the scheduler gave it; see clock_getcpuclockid(3)


class Use(dict[str, float]):
    """CPU seconds by kind of process: producer, worker, callbacks, redis, gateway."""

    def __sub__(self, earlier: Use) -> Use:
        """Return what was used since."""
        return Use({kind: seconds - earlier.get(kind, 0.0) for kind, seconds in self.items()})

    def __add__(self, other: Use) -> Use:
        """Return what was used in both spans."""
        return Use({kind: self.get(kind, 0.0) + other.get(kind, 0.0) for kind in (self | other)})

    def of(self, *kinds: str) -> float:
        """Return the sum of some kinds, of all without the gateway when none is named."""
        return sum(seconds for kind, seconds in self.items() if (kind in kinds if kinds else kind != "gateway"))


class Process:
    """One process with its log in a file; it ends with us, however we end."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start it; ``environment`` goes over ours, without what is set for Threelane there."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("THREELANE_")}
        self.name, self.log = name, log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**kept, **environment},
                preexec_fn=_end_with_parent,
                start_new_session=True,  # Ctrl-C is ours to handle
            )

    def line(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Return its next line of standard output, which is JSON; raises RuntimeError when none comes."""
        assert self.process.stdout
        if not self.has_said(seconds) or not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.name} says nothing; the end of its log:\n{self.log.read_text()[-2000:]}")
        told: dict[str, Any] = json.loads(line)
        return told

    def has_said(self, seconds: float = 0.0) -> bool:
        """Tell whether a line of standard output is there."""
        assert self.process.stdout
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def tell(self, command: Sequence[Any]) -> None:
        """Write a line of JSON to its standard input."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command: Sequence[Any], seconds: float) -> dict[str, Any]:
        """Write a line and return what is answered."""
        self.tell(command)
        return self.line(seconds)

    def cpu(self) -> float:
        """Return the CPU seconds that it and its children have used."""
        return cpu_of(self.process.pid)

    def stop(self) -> None:
        """Ask it to stop, and insist after a while."""
        stop_all([self])


def stop_all(processes: Sequence[Process]) -> None:
    """Ask all to stop, then wait for each, and insist after a while."""
    for one in processes:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGTERM)
    for one in processes:
        try:
            one.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def module(name: str, *words: str) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", name, *words]


class Others:
    """What other programs take of the machine meanwhile: more than a little, and the figures are not worth much."""

    def __init__(self) -> None:
        """Begin to count."""
        self._begun = self._counts()

    def share(self) -> float:
        """Return the share of all cores that others had since."""
        (busy, ours, whole), (busy_before, ours_before, before) = self._counts(), self._begun
        return max(0.0, busy - busy_before - (ours - ours_before)) / max(whole - before, 1 / _TICKS)

    @staticmethod
    def _counts() -> tuple[float, float, float]:
        user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split(None, 9)[1:9])
        busy = (user + nice + system + sum(rest)) / _TICKS
        return busy, cpu_of(os.getpid()), busy + (idle + waiting) / _TICKS


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, of its living children and of those it has buried; 0 when it has ended.

    Its own are read from its clock, to the nanosecond: /proc counts hundredths, a tenth of what a small run uses.
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
    """Return the children of a thread, none when it has ended meanwhile."""
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        return []
