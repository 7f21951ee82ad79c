"""Plain taskiq: an async task per message on a Redis list, aiohttp with one session per process.

Settings come from the environment: BENCH_BROKER_URL, BENCH_OUTCOMES_URL, BENCH_GATEWAY_URL.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterable, Mapping

import aiohttp
import redis.asyncio
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from bench.peers import calling

broker = ListQueueBroker(os.environ["BENCH_BROKER_URL"])
loop = asyncio.new_event_loop()
ready = False
TOGETHER = 32  # concurrent calls of a bulk


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    """Open the connections of a worker process."""
    state.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    state.outcomes = redis.asyncio.Redis.from_url(os.environ["BENCH_OUTCOMES_URL"])


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    """Close the connections of a worker process."""
    await state.session.close()
    await state.outcomes.aclose()


@broker.task(retry_on_error=True, max_retries=5)
async def send_sms(message_id: str, to: str, text: str) -> None:
    """Send one message and record the outcome."""
    state = broker.state
    async with state.session.post(calling.SENDMSG, data=calling.form(message_id, to, text)) as response:
        response.raise_for_status()
        body = await response.text()
    await state.outcomes.hset(f"sms:{message_id}", mapping=calling.outcome(body))


def bulk(messages: Iterable[Mapping[str, str]]) -> None:
    """Enqueue many, one call each: taskiq has no bulk call."""
    singles(messages, TOGETHER)


def singles(messages: Iterable[Mapping[str, str]], callers: int) -> None:
    """Enqueue from ``callers`` concurrent coroutines, as an asyncio application does."""
    loop.run_until_complete(_from_coroutines(messages, callers))


async def _from_coroutines(messages: Iterable[Mapping[str, str]], callers: int) -> None:
    global ready
    if not ready:
        await broker.startup()
        ready = True
    remaining = iter(messages)

    async def caller() -> None:
        for message in remaining:
            await send_sms.kiq(uuid.uuid4().hex, message["to"], message["text"])

    await asyncio.gather(*(caller() for _ in range(callers)))
