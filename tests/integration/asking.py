"""A worker's part in the requests of operators, on a thread of the test process, with a real Redis and gateway."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from tests.integration.http_api import now
from threelane.runtime.clock import RedisClock
from threelane.store import keys
from threelane.store.connect import connect_async
from threelane.worker.account import requests
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.rounds import end, repeat
from threelane.worker.process.settings import WorkerSettings


@dataclass
class Context:
    """What the duty of a worker sees of its worker."""

    client: Any
    gateway: Gateway
    settings: WorkerSettings
    clock: RedisClock = field(default_factory=RedisClock)
    draining: bool = False
    may_call: bool = True


class Asking:
    """The duty of a worker with the sandbox's credentials, on a thread of this process."""

    context: Context

    def __init__(self, redis_url: str, client: redis.Redis, gateway_url: str, api: str = "http") -> None:
        secrets = dict.fromkeys(("api_id", "user", "password", "token", "api_key"), "sandbox")
        named: dict[str, Any] = {f"clickatell_{name}": value for name, value in secrets.items()}
        self._settings = WorkerSettings(
            redis_url=redis_url, gateway=api, gateway_url=gateway_url, gateway_timeout_seconds=2, **named
        )
        self._ready, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        client.zadd(keys.WORKERS, {"w1": now(client)})
        self._thread.start()
        assert self._ready.wait(30)

    async def _run(self) -> None:
        client = connect_async(self._settings)
        self.context = context = Context(client, gateway(self._settings), self._settings)
        duties = (requests.DUTY, requests.VOUCHER_DUTY)
        tasks = [asyncio.create_task(repeat(one, cast("Any", context))) for one in duties]
        self._ready.set()
        await asyncio.to_thread(self._ended.wait)
        await end(tasks)
        await context.gateway.close()
        await client.aclose()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
