"""Intake ends a little below the memory ceiling of Redis, so that accepted messages can still be sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings, Unavailable
from threelane.store import ceiling, keys
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.send.blame import Blame
from threelane.worker.send.settle import Settlement
from threelane.worker.send.settler import Settler

MEGABYTE = 1 << 20


def fill(client: redis.Redis) -> None:
    client.setrange("tl:filler", 20 * MEGABYTE, "x")
    wait_until(
        lambda: client.info("memory")["lazyfree_pending_objects"] == 0,  # type: ignore[index]
        what="what an earlier test left to be freed",
    )


@pytest.fixture
def full(client: redis.Redis) -> Iterator[redis.Redis]:
    """A Redis that uses a little more than nine tenths of what it may use."""
    fill(client)
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.93))  # type: ignore[index]
    yield client
    client.config_set("maxmemory", 0)


def test_nothing_is_taken_in_above_the_share(full: redis.Redis, producer: Producer) -> None:
    """It is certainly not sent, and the caller's error confirms it."""
    with pytest.raises(Unavailable, match="memory ceiling") as refused:
        producer.send("27831234567", "Hello")

    assert [] == refused.value.unsure


def test_intake_goes_on_when_there_is_room_again(full: redis.Redis, producer: Producer) -> None:
    """Within a moment: a full Redis is queried each time."""
    with pytest.raises(Unavailable):
        producer.send("27831234567", "Hello")
    full.delete("tl:filler")

    assert producer.send("27831234567", "Hello").accepted


def test_redis_is_queried_a_few_times_a_second_at_most(client: redis.Redis) -> None:
    """An INFO for each message would cost more than the message."""
    client.config_resetstat()
    times = [at / 1000 for at in range(0, 1000, 10)]
    assert {False} == {ceiling.is_near(client, 0.9, 99, lambda at=at: at) for at in times}  # type: ignore[misc]

    assert 10 >= client.info("commandstats")["cmdstat_info"]["calls"] >= 9  # type: ignore[index]


def test_messages_added_since_count(client: redis.Redis) -> None:
    """A bulk that fills Redis within a tenth of a second is stopped, too."""
    used: int = client.info("memory")["used_memory"]  # type: ignore[index]
    client.config_set("maxmemory", used * 2)
    try:
        assert not ceiling.is_near(client, 0.9, used // ceiling.MESSAGE_BYTES, lambda: 0.0)
        client.config_set("maxmemory", used)  # seen, since the next one looks
        assert ceiling.is_near(client, 0.9, 1, lambda: 0.0)
    finally:
        client.config_set("maxmemory", 0)


@pytest.fixture
def careful(redis_server: RedisServer, client: redis.Redis) -> Iterator[redis.Redis]:
    """The connection of a user that may not run INFO, nor any other dangerous command."""
    client.acl_setuser(
        "sender", True, passwords=["+pw"], keys=["*"], channels=["*"], categories=["+@all", "-@dangerous", "-@admin"]
    )
    with redis.Redis.from_url(f"redis://sender:pw@127.0.0.1:{redis_server.port}/0") as made:
        yield made
    client.config_set("maxmemory", 0)
    client.acl_deluser("sender")


@pytest.fixture
def careful_producer(redis_server: RedisServer, careful: redis.Redis) -> Iterator[Producer]:
    assert careful.ping()
    with Producer(ProducerSettings(redis_url=f"redis://sender:pw@127.0.0.1:{redis_server.port}/0")) as made:
        yield made


@pytest.fixture
def published(redis_server: RedisServer, client: redis.Redis) -> Iterator[Callable[[], bool]]:
    """Publishes the ceiling as a worker does, and again once it is lifted: a process remembers it for a minute."""

    def publish() -> bool:
        return asyncio.run(_publish(redis_server.url))

    yield publish
    client.config_set("maxmemory", 0)
    publish()


async def _publish(url: str) -> bool:
    client = redis.asyncio.Redis.from_url(url)
    try:
        return await ceiling.publish(client)
    finally:
        await client.aclose()


def test_a_user_without_the_right_to_info_is_refused_at_the_share_that_a_worker_publishes(
    client: redis.Redis, published: Callable[[], bool], careful_producer: Producer
) -> None:
    """Its own rights are enough for the memory use; the ceiling comes from a process with more rights."""
    fill(client)
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.93))  # type: ignore[index]
    assert published()

    with pytest.raises(Unavailable, match="memory ceiling") as refused:
        careful_producer.send("27831234567", "Hello")
    assert [] == refused.value.unsure
    client.delete("tl:filler")
    assert careful_producer.send("27831234567", "Hello").accepted


