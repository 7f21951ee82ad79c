"""Mixed versions: a worker leaves what it does not know to newer ones, and goes on with what it knows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import redis
import redis.asyncio

from tests.integration.conftest import Workers, taken
from tests.servers import RedisServer, wait_until
from threelane import Producer, Refused, Status
from threelane.contract import message
from threelane.contract.message import Draft
from threelane.demo.child import Child
from threelane.producer.accept import accept
from threelane.runtime.settings import load
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.claim import Claims, claim

Until = Callable[..., MessageStatus]
NOW = 1_800_000_000_000
NEWER = message.SCHEMA + 1
TOMORROW = (
    "import sys; from threelane.contract import message; message.SCHEMA += 1; sys.argv = ['threelane', 'worker']; "
    "from threelane.interfaces.command.line import main; main()"
)

NEWER = message.SCHEMA + 1


def _accept(client: redis.Redis, schema: int, now: int) -> str:
    draft = message.parse({"to": "27999500001", "text": "Hello"}, now)
    assert isinstance(draft, Draft)
    draft = msgspec.structs.replace(draft, message=msgspec.structs.replace(draft.message, schema=schema))
    (answer,) = accept(client, [draft], now)
    assert answer.accepted
    return answer.id


def _claim(server: RedisServer, ids: list[str], now: int) -> Claims:
    async def claim_now() -> Claims:
        async with redis.asyncio.Redis(port=server.port) as client:
            return await claim(client, 3, ids, load(WorkerSettings), now)

    return asyncio.run(claim_now())


def test_a_message_of_this_version_has_no_schema_field(client: redis.Redis) -> None:
    """Absent means 1: what waits now costs nothing more, and an older worker reads it as before."""
    assert [None, None] == client.hmget(keys.record(_accept(client, 1, NOW)), ["schema", "due"])
    newer = client.hgetall(keys.record(_accept(client, NEWER, NOW)))
    assert str(NEWER).encode() == newer[b"schema"]
    assert b"schema" not in newer[b"body"]


@pytest.mark.parametrize(("waited", "wait"), [(0, 1_000), (3_000, 1_000), (40_000, 10_000), (3_600_000, 60_000)])
def test_the_longer_it_waits_for_a_newer_worker_the_later_it_comes_back(
    client: redis.Redis, redis_server: RedisServer, waited: int, wait: int
) -> None:
    """A second at first, since a newer worker may be there already; a minute at most."""
    newer, known = _accept(client, NEWER, NOW), _accept(client, 1, NOW)
    now = NOW + waited
    claims = _claim(redis_server, [newer, known], now)
    assert [known] == [one.id for one in claims.claimed]
    assert now + wait == client.zscore(keys.DUE[3], newer)
    assert [b"scheduled", None, None] == client.hmget(keys.record(newer), ["status", "attempt", "token"])
    assert b"1" == client.hget(keys.TALLY, "newer:3")


def test_it_keeps_its_validity_for_the_worker_that_knows_it(client: redis.Redis, redis_server: RedisServer) -> None:
    """An older worker does not know what a newer schema means for its end."""
    newer = _accept(client, NEWER, NOW)
    after_its_end = NOW + 48 * 3600 * 1000
    assert not _claim(redis_server, [newer], after_its_end).claimed
    assert b"scheduled" == client.hget(keys.record(newer), "status")


def test_an_older_process_does_not_move_it(client: redis.Redis, producer: Producer) -> None:
    """Rewritten it would lose the fields that only newer ones read."""
    later = producer.send("27999500001", "Later", delay=3600)
    client.hset(keys.record(later.id), "schema", NEWER)
    with pytest.raises(Refused, match=f"has schema {NEWER}"):
        producer.move(later.id, datetime.now(UTC) + timedelta(hours=2))


@pytest.mark.slow
def test_an_older_worker_puts_it_back_and_a_newer_one_sends_it_once(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis, tmp_path: Path
) -> None:
    """In one nudge with others: these are sent at once, by the worker that had it."""
    answers = producer.send_many([{"to": f"2799950000{n}", "text": "Hello"} for n in range(5)])
    newer, *known = [answer.id for answer in answers]
    client.hset(keys.record(newer), "schema", NEWER)
    older = workers.start()
    for one in known:
        until(one, Status.SENT, Status.DELIVERED)
    (left, *_) = wait_until(lambda: workers.events("left_to_newer"))
    assert (newer, 3, NEWER, message.SCHEMA) == (left["id"], left["lane"], left["schema"], left["knows"])
    assert newer not in taken(sandbox)

    command = [sys.executable, "-c", TOMORROW]
    tomorrow = Child("tomorrow", command, tmp_path / "tomorrow.log", workers.environment)
    try:
        until(newer, Status.SENT, Status.DELIVERED, seconds=60)  # a busy machine starts the process late
    finally:
        tomorrow.stop()
    assert older.process.poll() is None
    assert 1 == len(taken(sandbox)[newer])
