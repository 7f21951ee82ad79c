"""Calls that a type checker accepts.  Nothing runs this file."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta

from threelane import (
    Accepted,
    AsyncHttpProducer,
    HttpProducer,
    MessageMapping,
    Outcome,
    Producer,
    Refused,
    ThreelaneError,
    Unavailable,
)

TO, TEXT = "27831234567", "Your code is 4711"


def one(producer: Producer | HttpProducer, sender: str | None) -> str:
    accepted = producer.send(TO, TEXT, lane=1, client_message_id="login4711", sender=sender)
    producer.send(TO, TEXT, tags=["promo"], batch="june", cost_centre="news", producer="shop")
    producer.send(TO, TEXT, tags=("promo", "june"), max_credits=1.5, escalate=1, mo=True)
    producer.send(TO, TEXT, deliver_at=datetime.now(UTC) + timedelta(hours=1), validity_period=90)
    producer.send(TO, TEXT, deliver_at="2031-06-30T14:00:00Z", on_doubt="hold", on_too_long="cut")
    producer.send(TO, TEXT, delay=timedelta(minutes=5), at_gateway=True)
    producer.send(TO, binary=b"\x01", udh="06050415810000", delay=90)
    producer.send(TO, template="order-shipped@2", values={"name": "Ana", "order": 4711})
    return accepted.id


def as_a_value(producer: Producer) -> str:
    match producer.try_send(TO, TEXT, lane=1):
        case Accepted(id=message_id):
            return message_id
        case Refused(code=code, remedy=remedy):
            return f"{code} {remedy}"
        case Unavailable(retry_after=seconds):
            return f"again in {seconds}"


def many(producer: Producer) -> int:
    messages: list[MessageMapping] = [{"to": TO, "text": TEXT, "lane": 3}, {"to": TO, "binary": b"\x01"}]
    producer.send_many([{"to": TO, "text": TEXT, "lane": 2, "tags": ["promo"]}])
    producer.send_many({"to": TO, "text": f"{TEXT} {number}"} for number in range(2))
    for answer in producer.send_stream(messages):
        if isinstance(answer, Refused):
            print(answer.code, answer.accepted_id)
    return sum(answer.accepted for answer in producer.send_many(messages))


def rows(producer: Producer) -> None:
    with open("people.csv", encoding="utf-8") as people:
        list(producer.send_rows(csv.DictReader(people)))
    list(producer.send_rows([{"to": TO, "text": TEXT, "userPriorityQueue": 1}]))
    producer.send_many(json.loads("[]"))


def events(shop: Producer) -> None:
    reader = shop.events("orders", "web-1", block_seconds=None)
    for event in reader:
        match event:
            case Outcome(status="delivered"):
                print(event.message_id)
            case _:
                pass
        reader.ack(event)


async def on_a_loop() -> Accepted | None:
    async with AsyncHttpProducer("https://threelane.example", "key") as producer:
        try:
            async for answer in producer.send_stream([{"to": TO, "text": TEXT}]):
                print(answer.accepted)
            return await producer.send(TO, TEXT, lane=1)
        except ThreelaneError:
            return None


with Producer(name="shop", redis_url="redis://127.0.0.1:6379/0") as named:
    named.send(TO, TEXT)
