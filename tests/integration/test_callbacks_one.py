"""The One API's events: the same rules as for every receipt, and nothing new breaks the door."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis

from tests.properties.house import a_house
from tests.servers import RedisServer, wait_until
from threelane import Producer, Status


def _post(door: str, body: object) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    address = door.replace("/status", "/one")
    try:
        with urlopen(Request(address, data, {"Content-Type": "application/json"})) as reply:
            return int(reply.status)
    except HTTPError as refused:
        return refused.code


def _update(message: str, status: str, code: int) -> dict[str, Any]:
    update = {"channel": "sms", "messageId": "g" * 32, "clientMessageId": message, "timestamp": 1, "statusCode": code}
    return {"integrationId": "i", "event": {"messageStatusUpdate": [update | {"status": status}]}}


@pytest.fixture
def sending(producer: Producer, redis_server: RedisServer) -> str:
    """A message with an attempt under way."""
    message = producer.send("27999500001", "Hello").id
    with a_house(redis_server) as house:
        house.now = int(time.time() * 1000)
        assert [message] == [one.id for one in house.claim(3, [message], "token").claimed]
    return message


def test_the_handset_s_word_is_delivery_and_4_is_not(producer: Producer, door: str, sending: str) -> None:
    """Number 4 means received by the handset elsewhere; here it is only on its way."""
    assert 200 == _post(door, _update(sending, "SENT_TO_SUPPLIER", 4))
    assert Status.SENT is producer.status(sending).status
    assert 200 == _post(door, _update(sending, "DEVICE_ACK", 5))
    assert Status.DELIVERED is producer.status(sending).status
    assert 200 == _post(door, _update(sending, "SENT_TO_SUPPLIER", 4))
    assert Status.DELIVERED is producer.status(sending).status


def test_a_new_status_is_read_by_its_number(producer: Producer, door: str, sending: str) -> None:
    """From 20 on a number is a failure, whatever it will be called."""
    assert 200 == _post(door, _update(sending, "NEW_KIND_OF_FAILURE", 77))
    wait_until(lambda: producer.status(sending).status is Status.UNDELIVERED)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", 200),
        ({"event": {"somethingNew": [{}]}}, 200),
        (_update("0" * 32, "DEVICE_ACK", 5), 200),
        (_update("not ours", "DEVICE_ACK", 5), 200),
        (b'{"event":', 400),
        (b"[" * 30_000, 400),
        ({"event": []}, 400),
        ({"event": {"messageStatusUpdate": {}}}, 400),
        ({"event": {"messageStatusUpdate": [5]}}, 400),
        (_update("0" * 32, "", 5), 400),
        (b"x" * 10_000_000, 413),
    ],
)
def test_whatever_comes_has_its_answer_and_creates_nothing(
    producer: Producer, client: redis.Redis, door: str, body: object, expected: int
) -> None:
    """Unknown events are acknowledged; what cannot be read is sent back to be looked at."""
    assert expected == _post(door, body)
    assert [] == client.keys("tl:m:*")


def test_the_door_is_guarded_by_its_secret(door: str) -> None:
    """As for every callback."""
    assert 404 == _post(door.replace("/status", "0/status"), _update("0" * 32, "DEVICE_ACK", 5))
