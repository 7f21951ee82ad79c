"""A real RabbitMQ for tests: a private node, which a test may kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import amqp
import pytest

from tests.servers import free_port, freeze, wait_until
from threelane.demo.child import _end_with_parent

SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)  # Debian's wrapper changes the user and the folders
ARGUMENTS = "-noinput +S 1:1 +SDcpu 1:1 +SDio 2 +A 2 +sbwt none +sbwtdcpu none +sbwtdio none"
ON_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.console = false
log.file.level = warning
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
"""


def wanted() -> bool:
    """Return whether the tests use RabbitMQ as the broker: THREELANE_TEST_BROKER=rabbitmq."""
    named = os.environ.get("THREELANE_TEST_BROKER", "redis")
    assert named in ("redis", "rabbitmq"), f"THREELANE_TEST_BROKER={named}: redis or rabbitmq"
    return named == "rabbitmq"


ONLY_THERE = pytest.mark.skipif(not wanted(), reason="needs RabbitMQ as the broker: THREELANE_TEST_BROKER=rabbitmq")


def script() -> str | None:
    """Return the command that starts a node, or None when RabbitMQ is not installed."""
    found = next(filter(os.path.exists, SCRIPTS), None) or shutil.which("rabbitmq-server")
    return found if shutil.which("epmd") else None


class RabbitServer:
    """One node with its own ports and port mapper, which both end with the test process."""

    def __init__(self, folder: Path, configuration: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.process: subprocess.Popen[bytes] | None = None
        epmd = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # for the cookie
            "LANG": "C.UTF-8",
            "ERL_CRASH_DUMP": os.devnull,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script execs the node, so that a signal reaches it
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{ARGUMENTS} {ON_LOOPBACK}",
        }
        (folder / "rabbitmq.conf").write_text(CONFIGURATION.format(port=self.port) + configuration, encoding="utf-8")
        (folder / "enabled_plugins").write_text("[].\n", encoding="utf-8")
        self._mapper = self._child(["epmd", "-port", str(epmd), "-address", "127.0.0.1"])

    def start(self) -> RabbitServer:
        self.process = self._child([str(script())])
        wait_until(self._responds, 60, what="RabbitMQ to respond")
        return self

    def kill(self) -> None:
        """Kill the node, as a power cut does."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Stop the process: connections are accepted, but get no response."""
        assert self.process
        freeze(self.process)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def control(self, *arguments: str) -> str:
        """Run a rabbitmqctl command, and return its output."""
        command = [str(Path(str(script())).with_name("rabbitmqctl")), "-n", self._environment["RABBITMQ_NODENAME"]]
        done = subprocess.run(
            [*command, *arguments], env=self._environment, check=True, capture_output=True, timeout=60
        )
        return done.stdout.decode()

    def stop(self) -> None:
        """Kill the node and its port mapper; the data is discarded."""
        self.kill()
        self._mapper.kill()
        self._mapper.wait()

    def _child(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
        )

    def _responds(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"RabbitMQ exited at start; see {self.folder}/log"
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2):
                return True
        except (OSError, amqp.AMQPError):
            return False
