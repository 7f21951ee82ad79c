"""The environment of a chaos run: real processes, with a proxy between each pair."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import redis

from tests.servers import RedisServer, allow_repeats, free_port
from threelane.contract.features import able
from threelane.demo.child import Child, _end_with_parent
from threelane.sandbox.running import Running
from threelane.store import keys

SECRET = "c0ffee00c0ffee00c0ffee00c0ffee00"
LOOK_UP = "look up by our id"
ROUTES = ("workers-redis", "producers-redis", "endpoint-redis", "workers-gateway", "gateway-endpoint")
TIMING = {
    "THREELANE_GATEWAY_TIMEOUT_SECONDS": "2",
    "THREELANE_LEASE_SECONDS": "6",
    "THREELANE_DOUBT_DELAYS_SECONDS": "1,2,4",
    "THREELANE_LOOK_UPS_PER_SECOND": "200",
    "THREELANE_SWEEP_SECONDS": "2",
    "THREELANE_LOST_NUDGE_SECONDS": "3",
    "THREELANE_RECEIPT_DELAYS_SECONDS": "10,20,40",
    "THREELANE_REDIS_TIMEOUT_SECONDS": "2",
    "THREELANE_PARTS_PER_SECOND": "5000",
}


def _detail(fault: dict[str, Any]) -> str:
    return str(fault["code"] or (fault["http"] if fault["do"] == "page" else ""))


class World:
    """Starts every process, injects faults, and counts them."""

    def __init__(self, folder: Path, seed: int, workers: int, producers: int, gateway: str = "http") -> None:
        self.folder = folder
        self.seed = seed
        self.gateway = gateway
        self.rng = Random(seed)
        self.workers_wanted = workers
        self.producers_wanted = producers
        self.workers: dict[int, Child] = {}
        self.worker_number = 0
        self.producing: dict[int, subprocess.Popen[bytes]] = {}
        self.harm: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, messages: int, seconds: float) -> None:
        (self.folder / "redis").mkdir()
        self.redis = RedisServer(self.folder / "redis").start()
        allow_repeats(self.client())
        self.sandbox = Running.start(
            "--seed", str(self.seed), "--credit", "100000000", "--callback-retry-scale", "0.004"
        )
        endpoint_port = free_port()
        ports = {name: free_port() for name in ROUTES}
        gateway_port = int(self.sandbox.url.rsplit(":", 1)[1])
        behind = {"workers-gateway": gateway_port, "gateway-endpoint": endpoint_port}
        routes = {name: (port, behind.get(name, self.redis.port)) for name, port in ports.items()}
        self.proxy = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy", json.dumps(routes), str(self.seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=_end_with_parent,
        )
        assert self.proxy.stdout
        assert b"listening" in self.proxy.stdout.readline()
        self.environment = {
            **TIMING,
            "THREELANE_CLICKATELL_API_ID": "sandbox",
            "THREELANE_CLICKATELL_USER": "sandbox",
            "THREELANE_CLICKATELL_PASSWORD": "sandbox",
            "THREELANE_CLICKATELL_TOKEN": "sandbox",
            "THREELANE_CLICKATELL_API_KEY": "sandbox",
            "THREELANE_GATEWAY": self.gateway,
            "THREELANE_PRICES": "*=0.8",  # the sandbox's; the Portal's APIs report no charges
            "THREELANE_GATEWAY_URL": f"http://127.0.0.1:{ports['workers-gateway']}",
            "THREELANE_CALLBACK_SECRET": SECRET,
            "THREELANE_CALLBACKS_PORT": str(endpoint_port),
            "THREELANE_METRICS_PORT": "0",
        }
        self.redis_urls = {name: f"redis://127.0.0.1:{ports[name]}/0" for name in ROUTES if name.endswith("redis")}
        self.endpoint = self._threelane("callbacks", ["callbacks"], "endpoint-redis")
        self.endpoint.event("callbacks")
        endpoint_url = f"http://127.0.0.1:{ports['gateway-endpoint']}/{SECRET}/status"
        pace = {"latency_ms": 80, "latency_jitter_ms": 80}  # so that many calls are in flight when a worker dies
        self.sandbox.control("POST", "settings", {"callback_url": endpoint_url, "callback_timeout_seconds": 3, **pace})
        for _ in range(self.workers_wanted):
            self.start_worker()
        self._share = messages // max(1, self.producers_wanted)
        self._seconds = seconds
        for number in range(self.producers_wanted):
            self.start_producer(number)

    # faults ------------------------------------------------------------------------------------------------------

    def start_worker(self, skew: int = 0) -> None:
        number = self.worker_number
        self.worker_number += 1
        module = ["tests.chaos.skewed", str(skew)] if skew else ["threelane"]
        self.workers[number] = self._threelane(f"worker-{number}", [*module, "worker"], "workers-redis", bare=True)

    def end_worker(self, number: signal.Signals) -> None:
        """Send a signal to one worker, and start another; one in three gets a clock off by a minute."""
        victim = self.rng.choice(sorted(self.workers))
        child = self.workers.pop(victim)
        if child.process.poll() is None:
            child.process.send_signal(number)
            self.count(f"worker {number.name}")
        else:
            self.count("worker that had ended unexpectedly")
        threading.Thread(target=child.stop, daemon=True).start()
        skew = self.rng.choice((0, 0, 0, 0, 60, -60))
        if skew:
            self.count("worker with its clock off by a minute")
        self.start_worker(skew)

    def kill_producer(self) -> None:
        number = self.rng.randrange(self.producers_wanted)
        child = self.producing[number]
        if child.poll() is None:
            child.kill()
            child.wait()
            self.count("producer SIGKILL")
            self.start_producer(number)

    def start_producer(self, number: int) -> None:
        arguments = [str(number), str(self._share), str(self._seconds), str(self.seed), str(self.reported_file(number))]
        arguments += [] if able(LOOK_UP, self.gateway) else ["2"]  # minutes of validity
        self.producing[number] = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.producing", *arguments],
            env={**os.environ, **self.environment, "THREELANE_REDIS_URL": self.redis_urls["producers-redis"]},
            stderr=(self.folder / f"producer-{number}.log").open("ab"),
            preexec_fn=_end_with_parent,
        )

    def restart_redis(self, down_seconds: float) -> None:
        self.count("Redis SIGKILL and restart")
        self.redis.kill()
        time.sleep(down_seconds)
        self.redis.start()

    def lose_nudges(self, share: float, seconds: float) -> None:
        """Take nudges from the broker for a while, as a broken worker does, and lose a share of them."""
        threading.Thread(target=self._steal_nudges, args=(share, time.monotonic() + seconds), daemon=True).start()

    def _steal_nudges(self, share: float, ends: float) -> None:
        client, rng = self.client(), Random(f"{self.seed}-{share}")
        queues = [keys.queue(lane) for lane in keys.LANES]
        with contextlib.suppress(redis.RedisError):
            while time.monotonic() < ends:
                for queue, nudge in filter(None, [client.brpop(queues, timeout=0.1)]):
                    if rng.random() < share:
                        self.count("nudge lost")
                    else:
                        client.rpush(queue, nudge)

    def arm(self, faults: list[dict[str, object]]) -> None:
        """Replace the gateway's faults by these, and count the hits of the previous ones."""
        for fault in self.sandbox.control("GET", "faults")["faults"]:
            if fault["hits"]:
                self.count(f"gateway {fault['do']} {_detail(fault)}".strip(), fault["hits"])
        self.sandbox.control("DELETE", "faults")
        if faults:
            self.sandbox.control("POST", "faults", faults)

    def order(self, route: str, do: str, **more: Any) -> None:
        assert self.proxy.stdin
        self.proxy.stdin.write(json.dumps({"route": route, "do": do, **more}).encode() + b"\n")
        self.proxy.stdin.flush()

    def count(self, harm: str, times: int = 1) -> None:
        with self._lock:
            self.harm[harm] = self.harm.get(harm, 0) + times

    # after the faults --------------------------------------------------------------------------------------------

    def heal(self) -> None:
        for route in ROUTES:
            self.order(route, "heal")
        self.arm([])
        self.sandbox.control("POST", "settings", {"lookup_lag_seconds": 0})
        assert self.proxy.stdin
        assert self.proxy.stdout
        self.proxy.stdin.write(b'{"do": "report"}\n')
        self.proxy.stdin.flush()
        for route, done in json.loads(self.proxy.stdout.readline()).items():
            for kind, times in done.items():
                self.count(f"{route} {kind}", times)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.redis.port)

    def ledger(self) -> dict[str, Any]:
        """Return the sandbox's ledger; the timeout allows for 200,000 messages."""
        with urlopen(f"{self.sandbox.url}/sandbox/ledger", timeout=300) as response:
            found: dict[str, Any] = json.loads(response.read())
        return found

    def reported_file(self, number: int) -> Path:
        return self.folder / f"reported-{number}.txt"

    def reported(self) -> set[str]:
        """Return the ids reported as accepted to producers."""
        files = (self.reported_file(number) for number in range(self.producers_wanted))
        return {one for file in files if file.exists() for one in file.read_text(encoding="ascii").split()}

    def stop(self) -> None:
        for child in [*self.workers.values(), self.endpoint]:
            child.stop()
        for process in [*self.producing.values(), self.proxy]:
            process.kill()
            process.wait()
        self.sandbox.stop()
        self.redis.stop()

    def _threelane(self, name: str, arguments: list[str], route: str, *, bare: bool = False) -> Child:
        command = [sys.executable, "-m", *(arguments if bare else ["threelane", *arguments])]
        environment = {
            **self.environment,
            "THREELANE_REDIS_URL": self.redis_urls[route],
            "THREELANE_WORKER_NAME": name,
        }
        return Child(name, command, self.folder / f"{name}.log", environment)
