"""A call cannot be misread: a returned answer means accepted, anything else raises."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from tests.servers import RedisServer, free_port
from threelane import (
    Accepted,
    AsyncHttpProducer,
    HttpProducer,
    InvalidSettings,
    Outcome,
    Producer,
    ProducerClosed,
    ProducerSettings,
    Refused,
    ThreelaneError,
    Unavailable,
)
from threelane.producer.outage import unavailable
from threelane.store import keys

TO = "27831234567"
NATIONAL = "083 123 4567"
NOBODY = "0" * 32
NOWHERE = "redis://127.0.0.1:{}/0"


def test_an_unreadable_number_raises(producer: Producer, client: redis.Redis) -> None:
    """A login code that was not accepted must not look like one that was."""
    with pytest.raises(Refused) as raised:
        producer.send(NATIONAL, "x")

    refused = raised.value
    assert ("105", "to", "producer", "") == (refused.code, refused.field, refused.owner, refused.accepted_id)
    assert str(refused) == f"105 to: {refused.problem}; {refused.remedy}"
    assert [] == client.keys("tl:m:*")


def test_send_returns_what_was_accepted(producer: Producer) -> None:
    """With its id, and nothing to look at before."""
    assert "queued" == producer.status(producer.send(TO, "x", lane=1).id).status


def test_try_send_returns_whichever_it_is(producer: Producer) -> None:
    """And raises none of them."""
    with Producer(redis_url=NOWHERE.format(free_port())) as nowhere:
        answers = [producer.try_send(TO, "x"), producer.try_send(NATIONAL, "x"), nowhere.try_send(TO, "x")]

    assert [Accepted, Refused, Unavailable] == [type(answer) for answer in answers]
    assert [None, None] == [answer.__traceback__ for answer in answers[1:]]


def test_a_list_gives_each_message_its_answer(producer: Producer) -> None:
    """By either name, from rows and from typed messages; nothing is raised."""
    rows = [{"to": TO, "text": "x", "userPriorityQueue": 2}, {"to": NATIONAL, "text": "x"}, 5, {"to": TO, "lnae": 1}]
    typed = [{"to": TO, "text": "x", "lane": 2}, {"to": NATIONAL, "text": "x"}]

    assert [True, False, False, False] == [answer.accepted for answer in producer.send_rows(rows)]
    assert [True, False] == [answer.accepted for answer in producer.send_many(typed)]
    assert [True, False] == [answer.accepted for answer in producer.send_stream(typed)]


def test_a_refusal_comes_out_of_another_process_as_it_was_raised(redis_server: RedisServer) -> None:
    """As it does from a task of Celery, which pickles it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        failed = pool.submit(_send, redis_server.url).exception(60)

    assert isinstance(failed, Refused)
    assert ("105", "to") == (failed.code, failed.field)


def _send(url: str) -> None:
    with Producer(redis_url=url) as producer:
        producer.send(NATIONAL, "x")


# A producer's name.


def test_a_producer_has_the_name_it_was_given(client: redis.Redis, redis_server: RedisServer) -> None:
    """Its messages carry it, and its events are those of that name alone, in any group."""
    for name in ("shop", "bank", ""):
        fields = {"type": "outcome", "id": f"of {name}", "producer": name, "status": "delivered"}
        client.xadd(keys.EVENTS, {key: value for key, value in fields.items() if value})
    with (
        Producer(name="shop", redis_url=redis_server.url) as shop,
        Producer(redis_url=redis_server.url) as nameless,
    ):
        sent = shop.status(shop.send(TO, "x").id)
        named, unnamed = (list(one.events("orders", "web-1", block_seconds=0.05)) for one in (shop, nameless))

    assert "shop" == sent.producer
    assert ["of shop"] == [event.message_id for event in named if isinstance(event, Outcome)]
    assert ["of "] == [event.message_id for event in unnamed if isinstance(event, Outcome)]


