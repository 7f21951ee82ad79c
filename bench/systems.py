"""Systems: the processes of Threelane and of each peer, and one run of messages through them."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import redis

from bench.gateway_process import GatewayProcess
from bench.processes import Process, Use, cpu_of, module, stop_all
from bench.run import IntakeRun, Run
from tests.servers import RedisServer, free_port
from threelane.store import keys
from threelane.store.states import Status

OPTIONS = (
    "--hash-max-listpack-value",
    "1024",
    "--hash-max-listpack-entries",
    "64",
    "--appendfsync",
    "everysec",
    "--auto-aof-rewrite-min-size",
    "256mb",
)
"""As in deploy/redis.conf."""

SECRET = "0123456789abcdef0123"
MOST_SECONDS = 400.0
POLL_SECONDS = 0.01


class System(ABC):
    """One system under test: its own Redis, workers, an endpoint for receipts, and a caller."""

    name: ClassVar[str]
    caller: ClassVar[str]

    def __init__(self, folder: Path, gateway: GatewayProcess, *, serves: bool = True) -> None:
        """Keep everything in a new folder below this one; ``serves=False`` is intake only, without workers."""
        self.folder = folder / f"{self.name}-{secrets.token_hex(4)}".replace(" ", "-")
        self.folder.mkdir(parents=True)
        self.gateway = gateway
        self.serves = serves
        self.port = free_port()  # of the endpoint for receipts
        self.receipts_url = ""
        self.server = RedisServer(self.folder, *OPTIONS)
        self.processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        """Start the processes."""
        self.server.start()
        self.redis = redis.Redis.from_url(self.server.url)
        try:
            if self.serves:
                self._serve()
            self._add("producer", self._caller()).line()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes, Redis last."""
        stop_all(list(self.processes.values()))
        self.server.stop()

    @abstractmethod
    def _serve(self) -> None:
        """Start the workers and the endpoint for receipts."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the settings of all its processes."""

    @abstractmethod
    def unsettled(self, expected: int) -> int:
        """Return how many of ``expected`` messages since ``_begin`` are not settled; valid once all are accepted."""

    def _caller(self) -> list[str]:
        """Return the command of the process that enqueues."""
        return module("bench.caller", self.caller)

    def _begin(self) -> None:  # noqa: B027 - most systems need no baseline
        """Record the baseline of a run."""

    def _add(self, name: str, command: Sequence[str]) -> Process:
        """Start a process; the CPU of "worker 1" and "worker 2" is counted as "worker"."""
        process = Process(name, command, self.folder / f"{name}.log", self.environment())
        self.processes[name] = process
        return process

    def cpu(self) -> Use:
        """Return the CPU seconds of each kind of process so far, including Redis and the gateway."""
        assert self.server.process
        used = Use({"redis": cpu_of(self.server.process.pid), "gateway": self.gateway.process.cpu()})
        for name, process in self.processes.items():
            kind = name.partition(" ")[0]
            used[kind] = used.get(kind, 0.0) + process.cpu()
        return used

    def bytes_used(self) -> int:
        """Return the memory used by Redis, in bytes."""
        info: Any = self.redis.info("memory")
        return int(info["used_memory"])

    def accept(self, call: str, messages: int, *arguments: Any) -> IntakeRun:
        """Enqueue messages without waiting for them to settle; ``call`` and its arguments are of the caller module."""
        before = self.cpu()
        response = self.processes["producer"].request([call, messages, *arguments], MOST_SECONDS)
        return IntakeRun(messages, response["seconds"], self.cpu() - before)

    def run(
        self,
        call: str,
        messages: int,
        *arguments: Any,
        latency_ms: float = 50,
        receipts_after: Sequence[float] = (),
        follow: bool = False,
    ) -> Run:
        """Enqueue messages and wait until all are settled; with ``follow`` also until all receipts are written."""
        self.gateway.set(latency_ms=latency_ms, receipts_after=receipts_after, receipts_url=self.receipts_url)
        self._begin()
        caller, accepted = self.processes["producer"], 0.0
        before, started = self.cpu(), time.perf_counter()
        caller.send([call, messages, *arguments])
        while not (accepted and not self.unsettled(messages)):
            if not accepted and caller.has_output():
                accepted = caller.line()["seconds"]
            time.sleep(POLL_SECONDS)
            self._check(started, f"{messages} messages were not all settled: {self.gateway.counts()}")
        settled, cpu = time.perf_counter() - started, self.cpu() - before
        if (received := self.gateway.counts()["accepted"]) != messages:
            raise RuntimeError(f"{self.name}: the gateway accepted {received} of {messages} messages; {self.folder}")
        receipts = 0.0
        if follow and receipts_after and self.receipts_url:
            expected = messages * len(receipts_after)
            while self.gateway.counts()["acknowledged"] < expected:
                time.sleep(5 * POLL_SECONDS)
                self._check(started, f"{expected} receipts were not all written: {self.gateway.counts()}")
            receipts = time.perf_counter() - started
        whole = self.cpu() - before
        self.gateway.set(receipts_url="")
        return Run(messages, accepted, settled, cpu, receipts, whole)

    def _check(self, started: float, problem: str) -> None:
        if time.perf_counter() - started > MOST_SECONDS:
            raise RuntimeError(f"{self.name}: {problem}; logs are in {self.folder}")


