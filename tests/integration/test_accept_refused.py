"""A refused message leaves nothing behind, and its caller knows what to fix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from tests.integration.test_accept import stored
from threelane import Accepted, Owner, Producer, Refused
from threelane.store import keys

TO = "27831234567"


def ahead(**time: float) -> Callable[[], datetime]:
    """Return a time ahead of the moment when the test runs, not of its collection."""
    return lambda: datetime.now(UTC) + timedelta(**time)


def evaluated(fields: dict[str, Any]) -> dict[str, Any]:
    return {"to": TO, "text": "Hello"} | {name: value() if callable(value) else value for name, value in fields.items()}


# fmt: off
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty text": ({"text": ""}, "107", "text"),
    "blank text": ({"text": " \n"}, "107", "text"),
    "four parts": ({"text": "a" * 460}, "113", "text"),
    "more parts than allowed": ({"text": "a" * 161, "maxMessageParts": 1}, "113", "text"),
    "a megabyte": ({"text": "a" * 1_000_000}, "113", "text"),
    "letters in the number": ({"to": "2783CALLME"}, "105", "to"),
    "number too short": ({"to": "2783"}, "105", "to"),
    "number with 0": ({"to": "0831234567"}, "105", "to"),
    "number with a 0 behind 00": ({"to": "000831234567"}, "105", "to"),
    "decimal number": ({"to": "27831234506.5"}, "105", "to"),
    "unknown country": ({"to": "0831234567", "country": "UK"}, "105", "country"),
    "sender with 00": ({"from": "0044770090012"}, "106", "from"),
    "sender without a letter": ({"sender": "..."}, "106", "sender"),
    "number with an extension": ({"to": "27831234567 ext 9"}, "105", "to"),
    "lane 0": ({"lane": 0}, "101", "lane"),
    "lane 4": ({"userPriorityQueue": "4"}, "101", "userPriorityQueue"),
    "schedule in the past": ({"deliver_at": ahead(minutes=-1)}, "120", "deliver_at"),
    "schedule beyond a week": ({"scheduledDeliveryTime": ahead(days=7, minutes=1)}, "120", "scheduledDeliveryTime"),
    "schedule without a zone": ({"deliver_at": "2031-06-30T14:00:00"}, "120", "deliver_at"),
    "validity before delivery": ({"validityPeriod": 5, "delay": 600}, "120", "validityPeriod"),
    "client id with spaces": ({"client_message_id": "order 4711"}, "120", "client_message_id"),
    "client id of 33": ({"clientMessageId": "a" * 33}, "120", "clientMessageId"),
    "odd header": ({"udh": "0605041581000"}, "102", "udh"),
    "binary with text": ({"binary": "00ff"}, "101", "binary"),
    "half a surrogate pair": ({"text": "a\ud83d"}, "116", "text"),
    "NUL": ({"text": "a\0b"}, "116", "text"),
    "unknown field": ({"colour": "red"}, "101", "colour"),
    "given twice": ({"sender": "Shop", "from": "Shop"}, "101", "from"),
}
# fmt: on


@pytest.mark.parametrize(("fields", "code", "field"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_refused_and_leaves_nothing(
    producer: Producer, client: redis.Redis, fields: dict[str, Any], code: str, field: str
) -> None:
    """The gateway's code, the caller's name of the field, and two sentences; and only the count in Redis."""
    (answer,) = producer.send_many([evaluated(fields)])

    assert isinstance(answer, Refused)
    assert (code, field, Owner.PRODUCER) == (answer.code, answer.field, answer.owner)
    assert answer.problem
    assert answer.remedy
    assert [] == stored(client)
    assert {keys.LIMITS.encode(), keys.TALLY.encode()} == set(client.keys("*"))
    assert {f"refused:{code}".encode(): b"1"} == client.hgetall(keys.TALLY)


@pytest.mark.parametrize(
    "fields",
    [
        {"to": "+27 83 123-4567\n"},
        {"to": "٢٧٨٣١٢٣٤٥٦٧"},
        {"deliver_at": ahead(days=7, minutes=-1)},
        {"clientMessageId": "a" * 32},
        {"text": "a" * 459},
    ],
)
def test_values_just_inside_the_limits_are_accepted(producer: Producer, fields: dict[str, Any]) -> None:
    """Accept refuses no more than it must."""
    (answer,) = producer.send_many([evaluated(fields)])

    assert isinstance(answer, Accepted)
    assert TO == producer.status(answer.id).to
