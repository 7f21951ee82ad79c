"""A stack that stays up: commands in its folder find it, and one signal ends all of it."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from tests.integration.test_demo import Command, command
from tests.servers import wait_until
from threelane.producer.http.client import HttpProducer

__all__ = ["command"]  # a fixture


def _stack(command: Command) -> dict[str, Any] | None:
    file = command.folder / ".threelane" / "stack.json"
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _status(command: Command, message_id: str) -> Callable[[], bool]:
    def delivered() -> bool:
        return bool(json.loads(command.run("status", message_id, "--json").stdout)["status"] == "delivered")

    return delivered


def test_up_is_found_by_the_commands_in_its_folder_and_ends_at_one_signal(command: Command) -> None:
    """Its addresses are in .threelane/stack.json, for nobody else to read, and go with it."""
    process = command.start("up")
    stack = wait_until(lambda: _stack(command), 60, "stack.json")
    assert process.pid == stack["pid"]
    assert {"redis", "sandbox", "callbacks", "worker", "exporter", "api"} == set(stack["processes"])
    assert set(stack["processes"].values()) <= set(command.processes())
    file = command.folder / ".threelane" / "stack.json"
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    pages = [urlopen(url, timeout=5).status for url in (*stack["metrics"].values(), stack["callbacks"])]
    assert [200] * len(pages) == pages

    told = command.run("send", "27999500001", "Hello", "--json")
    assert 0 == told.returncode, told.stderr
    wait_until(_status(command, json.loads(told.stdout)["id"]), what="its delivery")
    with HttpProducer(stack["api"], stack["api_key"]) as producer:
        assert producer.send("27999500001", "Hello").accepted

    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, error)
    assert {} == command.processes()
    assert not file.exists()


def test_without_a_stack_a_command_does_not_find_one(command: Command) -> None:
    """A stack.json whose process is gone is no stack: the defaults hold."""
    folder = command.folder / ".threelane"
    folder.mkdir()
    gone = {"THREELANE_REDIS_URL": "redis://127.0.0.1:1/0"}
    folder.joinpath("stack.json").write_text(json.dumps({"pid": 2**22 + 1, "environment": gone}), encoding="utf-8")
    code = "from threelane.runtime.settings import *; print(load(Settings).redis_url.get_secret_value())"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=command.folder, env=command.environment, capture_output=True, text=True
    )
    assert "redis://127.0.0.1:6379/0\n" == told.stdout, told.stderr
