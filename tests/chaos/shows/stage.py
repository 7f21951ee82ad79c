"""Stage: the stack of one show, and what a show reads from the sandbox and the records."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.request import Request, urlopen

import redis

from tests.servers import allow_repeats, free_port
from threelane import Accepted, Producer, ProducerSettings
from threelane.demo.stack import Stack
from threelane.store import keys
from threelane.store.states import Status
from threelane.store.status import MessageStatus

CODE_TEXT, NEWS_TEXT = "Your code is 4711", "News"
FULL_MESSAGES, FULL_SECONDS = 20_000, 150.0  # the defaults of make chaos: a show in its full size


class Scale(NamedTuple):
    """The size of a show: ``messages`` and ``seconds`` are shares of the full size."""

    messages: float
    seconds: float
    seed: int
    gateway: str


class DistantStack(Stack):
    """A stack whose processes reach Redis through a proxy that delays each packet, as a busy machine does."""

    def __init__(
        self, folder: Path, sandbox_options: Mapping[str, str], environment: Mapping[str, str], delay_seconds: float
    ) -> None:
        super().__init__(folder, sandbox_options, environment)
        self._delay_seconds = delay_seconds
        self._proxy: subprocess.Popen[bytes] | None = None

    def _start_redis(self) -> None:
        super()._start_redis()
        port, redis_port = free_port(), int(self.redis_url.rpartition(":")[2].partition("/")[0])
        command = [sys.executable, "-m", "tests.chaos.proxy", json.dumps({"redis": (port, redis_port)}), "1"]
        self._proxy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._proxy.stdin
        assert self._proxy.stdout
        assert b"listening" in self._proxy.stdout.readline()
        order = {"route": "redis", "do": "slow", "seconds": self._delay_seconds}
        self._proxy.stdin.write(json.dumps(order).encode() + b"\n")
        self._proxy.stdin.flush()
        self.environment["THREELANE_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"

    def stop(self) -> None:
        """Stop all processes, the proxy last."""
        super().stop()
        if self._proxy:
            self._proxy.kill()
            self._proxy.wait()


class Stage:
    """Redis, the sandbox, workers and a producer; leaving its ``with`` block stops all of them."""

    def __init__(
        self,
        scale: Scale,
        environment: Mapping[str, str],
        *,
        callbacks: bool = True,
        workers: int = 2,
        redis_delay_seconds: float = 0.0,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="threelane-show-", ignore_cleanup_errors=True)
        names = {"THREELANE_GATEWAY": scale.gateway, "THREELANE_DOUBT_DELAYS_SECONDS": "5,30,120,300,900"}
        options = {"seed": str(scale.seed), "credit": "100000000"}
        folder, environment = Path(self._folder.name) / "stack", {**names, **environment}
        if redis_delay_seconds:
            self.stack: Stack = DistantStack(folder, options, environment, redis_delay_seconds)
        else:
            self.stack = Stack(folder, options, environment)
        self._callbacks = callbacks
        self._workers = workers

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _start(self) -> None:
        self.stack.__enter__()
        for number in range(1, self._workers):
            self.stack.environment["THREELANE_WORKER_NAME"] = f"worker-{number}"
            self.stack.start_worker(f"worker-{number}")
        self.settings(latency_ms=20, latency_jitter_ms=20)
        if not self._callbacks:
            self.settings(callback_url="")
        self.client = redis.Redis.from_url(self.stack.redis_url)
        allow_repeats(self.client)
        prices, gateway = (self.stack.environment[f"THREELANE_{name}"] for name in ("PRICES", "GATEWAY"))
        self.producer = Producer(ProducerSettings(redis_url=self.stack.redis_url, prices=prices, gateway=gateway))

    def _stop(self) -> None:
        self.stack.stop()
        self._folder.cleanup()

    # --- sending

    def send(self, messages: Iterable[Mapping[str, Any]]) -> list[str]:
        """Send messages, and return their ids."""
        return [one.id for one in all_accepted(self.producer, messages)]

    def statuses(self, ids: Iterable[str]) -> dict[str, MessageStatus]:
        """Return the records of messages by id."""
        return {one.id: one for one in self.producer.statuses(list(ids)) if one}

    def count(self, ids: Iterable[str]) -> Counter[str]:
        """Return how many messages are in each state."""
        return Counter(str(one.status) for one in self.statuses(ids).values())

    def moved_to(self, status: Status) -> int:
        """Return how often a message came to a state."""
        tally = self.client.hgetall(keys.TALLY)
        return sum(int(tally.get(f"to:{lane}:{status}".encode(), 0)) for lane in keys.LANES)

    # --- the sandbox

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Return the response of the sandbox's control API."""
        data = None if body is None else json.dumps(body).encode()
        url, headers = f"{self.stack.sandbox_url}/sandbox/{path}", {"Content-Type": "application/json"}
        with urlopen(Request(url, data, headers, method=method), timeout=120) as response:
            return json.loads(response.read())

    def arm(self, *faults: Mapping[str, Any]) -> None:
        self.control("POST", "faults", faults)

    def disarm(self) -> None:
        self.control("DELETE", "faults")

    def settings(self, **changes: object) -> None:
        self.control("POST", "settings", changes)

    def received(self) -> int:
        """Return how many messages the sandbox accepted, copies included."""
        return int(self.control("GET", "ledger?summary=1")["summary"]["messages"])

    def ledger(self) -> list[dict[str, Any]]:
        """Return the messages that the sandbox accepted, in their order."""
        return list(self.control("GET", "ledger")["messages"])

    def attempts(self) -> list[dict[str, Any]]:
        return list(self.control("GET", "attempts")["attempts"])

    def requests(self, command: str, since: float = 0.0) -> list[dict[str, Any]]:
        return list(self.control("GET", f"requests?command={command}&since={since}")["requests"])

    def arrivals(self) -> dict[str, float]:
        """Return when the first copy of each message arrived."""
        found: dict[str, float] = {}
        for one in self.ledger():
            found.setdefault(one["client_id"], one["taken_at"])
        return found


def all_accepted(producer: Producer, messages: Iterable[Mapping[str, Any]]) -> list[Accepted]:
    """Send messages, of which none may be refused."""
    results = producer.send_many(messages)
    refused = [one for one in results if not isinstance(one, Accepted)]
    assert not refused, refused[:3]
    return [one for one in results if isinstance(one, Accepted)]


def wait(predicate: Callable[[], Any], seconds: float, every: float = 0.25) -> bool:
    """Return whether the predicate became true within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))
