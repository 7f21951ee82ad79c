"""A process whose endpoint cannot be bound ends with one sentence; none goes on with half of its parts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.servers import RedisServer
from tests.slow import also_slow

SECRET = "0123456789abcdef0123"
CREDENTIALS = {f"THREELANE_CLICKATELL_{name}": "sandbox" for name in ("API_ID", "USER", "PASSWORD")}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a process of Threelane to its end."""
    return subprocess.run(
        [sys.executable, "-m", "threelane", command],
        env={**os.environ, **CREDENTIALS, "THREELANE_CALLBACK_SECRET": SECRET, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["worker", "exporter", *also_slow("callbacks", "webhooks")])
def test_a_metrics_port_in_use_ends_the_process(command: str, taken: int, redis_server: RedisServer) -> None:
    """A second worker on a host would otherwise take nudges and send nothing."""
    ended = run(command, {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_METRICS_PORT": str(taken)})

    assert 2 == ended.returncode, ended.stderr
    assert "THREELANE_METRICS_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["worker", "exporter"])
def test_a_metrics_host_that_does_not_exist_ends_the_process(command: str, redis_server: RedisServer) -> None:
    """The name of the variable is what an operator needs."""
    ended = run(command, {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_METRICS_HOST": "banana.invalid"})

    assert 2 == ended.returncode, ended.stderr
    assert "THREELANE_METRICS_HOST" in ended.stderr


def test_a_callback_port_in_use_ends_the_process(taken: int, redis_server: RedisServer) -> None:
    """Clickatell would post its receipts to the other process there."""
    environment = {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_METRICS_PORT": "0"}
    ended = run("callbacks", environment | {"THREELANE_CALLBACKS_PORT": str(taken)})

    assert 2 == ended.returncode, ended.stderr
    assert "THREELANE_CALLBACKS_PORT" in ended.stderr
