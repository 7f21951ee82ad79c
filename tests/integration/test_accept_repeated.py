"""A client message id makes a repeated call safe."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.integration.test_accept import nudged, stored, tally
from tests.servers import RedisServer
from threelane import Accepted, Producer, ProducerSettings, Refused

TO = "27831234567"


def test_a_repeated_call_gets_the_same_answer_and_is_stored_once(producer: Producer, client: redis.Redis) -> None:
    """A caller who did not see the first answer repeats the call, and there is no second SMS."""
    first = producer.send(TO, "Hello", client_message_id="order4711")
    again = producer.send("+27 83 123 4567", "Hello", lane=3, climsgid="order4711")

    assert (first.id, False, True) == (again.id, first.repeated, again.repeated)
    assert 1 == len(stored(client))
    assert {3: [[first.id], [first.id]]} == nudged(client)  # the first nudge may have been lost with the answer
    assert {"accepted:3": 1, "parts:3": 1, "to:3:queued": 1, "repeated:3": 1, "committed:3": 1_000_000} == tally(client)


def test_a_repetition_inside_one_call_is_found(producer: Producer, client: redis.Redis) -> None:
    """A file may list a message twice."""
    fields = {"to": TO, "text": "Hello", "clientMessageId": "order4711"}
    first, again = producer.send_many([fields, fields])

    assert (first.id, True) == (again.id, again.repeated)
    assert {3: [[first.id]]} == nudged(client)


def test_other_content_under_a_known_id_is_refused_and_the_first_stands(
    producer: Producer, client: redis.Redis
) -> None:
    """Two contents cannot both be what the caller meant; what was accepted is kept."""
    first = producer.send(TO, "Hello", client_message_id="order4711")
    before = client.hgetall(f"tl:m:{first.id}")
    with pytest.raises(Refused) as raised:
        producer.send(TO, "Bye", client_message_id="order4711")

    other = raised.value
    assert ("409", "client_message_id", first.id) == (other.code, other.field, other.accepted_id)
    assert before == client.hgetall(f"tl:m:{first.id}")
    assert {3: [[first.id]]} == nudged(client)


def test_twenty_threads_with_one_client_id_make_one_message(producer: Producer, client: redis.Redis) -> None:
    """Exactly one of the answers is not marked as repeated."""
    together = threading.Barrier(20)

    def send(_: int) -> Accepted:
        together.wait(20)
        return producer.send(TO, "Hello", client_message_id="order4711")

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(send, range(20)))

    assert 1 == len({answer.id for answer in answers})
    assert [False] + [True] * 19 == sorted(answer.repeated for answer in answers)
    assert 1 == len(stored(client))
    assert {answers[0].id} == {one for nudge in nudged(client)[3] for one in nudge}


def test_two_producers_may_use_the_same_client_id(client: redis.Redis, redis_server: RedisServer) -> None:
    """Each counts its own orders from 1."""
    with (
        Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as shop,
        Producer(ProducerSettings(redis_url=redis_server.url, producer="bank")) as bank,
    ):
        answers = [one.send(TO, "Hello", client_message_id="1") for one in (shop, bank)]
        named = shop.send(TO, "Hello", client_message_id="1", producer="bank")

    assert [False, False] == [answer.repeated for answer in answers]
    assert 2 == len(stored(client))
    assert answers[1].id == named.id


def test_a_delay_that_is_repeated_later_is_the_same_content(producer: Producer, client: redis.Redis) -> None:
    """It would be due at another moment now, but the fields are the same; the first moment counts."""
    first = producer.send(TO, "Hello", client_message_id="order4711", delay=600)
    producer._enqueuer._clock._offset += 60  # a minute passes
    again = producer.send(TO, "Hello", client_message_id="order4711", delay=600)

    assert again.repeated
    assert first.due_at == producer.status(first.id).due_at
    assert 1 == client.zcard(f"tl:due:{producer.status(first.id).lane}")


def test_the_same_words_without_a_client_id_are_two_messages(producer: Producer, client: redis.Redis) -> None:
    """Nothing is guessed: two reminders with one text are two reminders."""
    producer.send(TO, "Hello")
    producer.send(TO, "Hello")

    assert 2 == len(stored(client))
