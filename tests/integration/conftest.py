"""Real processes for integration tests: workers and a callback endpoint, on the test process's Redis and sandbox."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.api import API
from tests.integration.http_api import Api
from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.demo import accounts
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store.status import MessageStatus

SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
PASSWORD = "do-not-log-me-sandbox-pw"


class Workers:
    """Starts workers for one test and ends those that are left."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.children: list[Child] = []

    def start(self, *words: str, **settings: Any) -> Child:
        """Start a worker; ``parts_per_second=50`` sets THREELANE_PARTS_PER_SECOND, ``words`` are of its command."""
        more = {f"THREELANE_{name.upper()}": str(value) for name, value in settings.items()}
        child = threelane_child("worker", self.folder, self.environment | more, len(self.children), *words)
        self.children.append(child)
        child.event("started")
        return child

    def use_accounts(self, tables: Mapping[str, Mapping[str, Any]], default: str = "", routes: str = "") -> None:
        """Give the workers that start from now on an accounts file with these settings; `start(account=...)`."""
        path = accounts.write(self.folder, tables, default, routes)
        self.environment = self.environment | {"THREELANE_ACCOUNTS_FILE": str(path)}

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return all log events of a name of all workers."""
        return [line for child in self.children for line in log_of(child) if line["event"] == name]

    def stop(self) -> None:
        for child in self.children:
            child.stop()


def threelane_child(command: str, folder: Path, environment: dict[str, str], number: int = 0, *options: str) -> Child:
    words = [sys.executable, "-m", "threelane", command, *options]
    return Child(command, words, folder / f"{command}-{number}.log", environment)


def log_of(child: Child) -> list[dict[str, Any]]:
    """Return the JSON lines of a process's log."""
    lines = child.log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def kill(child: Child) -> None:
    """As the kernel does when memory runs out."""
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    """The scripts on an empty Redis, with a clock that the test moves, and a rate that is never reached."""
    assert client.ping()
    with open_system(redis_server, parts_per_second=100_000) as made:
        yield made


@pytest.fixture(scope="session")
def base_environment(redis_server: RedisServer, running_sandbox: Running) -> dict[str, str]:
    return {
        "THREELANE_REDIS_URL": redis_server.url,
        "THREELANE_GATEWAY_URL": running_sandbox.url,
        "THREELANE_CLICKATELL_API_ID": "sandbox",
        "THREELANE_CLICKATELL_USER": "sandbox",
        "THREELANE_CLICKATELL_PASSWORD": "sandbox",
        "THREELANE_CLICKATELL_TOKEN": "sandbox",
        "THREELANE_CLICKATELL_API_KEY": "sandbox",
        "THREELANE_GATEWAY": API.name,
        "THREELANE_CALLBACK_SECRET": SECRET,
        "THREELANE_CALLBACKS_PORT": "0",
        "THREELANE_METRICS_PORT": "0",
        "THREELANE_PARTS_PER_SECOND": "5000",
    }


@pytest.fixture
def producer(client: redis.Redis, redis_server: RedisServer) -> Iterator[Producer]:
    """A producer of the API under test, on an empty Redis."""
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=API.name)) as made:
        yield made


@pytest.fixture
def workers(
    client: redis.Redis, sandbox: Running, base_environment: dict[str, str], tmp_path: Path
) -> Iterator[Workers]:
    """Workers on an empty Redis and an empty sandbox."""
    assert client.ping()
    assert sandbox.url == base_environment["THREELANE_GATEWAY_URL"]
    made = Workers(tmp_path, base_environment)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def endpoint(base_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a callback endpoint, secret included."""
    child = threelane_child("callbacks", tmp_path_factory.mktemp("endpoint"), base_environment)
    yield child.event("callbacks")["url"].replace("<secret>", SECRET)
    child.stop()


@pytest.fixture(scope="module")
def running_api(redis_server: RedisServer) -> Iterator[Api]:
    """The HTTP API on the Redis of the test process."""
    made = Api(redis_server.url, gateway=API.name).start()
    yield made
    made.stop()


@pytest.fixture
def api(running_api: Api, client: redis.Redis) -> Api:
    """The HTTP API on an empty Redis."""
    assert client.ping()
    return running_api


@pytest.fixture
def reporting(sandbox: Running, endpoint: str) -> Running:
    """A sandbox that reports to the callback endpoint."""
    sandbox.control("POST", "settings", {"callback_url": endpoint, "callback_retry_scale": 0.002})
    return sandbox


@pytest.fixture
def until(producer: Producer) -> Callable[..., MessageStatus]:
    """Returns a function that waits until a message is in one of some states."""

    def wait(message_id: str, *wanted: Status, seconds: float = 20) -> MessageStatus:
        def look() -> MessageStatus | None:
            found = producer.status(message_id)
            return found if found and found.status in wanted else None

        try:
            return wait_until(look, seconds)
        except AssertionError:
            raise AssertionError(f"not {wanted} but {producer.status(message_id)}") from None

    return wait


def taken(sandbox: Running) -> dict[str, list[dict[str, Any]]]:
    """Return what the sandbox took, by client id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in sandbox.control("GET", "ledger")["messages"]:
        found.setdefault(entry["client_id"], []).append(entry)
    return found


def attempts(sandbox: Running, message_id: str) -> list[dict[str, Any]]:
    """Return the attempts that the sandbox saw of one message."""
    return list(sandbox.control("GET", f"attempts?client_id={message_id}")["attempts"])


def now() -> float:
    return time.time()
