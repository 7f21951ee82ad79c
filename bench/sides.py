"""Sides: the processes of Threelane and of each peer, and one run of messages through them."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from bench.processes import Process, cpu_of, module
from producer import keys
from tests.servers import RedisServer, free_port

OPTIONS = ("--hash-max-listpack-value", "1024", "--hash-max-listpack-entries", "64", "--appendfsync", "everysec")
"""As in deploy/redis.conf."""

SECRET = "0123456789abcdef0123"
MOST_SECONDS = 600.0
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of messages came to; seconds from the first accept, CPU seconds by process."""

    messages: int
    accepted_seconds: float
    settled_seconds: float
    cpu: Mapping[str, float]
    receipts_seconds: float = 0.0
    receipts_cpu: Mapping[str, float] | None = None

    @property
    def rate(self) -> float:
        """Messages a second from the first accept to the last settled."""
        return self.messages / self.settled_seconds

    @property
    def intake(self) -> float:
        """Messages accepted a second."""
        return self.messages / self.accepted_seconds

    def cpu_without(self, *others: str) -> float:
        """CPU seconds of all processes but some, until the last was settled."""
        return sum(seconds for name, seconds in self.cpu.items() if name not in others)


class Gateway:
    """The gateway's double as a process, the same for all sides."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.process = Process("gateway", module("bench.gateway"), folder / "gateway.log", {})
        self.url = self.process.line()["url"]

    def set(self, **settings: Any) -> None:
        """Set it, and begin its counts anew."""
        self.ask("/bench", settings)

    def counts(self) -> dict[str, int]:
        """Return what it has taken and which receipts were acknowledged."""
        counts: dict[str, int] = self.ask("/bench")
        return counts

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask one of its own addresses."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=60) as reply:
            return json.loads(reply.read())


class Side(ABC):
    """One side: a Redis of its own, workers, a door for receipts, and a caller."""

    name: str
    caller_module: str

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        """Keep everything in a new folder below this one."""
        self.folder = folder / f"{self.name}-{secrets.token_hex(4)}"
        self.folder.mkdir(parents=True)
        self.gateway = gateway
        self.port = free_port()  # of the door for receipts
        self.server = RedisServer(self.folder, *OPTIONS)
        self.processes: dict[str, Process] = {}
        self.callbacks: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start its processes."""
        self.server.start()
        self.redis = redis.Redis.from_url(self.server.url)
        try:
            self._start()
            caller = self._add("producer", module("bench.caller", self.caller_module))
            caller.line()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them, Redis last."""
        for process in reversed(self.processes.values()):
            process.stop()
        self.server.stop()

    @abstractmethod
    def _start(self) -> None:
        """Start the workers and the door for receipts."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the settings of all its processes."""

    @abstractmethod
    def settled(self) -> int:
        """Return how many messages were settled since the start."""

    def _add(self, name: str, command: Sequence[str]) -> Process:
        process = Process(name, command, self.folder / f"{name}.log", self.environment())
        self.processes[name] = process
        return process

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each process so far, those of Redis and the gateway too."""
        assert self.server.process
        used = {name: process.cpu() for name, process in self.processes.items()}
        return used | {"redis": cpu_of(self.server.process.pid), "gateway": self.gateway.process.cpu()}

    def run(
        self,
        what: str,
        messages: int,
        *words: Any,
        latency_ms: float = 50,
        receipts_after: Sequence[float] = (),
        follow: bool = False,
    ) -> Run:
        """Send messages by one way in, until all are settled, and with ``follow`` until all receipts are written."""
        self.gateway.set(latency_ms=latency_ms, receipts_after=receipts_after, **self.callbacks)
        caller, already = self.processes["producer"], self.settled()
        before, started = self.cpu(), time.perf_counter()
        caller.tell([what, messages, *words])
        accepted: dict[str, Any] = {}
        while not (accepted and self.settled() - already >= messages):
            if not accepted and caller.has_said():
                accepted = caller.line()
            time.sleep(POLL_SECONDS)
            if time.perf_counter() - started > MOST_SECONDS:
                raise RuntimeError(f"{self.name}: {self.settled() - already} of {messages} settled; {self.folder}")
        settled, cpu = time.perf_counter() - started, self._since(before)
        wanted, receipts, receipts_cpu = len(receipts_after) * messages, 0.0, None
        if follow and wanted:
            while self.gateway.counts()["acknowledged"] < wanted:
                time.sleep(0.1)
                if time.perf_counter() - started > MOST_SECONDS:
                    raise RuntimeError(f"{self.name}: {self.gateway.counts()} of {wanted} receipts; {self.folder}")
            receipts, receipts_cpu = time.perf_counter() - started, self._since(before)
        self.gateway.set()
        return Run(messages, accepted["seconds"], settled, cpu, receipts, receipts_cpu)

    def _since(self, before: Mapping[str, float]) -> dict[str, float]:
        return {name: seconds - before.get(name, 0.0) for name, seconds in self.cpu().items()}


class Threelane(Side):
    """Ours: the real worker and the real door for callbacks."""

    name = "threelane"
    caller_module = "bench.peers.threelane"

    def __init__(self, folder: Path, gateway: Gateway, *, api: str = "http", workers: int = 1, **more: str) -> None:
        """Send by an API, with some worker processes; ``more`` are settings, by their names without THREELANE_."""
        super().__init__(folder, gateway)
        self.api, self.workers, self.more = api, workers, more

    def environment(self) -> dict[str, str]:
        """Return the settings; what is set here and nowhere else is told in the table's notes."""
        return {
            "THREELANE_REDIS_URL": self.server.url,
            "THREELANE_GATEWAY": self.api,
            "THREELANE_GATEWAY_URL": self.gateway.url,
            "THREELANE_CLICKATELL_API_ID": "bench",
            "THREELANE_CLICKATELL_USER": "bench",
            "THREELANE_CLICKATELL_PASSWORD": "bench",
            "THREELANE_CLICKATELL_API_KEY": "bench",
            "THREELANE_CALLBACK_SECRET": SECRET,
            "THREELANE_CALLBACKS_PORT": str(self.port),
            "THREELANE_METRICS_PORT": "0",
            "THREELANE_PARTS_PER_SECOND": "1000000",
            "THREELANE_GATEWAY_CONNECTIONS": "256",
            "THREELANE_LOG_LEVEL": "WARNING",
        } | {f"THREELANE_{name.upper()}": value for name, value in self.more.items()}

    def _start(self) -> None:
        self._add("callbacks", module("worker", "callbacks"))
        for number in range(self.workers):
            self._add(f"worker{number + 1}", module("worker", "worker"))
        door = f"http://127.0.0.1:{self.port}/{SECRET}"
        self.callbacks = {"callback_url": f"{door}/status", "one_callback_url": f"{door}/one"}

    def settled(self) -> int:
        """Count what left the lanes and the leases, and came to the gateway."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.TALLY, "to:3:queued")
            for shelf in (*keys.QUEUED.values(), keys.LEASES):
                pipe.zcard(shelf)
            queued, *open_ones = pipe.execute()
        return int(queued or 0) - sum(open_ones)


class Peer(Side):
    """One of the others: the broker in database 0, the outcomes in database 1 of the same Redis."""

    command: Sequence[str]

    def __init__(self, folder: Path, gateway: Gateway, *pool: str) -> None:
        """``pool``: the words of its command line that choose pool and concurrency."""
        super().__init__(folder, gateway)
        self.pool = pool
        self.outcomes = redis.Redis.from_url(self._outcomes_url)

    @property
    def _outcomes_url(self) -> str:
        return self.server.url.removesuffix("/0") + "/1"

    def environment(self) -> dict[str, str]:
        """Return the settings."""
        return {
            "BENCH_BROKER_URL": self.server.url,
            "BENCH_OUTCOMES_URL": self._outcomes_url,
            "BENCH_GATEWAY_URL": self.gateway.url,
            "BENCH_RECEIVER_PORT": str(self.port),
            "PROMETHEUS_MULTIPROC_DIR": "",
            "dramatiq_prom_port": "0",
        }

    def _start(self) -> None:
        self.callbacks = {"callback_url": self._add("callbacks", module("bench.peers.receiver")).line()["url"]}
        self._add("worker", [*self.command, *self.pool])

    def settled(self) -> int:
        """Count the keys of outcomes."""
        return int(self.outcomes.dbsize())  # type: ignore[arg-type]


class PlainCelery(Peer):
    """A plain Celery task a message."""

    name, caller_module = "celery", "bench.peers.plain_celery"
    command = module("celery", "-A", "bench.peers.plain_celery", "worker", "--without-gossip", "--without-mingle")


class PlainDramatiq(Peer):
    """A plain dramatiq actor a message."""

    name, caller_module = "dramatiq", "bench.peers.plain_dramatiq"
    command = module("dramatiq", "bench.peers.plain_dramatiq")


class PlainTaskiq(Peer):
    """A plain taskiq task a message."""

    name, caller_module = "taskiq", "bench.peers.plain_taskiq"
    command = module("taskiq", "worker", "bench.peers.plain_taskiq:broker", "--log-level", "WARNING")


class BareLoop(Peer):
    """A bare aiohttp loop, which is its own worker: what it has sent is what it has settled."""

    name, caller_module = "bare loop", "bench.peers.bare_loop"

    def _start(self) -> None:
        """Start nothing: there is no worker and no door."""

    def settled(self) -> int:
        """Count what the gateway has taken."""
        return self.gateway.counts()["taken"]