class Threelane(System):
    """Threelane: the real worker and the real callback endpoint."""

    name, caller = "threelane", "bench.peers.threelane"

    def __init__(
        self,
        folder: Path,
        gateway: GatewayProcess,
        api: str = "http",
        *,
        workers: int = 1,
        connections: int = 64,
        serves: bool = True,
    ) -> None:
        """Send by an API, with ``workers`` processes and ``connections`` of each to the gateway."""
        super().__init__(folder, gateway, serves=serves)
        self.api, self.workers, self.connections = api, workers, connections

    def environment(self) -> dict[str, str]:
        """Return the settings of a deployment without a rate limit, at the log level of the peers."""
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
            "THREELANE_GATEWAY_CONNECTIONS": str(self.connections),
            "THREELANE_LOG_LEVEL": "WARNING",
        }

    def _serve(self) -> None:
        self._add("callbacks", self._command("callbacks"))
        for number in range(self.workers):
            self.add_worker(number + 1)
        self.receipts_url = f"http://127.0.0.1:{self.port}/{SECRET}/{'one' if self.api == 'one' else 'status'}"

    def add_worker(self, number: int, *arguments: str) -> Process:
        """Start a worker; ``arguments`` are options of its command."""
        return self._add(f"worker {number}", self._command("worker", *arguments))

    def _command(self, *arguments: str) -> list[str]:
        """Return the command that runs ``threelane ARGUMENT ...``."""
        return module("threelane", *arguments)

    def unsettled(self, expected: int) -> int:  # noqa: ARG002
        """Count the messages queued, being sent, or waiting for another attempt."""
        with self.redis.pipeline(transaction=False) as pipe:
            for index in keys.indexes_of(Status.QUEUED, Status.SENDING, Status.SCHEDULED, Status.IN_DOUBT):
                pipe.zcard(index)
            return sum(pipe.execute())


class Peer(System):
    """A peer: the broker in database 0, the outcomes in database 1 of the same Redis."""

    command: ClassVar[Sequence[str]] = ()

    def __init__(self, folder: Path, gateway: GatewayProcess, *pool: str, serves: bool = True) -> None:
        """``pool``: the command-line options for pool and concurrency."""
        super().__init__(folder, gateway, serves=serves)
        self.pool = pool
        self.outcomes = redis.Redis.from_url(self._outcomes_url)
        self._already = 0

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
        }

    def _serve(self) -> None:
        self._add("callbacks", module("bench.peers.receiver"))
        self._add("worker", [*self.command, *self.pool])
        self.receipts_url = f"http://127.0.0.1:{self.port}/status"

    def _begin(self) -> None:
        self._already = self._recorded()

    def unsettled(self, expected: int) -> int:
        """Count the missing outcomes."""
        return expected - (self._recorded() - self._already)

    def _recorded(self) -> int:
        size: Any = self.outcomes.dbsize()
        return int(size)


class PlainCelery(Peer):
    """A plain Celery task per message."""

    name, caller = "celery", "bench.peers.plain_celery"
    command = module("celery", "-A", "bench.peers.plain_celery", "worker", "--without-gossip", "--without-mingle")


class PlainDramatiq(Peer):
    """A plain dramatiq actor per message."""

    name, caller = "dramatiq", "bench.peers.plain_dramatiq"
    command = module("dramatiq", "bench.peers.plain_dramatiq")


class PlainTaskiq(Peer):
    """A plain taskiq task per message."""

    name, caller = "taskiq", "bench.peers.plain_taskiq"
    command = module("taskiq", "worker", "bench.peers.plain_taskiq:broker", "--log-level", "WARNING")


class BareLoop(Peer):
    """A bare aiohttp loop, which is its own worker: a sent message is a settled one."""

    name, caller = "bare loop", "bench.peers.bare_loop"

    def _serve(self) -> None:
        """Start nothing: it has no worker and no endpoint."""

    def _recorded(self) -> int:
        return 0

    def unsettled(self, expected: int) -> int:  # noqa: ARG002
        """Return 0: its caller returns when all are sent."""
        return 0
