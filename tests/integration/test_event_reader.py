"""Consumer groups: an application's processes share its events, and lose none."""

from __future__ import annotations

import time

import pytest
import redis

from threelane.store import keys
from threelane.store.events import Event, EventReader, Outcome, ack, group_of, read


def publish(client: redis.Redis, *ids: str, producer: str = "shop") -> None:
    for one in ids:
        entry = {"type": "outcome", "id": one, "producer": producer, "status": "delivered", "lane": "1"}
        client.xadd(keys.EVENTS, {name: value for name, value in entry.items() if value})


def reader(client: redis.Redis, consumer: str = "one", producer: str = "shop", **how: float) -> EventReader:
    settings = {"block_seconds": 0.05, "idle_seconds": 60.0, **how}
    return EventReader(client, "app", consumer, producer, **settings)  # type: ignore[arg-type]


def messages(events: list[Event]) -> list[str]:
    return [event.message_id for event in events]


def unacknowledged(client: redis.Redis, producer: str = "shop") -> int:
    return int(client.xpending(keys.EVENTS, group_of(producer, "app"))["pending"])


def test_a_group_reads_from_the_start_of_the_stream(client: redis.Redis) -> None:
    """Events from before an application's first call are its own, too; then nothing comes twice."""
    publish(client, "a", "b")
    first = reader(client)
    events = list(first)
    first.ack(*events)
    publish(client, "c")

    assert ["a", "b"] == messages(events)
    assert ["c"] == messages(list(first))


def test_a_reader_ends_behind_the_events_of_others_not_among_them(client: redis.Redis) -> None:
    """With a short wait, or many events of others, it would end each time before its own."""
    publish(client, *map(str, range(50)), producer="bank")
    publish(client, "a")
    publish(client, *map(str, range(25)), producer="bank")
    assert ["a"] == messages(list(reader(client, block_seconds=0.0)))
    assert [] == list(reader(client, block_seconds=0.0)), "and it ends at the end of the stream"


def test_two_consumers_share_and_none_gets_the_other_s(client: redis.Redis) -> None:
    """Together they get all of it, each event once."""
    publish(client, *map(str, range(40)))
    one, two = reader(client, "one", batch=5), reader(client, "two", batch=5)
    shares: dict[str, list[str]] = {"one": [], "two": []}
    ones, twos = iter(one), iter(two)
    for _ in range(20):
        shares["one"].append(next(ones).message_id)  # type: ignore[union-attr]
        shares["two"].append(next(twos).message_id)  # type: ignore[union-attr]

    assert sorted(map(str, range(40))) == sorted(shares["one"] + shares["two"])


def test_entries_of_a_dead_consumer_are_reclaimed(client: redis.Redis) -> None:
    """All of it, also more than one batch, and only what it never acknowledged."""
    publish(client, *map(str, range(25)))
    dead = read(client, "app", "dead", "shop", count=25)
    ack(client, "app", "shop", *dead[:3])
    time.sleep(0.02)
    heir = reader(client, "heir", idle_seconds=0.01)
    seen = set()
    for event in heir:
        heir.ack(event)
        seen.add(event.message_id)

    assert {str(number) for number in range(3, 25)} == seen
    assert 0 == unacknowledged(client)


def test_entries_of_a_living_consumer_stay_its_own(client: redis.Redis) -> None:
    """Until it was idle for too long."""
    publish(client, "a")
    assert ["a"] == messages(list(reader(client, "one")))
    assert [] == list(reader(client, "two", idle_seconds=60))


def test_others_events_are_acknowledged_in_passing(client: redis.Redis) -> None:
    """Otherwise the list of pending entries would grow forever."""
    publish(client, "a", producer="bank")
    publish(client, "b", producer="")
    publish(client, "c")
    client.xadd(keys.EVENTS, {"type": "invented"})

    assert ["c"] == messages(list(reader(client)))
    assert 1 == unacknowledged(client)
    assert ["a"] == messages(list(reader(client, producer="bank")))
    assert ["b"] == messages(list(reader(client, producer="")))


def test_a_reply_that_an_earlier_version_published_for_all_goes_to_nobody(client: redis.Redis) -> None:
    """It may be for any of them, so an operator assigns it."""
    client.xadd(keys.EVENTS, {"type": "reply", "id": "r1", "from": "27831234567", "text": "who is this?"})
    for producer in ("shop", "bank", ""):
        assert [] == list(reader(client, producer=producer))


def test_a_producer_without_a_name_gets_the_replies_to_its_messages(client: redis.Redis) -> None:
    """They have no producer either, but a route."""
    client.xadd(keys.EVENTS, {"type": "reply", "id": "r1", "route": "message", "text": "yes"})
    assert ["r1"] == [event.reply_id for event in reader(client, producer="")]  # type: ignore[union-attr]
    assert [] == list(reader(client, producer="shop"))


def test_a_group_survives_a_flush(client: redis.Redis) -> None:
    """Redis may come back empty; the same reader reads on."""
    publish(client, "a")
    kept = reader(client)
    assert ["a"] == messages(list(kept))
    client.flushall()
    assert [] == list(kept)
    publish(client, "b")
    assert ["b"] == messages(list(kept))


def test_a_flush_in_the_middle_of_waiting_heals_too(client: redis.Redis) -> None:
    """Redis ends the wait of a reader whose group goes."""
    import threading

    waiting = reader(client, block_seconds=3.0)
    assert [] == list(reader(client))

    def flush_and_publish() -> None:
        other = redis.Redis(port=client.connection_pool.connection_kwargs["port"])
        other.flushall()
        publish(other, "after")
        other.close()

    timer = threading.Timer(0.2, flush_and_publish)
    timer.start()
    try:
        assert "after" == next(iter(waiting)).message_id  # type: ignore[union-attr]
    finally:
        timer.join()


def test_a_wait_is_longer_than_the_patience_of_the_socket(client: redis.Redis) -> None:
    """Threelane's clients give a command three seconds; a reader may wait for minutes."""
    hasty = redis.Redis(port=client.connection_pool.connection_kwargs["port"], socket_timeout=0.2)
    began = time.monotonic()
    assert [] == list(reader(hasty, block_seconds=0.7))
    assert time.monotonic() - began >= 0.6
    hasty.close()


def test_entries_that_one_loop_left_are_read_by_the_next(client: redis.Redis) -> None:
    """A caller may break out of the loop."""
    publish(client, "a", "b", "c")
    one = reader(client)
    assert "a" == next(iter(one)).message_id  # type: ignore[union-attr]
    assert ["b", "c"] == messages(list(one))


def test_the_same_event_has_the_same_id_however_often_it_comes(client: redis.Redis) -> None:
    """So that an application can recognise a second one."""
    publish(client, "a")
    (first,) = list(reader(client, "one"))
    time.sleep(0.02)
    again = next(iter(reader(client, "two", idle_seconds=0.01)))
    assert isinstance(first, Outcome)
    assert first == again


@pytest.mark.parametrize(("group", "consumer", "producer"), [("", "c", "shop"), ("g", "", "shop"), ("g", "c", "a|b")])
def test_an_invalid_name_is_refused_at_once(client: redis.Redis, group: str, consumer: str, producer: str) -> None:
    """And not when the first event is lost."""
    with pytest.raises(ValueError, match="name"):
        EventReader(client, group, consumer, producer)
