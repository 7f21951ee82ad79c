"""The One API's events: the same rules as for every receipt, and no new event breaks the endpoint."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis

from tests.properties.system import open_system
from tests.servers import RedisServer, wait_until
from threelane import Producer, Status


def _post(endpoint: str, body: object) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    address = endpoint.replace("/status", "/one")
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
    with open_system(redis_server) as system:
        system.now = int(time.time() * 1000)
        assert [message] == [one.id for one in system.claim(3, [message], "token").claimed]
    return message


def test_the_handset_s_word_is_delivery_and_4_is_not(producer: Producer, endpoint: str, sending: str) -> None:
    """Number 4 means received by the handset elsewhere; here it is only on its way."""
    assert 200 == _post(endpoint, _update(sending, "SENT_TO_SUPPLIER", 4))
    assert Status.SENT is producer.status(sending).status
    assert 200 == _post(endpoint, _update(sending, "DEVICE_ACK", 5))
    assert Status.DELIVERED is producer.status(sending).status
    assert 200 == _post(endpoint, _update(sending, "SENT_TO_SUPPLIER", 4))
    assert Status.DELIVERED is producer.status(sending).status


def test_a_new_status_is_read_by_its_number(producer: Producer, endpoint: str, sending: str) -> None:
    """From 20 on a number is a failure, under any name."""
    assert 200 == _post(endpoint, _update(sending, "NEW_KIND_OF_FAILURE", 77))
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
def test_any_body_has_its_answer_and_creates_nothing(
    producer: Producer, client: redis.Redis, endpoint: str, body: object, expected: int
) -> None:
    """Unknown events are acknowledged; what cannot be read is sent back to be looked at."""
    assert expected == _post(endpoint, body)
    assert [] == client.keys("tl:m:*")


def test_the_endpoint_is_guarded_by_its_secret(endpoint: str) -> None:
    """As for every callback."""
    assert 404 == _post(endpoint.replace("/status", "0/status"), _update("0" * 32, "DEVICE_ACK", 5))
