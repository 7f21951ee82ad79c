"""Intake ends a little below the memory ceiling of Redis, so that accepted messages can still be sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.servers import RedisServer
from threelane import Producer, ProducerSettings, Unavailable
from threelane.store import ceiling

MEGABYTE = 1 << 20


@pytest.fixture
def full(client: redis.Redis) -> Iterator[redis.Redis]:
    """A Redis that uses a little more than nine tenths of what it may use."""
    client.setrange("tl:filler", 20 * MEGABYTE, "x")
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


def test_a_user_without_the_right_to_info_may_send(redis_server: RedisServer, client: redis.Redis) -> None:
    """Such a producer is refused at the ceiling itself, by Redis."""
    client.acl_setuser("sender", True, passwords=["+pw"], keys=["*"], categories=["+@all", "-@dangerous", "-@admin"])
    url = f"redis://sender:pw@127.0.0.1:{redis_server.port}/0"
    try:
        with Producer(ProducerSettings(redis_url=url)) as producer:
            assert producer.send("27831234567", "Hello").accepted
            client.config_set("maxmemory", 1)
            with pytest.raises(Unavailable, match="memory ceiling"):
                producer.send("27831234567", "Hello")
    finally:
        client.config_set("maxmemory", 0)
        client.acl_deluser("sender")
