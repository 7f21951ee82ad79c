"""A huge element in the queue of a lane: Redis refuses it, so that no worker has to hold it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.servers import RedisServer
from threelane import Producer, ProducerSettings
from threelane.producer.accept import BATCH
from threelane.store import keys

CONF = Path(__file__).parents[2] / "deploy/redis.conf"
MIB = 1024 * 1024
LONG_NAME = "n" * 64  # the longest of a tag, a batch, a producer, a cost centre
LONGEST: dict[str, object] = {
    "text": "\N{PILE OF POO}" * 99,  # three parts
    "lane": 1,
    "cost_centre": LONG_NAME,
    "producer": LONG_NAME,
    "batch": LONG_NAME,
    "tags": [f"{tag}{LONG_NAME[1:]}" for tag in range(10)],
}


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with the limit of the file that is shipped."""
    limit = re.search(r"^proto-max-bulk-len (\S+)$", CONF.read_text(encoding="ascii"), re.MULTILINE)
    server = RedisServer(tmp_path, *(["--proto-max-bulk-len", limit[1]] if limit else [])).start()
    yield server
    server.stop()


def test_redis_refuses_an_element_that_a_worker_s_memory_has_no_room_for(configured: RedisServer) -> None:
    """A worker needs twice its size: 250 MB took one to 604 MB, over the limit of its container."""
    client = redis.Redis(port=configured.port)
    for size in (250, 32):
        with pytest.raises(redis.RedisError):
            client.lpush(keys.queue(1), b"x" * size * MIB)
    assert 0 == client.llen(keys.queue(1))


def test_the_longest_list_of_messages_is_far_below_that_limit(configured: RedisServer) -> None:
    """A limit that refuses work would lose messages: the longest argument of Threelane has a sixteenth of it."""
    client = redis.Redis(port=configured.port)
    client.config_set("proto-max-bulk-len", MIB)
    listed = [{"to": f"2783123{number:04}", **LONGEST} for number in range(BATCH)]
    with Producer(ProducerSettings(redis_url=configured.url)) as producer:
        answers = list(producer.send_rows(listed))
    assert {True} == {one.accepted for one in answers}, answers[0]
    assert BATCH == client.zcard(keys.QUEUED[1])
