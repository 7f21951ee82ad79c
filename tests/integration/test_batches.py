"""A batch lists every message that was ever accepted into it, and only these."""

from __future__ import annotations

import pytest
import redis

from threelane import Accepted, MessageMapping, Producer
from threelane.store import batches, keys
from threelane.store.batches import digest, subscriber_tag

NAME = "январь (2).csv"
OTHER = "통지.csv"


def numbers(count: int) -> list[str]:
    return [f"2783{at:07}" for at in range(count)]


def bulk(producer: Producer, name: str, to: list[str]) -> list[str]:
    """Enqueue a message to each number; returns the ids of those that were accepted."""
    raws: list[MessageMapping] = [
        {"to": one, "text": f"Hello {one}", "batch": name, "client_message_id": f"c{one}"} for one in to
    ]
    return [one.id for one in producer.send_many(raws) if isinstance(one, Accepted)]


def test_a_batch_lists_its_messages_and_whom_they_reach(producer: Producer, client: redis.Redis) -> None:
    """Two batches in the same call of the script, and messages without one."""
    to = numbers(250)
    rows: list[MessageMapping] = [
        {"to": one, "text": one} if at % 3 == 2 else {"to": one, "text": one, "batch": (NAME, OTHER)[at % 3]}
        for at, one in enumerate(to)
    ]
    ids = [one.id for one in producer.send_many(rows) if isinstance(one, Accepted)]

    for place, name in enumerate((NAME, OTHER)):
        own = digest("", name)
        expected = {one: subscriber_tag(own, row["to"]) for one, row in list(zip(ids, rows, strict=True))[place::3]}
        assert expected == dict(batches.rows(client, "", name))
        found = batches.find(client, "", name)
        assert found
        assert (name, len(expected)) == (found.name, found.accepted)
    assert {NAME, OTHER} == {one.name for one in batches.listed(client)}
    assert [] == list(batches.listed(client, "bank"))


def test_messages_without_a_batch_are_listed_nowhere(producer: Producer, client: redis.Redis) -> None:
    """Codes of lane 1 must not pay for newsletters."""
    producer.send("27831234567", "Your code is 4711", lane=1)

    assert [] == list(client.scan_iter("tl:batch*"))


def test_a_known_message_is_known_after_its_record_is_gone(producer: Producer, client: redis.Redis) -> None:
    """Its row would be sent again otherwise."""
    ids = bulk(producer, NAME, numbers(3))
    client.delete(*keys.records(ids))

    assert [True, False, True] == batches.known(client, "", NAME, [ids[0], "0" * 32, ids[2]])
    assert [False] == batches.known(client, "", OTHER, ids[:1])


def test_a_repeated_call_lists_a_message_once(producer: Producer, client: redis.Redis) -> None:
    """And one that an earlier version accepted is listed by the first repetition."""
    ids = bulk(producer, NAME, numbers(3))
    own = digest("", NAME)
    client.hdel(keys.batch_rows(own), bytes.fromhex(ids[1]))
    client.hset(keys.batch_rows(own), bytes.fromhex(ids[0]), "its outcome")

    assert ids == bulk(producer, NAME, numbers(3))
    assert set(ids) == {one for one, _ in batches.rows(client, "", NAME)}
    assert b"its outcome" == client.hget(keys.batch_rows(own), bytes.fromhex(ids[0]))


def test_a_refused_message_is_not_listed(producer: Producer, client: redis.Redis) -> None:
    """A row that is corrected is new."""
    assert [] == bulk(producer, NAME, ["123"])
    assert None is batches.find(client, "", NAME)


def test_rows_are_forgotten_before_the_batch_is(producer: Producer, client: redis.Redis) -> None:
    """Rows for 90 days, the batch for 400: a run under its name is refused in between, and known afterwards as new."""
    bulk(producer, NAME, numbers(1))
    own = digest("", NAME)
    day = 24 * 3600

    assert 90 * day - 60 < client.ttl(keys.batch_rows(own)) <= 90 * day
    assert 400 * day - 60 < client.ttl(keys.batch(own)) <= 400 * day
    client.delete(keys.batch_rows(own))
    found = batches.find(client, "", NAME)
    assert found
    assert (1, 0) == (found.accepted, found.ends)


@pytest.mark.parametrize("kind", ["batch", "batch-rows"])
def test_a_key_of_another_type_costs_the_list_and_no_message(
    producer: Producer, client: redis.Redis, kind: str
) -> None:
    """An operator who wrote there by mistake stops no sending."""
    client.set(f"tl:{kind}:{digest('', NAME)}", "x")

    assert 2 == len(bulk(producer, NAME, numbers(2)))
    assert 2 == client.zcard(keys.QUEUED[3])


@pytest.mark.parametrize("count", ["xyz", "9223372036854775807"])
def test_a_damaged_count_costs_the_count_and_no_message(producer: Producer, client: redis.Redis, count: str) -> None:
    """Each message is in the index of its lane, and listed."""
    first = bulk(producer, NAME, numbers(1))
    client.hset(keys.batch(digest("", NAME)), "accepted", count)

    more = bulk(producer, NAME, numbers(3)[1:])
    assert 3 == client.zcard(keys.QUEUED[3])
    assert {*first, *more} == {one for one, _ in batches.rows(client, "", NAME)}
