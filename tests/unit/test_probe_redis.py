"""The probe of Redis makes a process not ready while Redis gives no answer, whatever the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.runtime.clock import RedisClock
from threelane.worker.process import probe
from threelane.worker.process.readiness import REDIS, Readiness
from threelane.worker.process.refusals import Refusals
from threelane.worker.process.rounds import end, repeat

HANGS = "hangs"
FAILURES: dict[str, RedisError | str] = {
    "Redis at THREELANE_REDIS_URL does not answer in time": RedisTimeoutError("Timeout reading from 127.0.0.1:6379"),
    "Redis at THREELANE_REDIS_URL closes its connections": RedisConnectionError("Connection closed by server."),
    "Redis does not answer at THREELANE_REDIS_URL": RedisConnectionError("Error 111 connecting to 127.0.0.1:6379."),
    "this Redis is a replica and accepts no writes": ReadOnlyError("You can't write against a read only replica."),
}


class Redis:
    """Gives no answer, fails, or works; it never knows the time."""

    connection_pool = SimpleNamespace(connection_kwargs={"socket_timeout": 0.05})
    failure: RedisError | str | None = None

    async def time(self) -> None:
        await asyncio.Event().wait()

    async def delete(self, _: str) -> int:
        if self.failure == HANGS:
            await asyncio.Event().wait()
        if isinstance(self.failure, RedisError):
            raise self.failure
        return 0


@pytest.mark.parametrize(
    ("reason", "failure"),
    [*FAILURES.items(), ("Redis at THREELANE_REDIS_URL does not answer in time", HANGS)],
    ids=[*FAILURES, HANGS],
)
def test_a_process_is_not_ready_until_redis_takes_a_write(
    reason: str, failure: RedisError | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen Redis refuses nothing: without a limit of its own, the probe waits with every other command."""
    readiness, client = Readiness(), Redis()
    refusals = Refusals(REDIS, readiness)
    monkeypatch.setattr(probe, "REDIS", refusals)
    monkeypatch.setattr("threelane.worker.process.refusals.REDIS", refusals)
    monkeypatch.setattr("threelane.worker.process.rounds.AWAY_SECONDS", 0.01)
    context: Any = SimpleNamespace(client=client, clock=RedisClock(), draining=False)

    async def play() -> str:
        client.failure = failure
        probing = asyncio.create_task(repeat(probe.DUTY, context))
        await until(lambda: not readiness.is_ready)
        found = readiness.reasons[REDIS]
        client.failure = None
        await until(lambda: readiness.is_ready)
        await end([probing])
        return found

    assert reason == asyncio.run(play()).partition(":")[0]


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; raises TimeoutError after 30 s."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
