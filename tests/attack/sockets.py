"""Sockets: processes under attack, raw requests to them, and what they hold."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.servers import wait_until
from threelane.demo.child import _end_with_parent


class Endpoint(NamedTuple):
    """A process that listens."""

    port: int
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def lines(self) -> list[str]:
        """The lines of its log."""
        return self.output.read_text().splitlines()

    @property
    def resident_mib(self) -> float:
        """Its resident memory."""
        return self._status("VmRSS") / 1024

    @property
    def peak_mib(self) -> float:
        """The most resident memory that it ever had."""
        return self._status("VmHWM") / 1024

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return self._status("Threads")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(one for one in lines if one.startswith(f"{name}:")).split()[1])


@contextmanager
def running(
    command: str, event: str, environment: Mapping[str, str], folder: Path, descriptors: int = 0
) -> Iterator[Endpoint]:
    """Run a command of Threelane until the end of the block; ``descriptors`` is its limit of open files."""
    output = folder / f"{command}.log"

    def limited() -> None:
        _end_with_parent()
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "threelane", command],
            env=dict(environment),
            stdout=log,
            stderr=log,
            preexec_fn=limited,
        )
    try:
        yield Endpoint(wait_until(lambda: _port(output, event, process), what=command), process, output)
    finally:
        process.terminate()
        process.wait(30)


def _port(output: Path, event: str, process: subprocess.Popen[bytes]) -> int:
    text = output.read_text()
    assert process.poll() is None, text
    urls = [json.loads(line)["url"] for line in text.splitlines() if f'"event":"{event}"' in line]
    return int(urls[0].split(":")[2].split("/")[0]) if urls else 0


def exchange(port: int, request: bytes, seconds: float = 30) -> bytes:
    """Send octets and return all that is received until the server closes, or an empty rest if it does not."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as one:
        one.sendall(request)
        received = bytearray()
        try:
            while more := one.recv(65536):
                received += more
        except TimeoutError:
            return b""
        except ConnectionError:
            pass
    return bytes(received)


def is_closed(one: socket.socket) -> bool:
    """Return whether the server has closed a connection."""
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
