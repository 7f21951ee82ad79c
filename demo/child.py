"""Child: a process that ends with its parent, also when the parent is killed."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 180.0  # of a process that runs: on a busy machine its imports alone may take a minute
GRACE_SECONDS = 15.0

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A process of the stack did not start; the text has its name and the end of its log."""


class Child:
    """One process of the stack, with its log in a file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start the process; on Linux the kernel ends it when this process ends, kill -9 included."""
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                preexec_fn=_end_with_parent,
                start_new_session=True,  # Ctrl-C reaches the parent only, which stops its children in order
            )

    def event(self, name: str) -> dict[str, Any]:
        """Return the first log line of an event; raises Failed when the process ends without it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
                if line.endswith("\n") and f'"event":"{name}"' in line.replace('": "', '":"'):
                    found: dict[str, Any] = json.loads(line)
                    return found
            if ended:
                break
            time.sleep(0.05)
        tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
        code = self.process.poll()
        why = f"was not ready after {START_SECONDS:g} seconds" if code is None else f"ended with code {code}"
        raise Failed(f"{self.name} did not start: it {why}; the end of {self.log}:\n{tail}")

    def stop(self) -> None:
        """Terminate the process; kill it after GRACE_SECONDS."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _end_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
