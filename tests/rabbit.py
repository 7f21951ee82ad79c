"""A real RabbitMQ for tests: a node of their own, which a test may kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import amqp
import pytest

from tests.servers import free_port, wait_until
from threelane.demo.child import _end_with_parent

SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)  # Debian's command would change the user and the folders
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
    """THREELANE_TEST_BROKER=rabbitmq runs the tests with their nudges on RabbitMQ."""
    named = os.environ.get("THREELANE_TEST_BROKER", "redis")
    assert named in ("redis", "rabbitmq"), f"THREELANE_TEST_BROKER={named}: redis or rabbitmq"
    return named == "rabbitmq"


ONLY_THERE = pytest.mark.skipif(not wanted(), reason="of RabbitMQ as the broker: THREELANE_TEST_BROKER=rabbitmq")


def script() -> str | None:
    """Return what starts a node, if RabbitMQ is installed."""
    found = next(filter(os.path.exists, SCRIPTS), None) or shutil.which("rabbitmq-server")
    return found if shutil.which("epmd") else None


class RabbitServer:
    """One node on ports of its own, with a port mapper of its own, both tied to the test process."""

    def __init__(self, folder: Path, configuration: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.process: subprocess.Popen[bytes] | None = None
        epmd = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # of the cookie
            "LANG": "C.UTF-8",
            "ERL_CRASH_DUMP": os.devnull,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the node, so that it can be tied and killed
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
        wait_until(self._answers, 60, what="RabbitMQ to answer")
        return self

    def kill(self) -> None:
        """As a power cut."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Connections are taken, and nothing is answered."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def control(self, *words: str) -> None:
        """Do what an operator does with rabbitmqctl."""
        command = [str(Path(str(script())).with_name("rabbitmqctl")), "-n", self._environment["RABBITMQ_NODENAME"]]
        subprocess.run([*command, *words], env=self._environment, check=True, capture_output=True, timeout=60)

    def stop(self) -> None:
        """For good; what it kept is of no use to anybody."""
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

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"RabbitMQ ended at once; see {self.folder}/log"
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2):
                return True
        except (OSError, amqp.AMQPError):
            return False