def test_a_name_goes_before_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, client: redis.Redis, redis_server: RedisServer
) -> None:
    """Two producers of one process may have two names."""
    monkeypatch.setenv("THREELANE_PRODUCER", "bank")
    with Producer(name="shop", redis_url=redis_server.url) as shop, Producer(redis_url=redis_server.url) as bank:
        assert ["shop", "bank"] == [one.status(one.send(TO, "x").id).producer for one in (shop, bank)]


def test_a_name_that_cannot_be_is_refused_at_once() -> None:
    """As a setting is, and not with the first message."""
    with pytest.raises(InvalidSettings, match="THREELANE_PRODUCER"):
        Producer(name="?")


def test_settings_and_keywords_do_not_mix(redis_server: RedisServer) -> None:
    """It would not be clear which of the two is meant."""
    with pytest.raises(TypeError, match="either settings, or"):
        Producer(ProducerSettings(redis_url=redis_server.url), name="shop")


# After the end.

CALLS: dict[str, Callable[[Any], Any]] = {
    "send": lambda one: one.send(TO, "x"),
    "try_send": lambda one: one.try_send(TO, "x"),
    "send_many": lambda one: one.send_many([]),
    "send_stream": lambda one: one.send_stream([]),
    "send_rows": lambda one: one.send_rows([]),
    "status": lambda one: one.status(NOBODY),
    "cancel": lambda one: one.cancel([]),
    "move": lambda one: one.move(NOBODY, "2031-06-30T14:00:00Z"),
    "batches": lambda one: one.batches(),
    "batch": lambda one: one.batch("june"),
    "batch_report": lambda one: one.batch_report("june"),
    "pause_batch": lambda one: one.pause_batch("june"),
    "resume_batch": lambda one: one.resume_batch("june"),
    "cancel_batch": lambda one: one.cancel_batch("june"),
    "__enter__": lambda one: one.__enter__(),
}
OF_REDIS: dict[str, Callable[[Producer], Any]] = {
    "send_as": lambda one: one.send_as(None, {}),
    "reading_as": lambda one: one.reading_as(None),
    "reading": lambda one: one.reading("shop"),
    "estimate": lambda one: one.estimate("27831234567", 1),
    "send_many_as": lambda one: one.send_many_as(None, []),
    "statuses": lambda one: one.statuses([]),
    "rehearse": lambda one: one.rehearse([]),
    "over_budgets": lambda one: one.over_budgets({}),
    "cancel_all": lambda one: one.cancel_all(batch="june"),
    "scheduled": lambda one: one.scheduled(),
    "events": lambda one: one.events("orders", "web-1"),
    "now": lambda one: one.now(),
    "query": lambda one: one.query(lambda client: client.ping()),
    "preview": lambda one: one.preview({}),
}


def public(kind: type) -> set[str]:
    """Return the methods that a caller may use."""
    named = {name for name, what in vars(kind).items() if not name.startswith("_") and not isinstance(what, property)}
    return named - {"close"} | {"__enter__"}


def test_each_method_is_tried_after_the_end() -> None:
    """A new one has to be listed above."""
    assert public(Producer) == {*CALLS, *OF_REDIS}
    assert public(HttpProducer) == public(AsyncHttpProducer) == {*CALLS}


@pytest.fixture
def closed(redis_server: RedisServer) -> Producer:
    """A producer after its ``with`` block."""
    with Producer(redis_url=redis_server.url) as producer:
        producer.now()
    return producer


@pytest.mark.parametrize("call", (CALLS | OF_REDIS).values(), ids=CALLS | OF_REDIS)
def test_a_closed_producer_raises(closed: Producer, call: Callable[[Producer], Any]) -> None:
    """It does not connect again behind its owner's back; also not for a list that is empty."""
    with pytest.raises(ProducerClosed, match="this producer is closed") as raised:
        call(closed)
    assert isinstance(raised.value, ThreelaneError)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_client_of_the_http_api_raises(call: Callable[[HttpProducer], Any]) -> None:
    """As the producer on Redis does."""
    with HttpProducer("http://127.0.0.1:9", "key") as producer:
        pass
    with pytest.raises(ProducerClosed, match="this producer is closed"):
        call(producer)


