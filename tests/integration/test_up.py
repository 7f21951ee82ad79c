"""A stack that stays up: commands in its folder find it, and one signal ends all of it."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.request import urlopen

import pytest
import redis

from tests.integration.test_demo import Command, command
from tests.integration.test_worker_of_account import take
from tests.servers import wait_until
from threelane.demo.stack_file import STACK_FILE, running_stack, use_stack
from threelane.producer.http.client import HttpProducer
from threelane.sandbox.running import Running
from threelane.store.keys import space_of

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
    """Its addresses are in .threelane/stack.json, readable only by the owner, and removed with it."""
    process = command.start("up")
    stack = wait_until(lambda: _stack(command), 180, "stack.json")
    assert process.pid == stack["pid"]
    assert {"redis", "sandbox", "callbacks", "worker", "exporter", "api"} == set(stack["processes"])
    assert set(stack["processes"].values()) <= set(command.processes())
    file = command.folder / ".threelane" / "stack.json"
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    pages = [urlopen(url, timeout=5).status for url in (*stack["metrics"].values(), stack["callbacks"])]
    assert [200] * len(pages) == pages

    completed = command.run("send", "27999500001", "Hello", "--json")
    assert 0 == completed.returncode, completed.stderr
    wait_until(_status(command, json.loads(completed.stdout)["id"]), what="its delivery")
    with HttpProducer(stack["api"], stack["api_key"]) as producer:
        assert producer.send("27999500001", "Hello").accepted

    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, error)
    assert {} == command.processes()
    assert not file.exists()


@pytest.mark.slow
def test_up_runs_further_accounts_each_with_a_sandbox_and_a_worker(command: Command) -> None:
    """Their routes are in force for the commands in its folder; one endpoint has the callbacks of all."""
    routes = '[[routes]]\nname = "news"\nlane = 3\naccount = "marketing"\n'
    (command.folder / "routes.toml").write_text(routes)
    process = command.start("up", "--account", "marketing", "--routes", "routes.toml")
    stack = wait_until(lambda: _stack(command), 180, "stack.json")
    own = {"sandbox-marketing", "worker-marketing"}
    assert {"redis", "sandbox", "callbacks", "worker", "exporter", "api"} | own == set(stack["processes"])
    assert ["default", "marketing"] == [*stack["sandboxes"]]
    explained = command.run("route", "explain", "--to", "27999500001", "--lane", "3", "--json")
    assert ["marketing"] == [one["account"] for one in json.loads(explained.stdout)["accounts"]], explained.stderr
    with redis.Redis.from_url(stack["redis_url"]) as client:
        message_id = take(client, space_of("marketing"), to="27999500001", lane=3)
    wait_until(_status(command, message_id), what="its delivery")
    ledgers = {name: Running(mock.Mock(), url).control("GET", "ledger") for name, url in stack["sandboxes"].items()}
    received = {name: [one["client_id"] for one in ledger["messages"]] for name, ledger in ledgers.items()}
    assert {"default": [], "marketing": [message_id]} == received
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, error)


@pytest.mark.parametrize(
    ("words", "problem"),
    [(["default"], "default is the name of the account of the environment"), (["a", "a"], "a is there twice")],
)
def test_up_refuses_accounts_that_no_file_could_have(command: Command, words: list[str], problem: str) -> None:
    """Before any process starts."""
    ended = command.run("up", *(part for word in words for part in ("--account", word)))
    assert (2, True) == (ended.returncode, problem in " ".join(ended.stderr.replace("│", "").split()))


DAMAGED = [
    "", "[]", "null", "{}", "[" * 100_000, '{"pid": Infinity, "environment": {}}', '{"pid": 1e999, "environment": {}}',
    f'{{"pid": 1{"0" * 23}, "environment": {{}}}}', f'{{"pid": 1{"0" * 5000}, "environment": {{}}}}',
    '{"pid": 0, "environment": {"THREELANE_GATEWAY": "xml"}}',
    '{"pid": -1, "environment": {"THREELANE_GATEWAY": "xml"}}',
    *(f'{{"pid": PID, "environment": {environment}}}' for environment in (
        "[]", "null", '{"A": 1}', '{"A=B": "x"}', '{"": "x"}', '{"THREELANE_GATEWAY": 1}', '{"THREELANE_A=B": "x"}',
        '{"THREELANE_GATEWAY": "\\u0000"}', '{"THREELANE_GATEWAY": "\\ud800"}', '{"PATH": "/tmp"}',
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: str(text)[:70])
def test_a_damaged_file_is_ignored_like_a_missing_one(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command starts with its own settings, whatever the file of a stack has become."""
    monkeypatch.chdir(tmp_path)
    STACK_FILE.parent.mkdir()
    STACK_FILE.write_text(text.replace("PID", str(os.getpid())), encoding="utf-8")
    after: dict[str, str] = {}
    use_stack(after)
    assert {} == after
    assert running_stack() is None


@pytest.mark.parametrize(
    ("is_running", "environment", "wanted"),
    [
        (True, {}, {"THREELANE_REDIS_URL": "redis://127.0.0.1:1/0", "THREELANE_GATEWAY": "xml"}),
        (True, {"THREELANE_GATEWAY": "rest"}, {"THREELANE_REDIS_URL": "redis://127.0.0.1:1/0"}),
        (True, {"THREELANE_REDIS_URL": "redis://127.0.0.1:2/0"}, {}),
        (True, {"THREELANE_REDIS_URL_FILE": "/run/secrets/redis_url"}, {}),
        (False, {}, {}),
    ],
)
def test_a_command_uses_a_stack_that_runs_unless_its_environment_names_another_redis(
    is_running: bool,
    environment: dict[str, str],
    wanted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment has precedence, and the file of a killed stack is ignored."""
    monkeypatch.chdir(tmp_path)
    STACK_FILE.parent.mkdir()
    stack = {"THREELANE_REDIS_URL": "redis://127.0.0.1:1/0", "THREELANE_GATEWAY": "xml"}
    pid = os.getpid() if is_running else 2**22 + 1  # no process has that id
    STACK_FILE.write_text(json.dumps({"pid": pid, "environment": stack}), encoding="utf-8")
    after = dict(environment)
    use_stack(after)
    assert environment | wanted == after
