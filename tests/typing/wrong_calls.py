"""Calls that a type checker rejects; each line names the code of mypy's reason.  Nothing runs this file."""

from __future__ import annotations

from threelane import Accepted, AsyncHttpProducer, HttpProducer, Producer, Refused

TO, TEXT = "27831234567", "Your code is 4711"


def names(producer: Producer) -> None:
    producer.send(TO, TEXT, priority=1)  # rejected: call-arg
    producer.send(TO, TEXT, userPriorityQueue=1)  # rejected: call-arg
    producer.try_send(TO, TEXT, from_="ACME")  # rejected: call-arg
    producer.send_many([{"to": TO, "text": TEXT, "queue": 1}])  # rejected: typeddict-unknown-key
    producer.send_many([{"text": TEXT}])  # rejected: typeddict-item
    producer.events("outcomes")  # rejected: call-arg
    Producer(nmae="shop")  # rejected: call-arg


def values(producer: Producer) -> None:
    producer.send(TO, TEXT, lane="high")  # rejected: arg-type
    producer.send(TO, TEXT, lane=4)  # rejected: arg-type
    producer.send(TO, TEXT, tags="promo")  # rejected: arg-type
    producer.send(TO, TEXT, deliver_at=5)  # rejected: arg-type
    producer.send(TO, TEXT, delay="soon")  # rejected: arg-type
    producer.send(TO, TEXT, on_doubt="retry")  # rejected: arg-type
    producer.send(27831234567, TEXT)  # rejected: arg-type
    producer.send_many(5)  # rejected: arg-type
    producer.send_many([{"to": TO, "text": TEXT, "lane": 4}])  # rejected: typeddict-item


def answers(producer: Producer, refused: Refused) -> None:
    producer.try_send(TO, TEXT).id  # rejected: union-attr
    producer.send_many([{"to": TO, "text": TEXT}])[0].id  # rejected: union-attr
    accepted: Accepted = producer.try_send(TO, TEXT)  # rejected: assignment
    refused.id  # rejected: attr-defined
    print(accepted)


async def over_http(producer: HttpProducer, on_a_loop: AsyncHttpProducer) -> None:
    producer.send(TO, TEXT, priority=1)  # rejected: call-arg
    producer.try_send(TO, TEXT).id  # rejected: union-attr
    on_a_loop.send(TO, TEXT).id  # rejected: attr-defined
    await on_a_loop.send(TO, TEXT, lane=0)  # rejected: arg-type