@pytest.mark.parametrize("name", [name.replace("__enter__", "__aenter__") for name in CALLS])
def test_a_closed_client_of_asyncio_raises(name: str) -> None:
    """As the other two do."""

    async def called() -> None:
        async with AsyncHttpProducer("http://127.0.0.1:9", "key") as producer:
            pass
        await producer.close()
        given = {"send_many": [[]], "send_stream": [[]], "send_rows": [[]], "cancel": [[]], "status": [NOBODY]}
        more = {"send": [TO], "try_send": [TO], "move": [NOBODY, "2031-06-30T14:00:00Z"], "__aenter__": []}
        named: dict[str, list[Any]] = {one: ["june"] for one in CALLS if "batch" in one} | {"batches": []}
        await getattr(producer, name)(*(given | more | named)[name])

    with pytest.raises(ProducerClosed, match="this producer is closed"):
        asyncio.run(called())


def test_closing_twice_is_not_a_mistake(closed: Producer) -> None:
    """Any thread that shares it may close it."""
    closed.close()
    over_http = HttpProducer("http://127.0.0.1:9", "key")
    over_http.close()
    over_http.close()


def test_a_reader_of_events_ends_with_its_producer(client: redis.Redis, redis_server: RedisServer) -> None:
    """It reads by the producer's connections."""
    with Producer(redis_url=redis_server.url) as producer:
        reader = producer.events("orders", "web-1", block_seconds=0.01)
        assert [] == list(reader)
    with pytest.raises(ProducerClosed):
        next(iter(reader))
    with pytest.raises(ProducerClosed):
        reader.ack()


def test_a_reader_of_events_without_redis_raises() -> None:
    """As every other method does: callers do not depend on the Redis client below."""
    with Producer(name="shop", redis_url=NOWHERE.format(free_port())) as producer:
        reader = producer.events("orders", "web-1", block_seconds=0.01)
        with pytest.raises(Unavailable, match="Redis does not answer"):
            next(iter(reader))
        with pytest.raises(Unavailable):
            reader.ack(Outcome(id="1-0", message_id=NOBODY, status="delivered"))


def test_unsure_ids_survive_pickle(redis_server: RedisServer) -> None:
    """A process that gets it from another one can still look its ids up."""
    with Producer(redis_url=NOWHERE.format(free_port())) as nowhere:
        away = nowhere.try_send(TO, "x")
    again = pickle.loads(pickle.dumps(away))

    assert (str(away), vars(away)) == (str(again), vars(again))


def test_one_id_in_place_of_a_list_is_a_type_error(producer: Producer) -> None:
    """A text is a sequence of texts, so no type checker finds it; its characters are not ids."""
    with pytest.raises(TypeError, match="list of ids"):
        producer.cancel("0f3c5b1a9d84f3f8a5b6c7d8e9f00110")
    with pytest.raises(TypeError, match="list of ids"):
        producer.statuses("0f3c5b1a9d84f3f8a5b6c7d8e9f00110")


def test_a_key_of_the_wrong_type_is_not_called_an_outage_to_repeat(client: redis.Redis) -> None:
    """Another program writes to the database: repeating the call never helps."""
    client.set(keys.PRICES, "not a hash")
    with pytest.raises(ResponseError) as refused:
        client.hgetall(keys.PRICES)

    assert "of another type: threelane damaged list" in str(unavailable(refused.value))


def test_redis_may_be_reached_by_a_unix_socket(tmp_path: Path) -> None:
    """The error for a wrong address names this form."""
    server = RedisServer(tmp_path, "--unixsocket", str(tmp_path / "redis")).start()
    try:
        with Producer(redis_url=f"unix://{tmp_path}/redis") as producer:
            assert producer.send(TO, "Hello").accepted
    finally:
        server.stop()