def test_what_is_sent_keeps_its_text_unless_redis_is_nearly_full(
    client: redis.Redis, published: Callable[[], bool], redis_server: RedisServer
) -> None:
    """A text is kept until the end of its message, which may come back; room for new messages comes before that."""
    with open_system(redis_server) as system:
        drafts = [system.draft(text="Hello") for _ in range(2)]
        system.accept(drafts)
        first, second = (one.message.id for one in drafts)
        fill(client)
        send(system, first)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.85))  # type: ignore[index]
        assert published()
        send(system, second)
    kept = [client.hmget(keys.record(one), "status", "body") for one in (first, second)]
    assert [(b"sent", True), (b"sent", False)] == [(status, body is not None) for status, body in kept]


def send(system: System, message_id: str) -> None:
    """Claim and settle as a worker does."""
    (claimed,) = system.claim(3, [message_id], f"token of {message_id}").claimed
    taken = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
    clock: Any = SimpleNamespace(now=lambda: system.now)
    settler = Settler(system.client, system.settings, clock, Blame(), assumes=False)
    assert [] == system.run(settler.settle([Settlement(claimed, taken, system.judge(claimed, taken))]))


def test_without_a_published_ceiling_redis_refuses_and_intake_then_leaves_room_for_sending(
    client: redis.Redis, careful: redis.Redis
) -> None:
    """What Redis used at its refusal counts as its ceiling for a minute: it may have been raised since."""
    times = [0.0]
    clock = lambda: times[0]  # noqa: E731
    fill(client)
    assert not ceiling.is_near(careful, 0.9, 1, clock)
    ceiling.reached(careful, clock)
    assert ceiling.is_near(careful, 0.9, 1, clock)
    client.delete("tl:filler")
    assert not ceiling.is_near(careful, 0.9, 1, clock), "there is room again"
    fill(client)
    times[0] = 30.0
    assert ceiling.is_near(careful, 0.9, 1, clock)
    times[0] = 61.0
    assert not ceiling.is_near(careful, 0.9, 1, clock)


def test_a_user_without_the_right_to_info_is_refused_by_redis_itself_with_the_same_words(
    client: redis.Redis, careful_producer: Producer
) -> None:
    """Nothing that cannot be stored is accepted: the script does not begin above the ceiling."""
    assert careful_producer.send("27831234567", "Hello").accepted
    before = client.zcard(keys.QUEUED[3])
    client.config_set("maxmemory", 1)
    for _ in range(2):
        with pytest.raises(Unavailable, match="memory ceiling"):
            careful_producer.send("27831234567", "Hello")
    assert before == client.zcard(keys.QUEUED[3])


def test_a_user_that_may_read_no_memory_at_all_may_send(client: redis.Redis, careful_producer: Producer) -> None:
    """It does without both commands, and asks for INFO once a minute only."""
    client.acl_setuser("sender", True, reset_keys=False, commands=["-memory"])
    client.config_resetstat()
    for _ in range(5):
        assert careful_producer.send("27831234567", "Hello").accepted
    denied: Any = client.info("commandstats")
    assert 1 == denied["cmdstat_info"]["rejected_calls"]
