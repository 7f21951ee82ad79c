"""What a producer behind the HTTP API may be given: the same Python values as without the API."""

from __future__ import annotations

import decimal
import uuid
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from typing import Any

import msgspec
import pytest

from threelane.contract import message
from threelane.contract.errors import Refused
from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.producer.http import wire

TO = "27831234567"
AT = datetime(2031, 6, 30, 14, tzinfo=UTC)
NOW = round((AT - timedelta(hours=1)).timestamp() * 1000)


class Queue(IntEnum):
    """A number with a name."""

    FIRST = 1


class Word(Enum):
    """A value that is no number."""

    FIRST = "1"


# fmt: off
VALUES: list[dict[str, Any]] = [
    {"text": b"hello"}, {"text": bytearray(b"hello")}, {"text": "x", "sender": b"ACME"},
    {"text": "x", "client_message_id": b"abc"}, {"text": "x", "client_message_id": uuid.UUID(int=1)},
    {"text": "x", "batch": b"nb"}, {"text": "x", "cost_centre": b"a"}, {"text": "x", "tags": [b"a"]},
    {"text": "x", "retry_every": timedelta(minutes=5)}, {"text": "x", "validity": timedelta(minutes=5)},
    {"text": "x", "lane": decimal.Decimal(1)}, {"text": "x", "lane": Word.FIRST}, {"text": "x", "lane": b"1"},
    {"text": "x", "deliver_at": AT.date()}, {"text": "x", "deliver_at": AT.replace(tzinfo=None)},
    {"text": "x", "scheduled_time": AT}, {"text": "x", "country": b"ZA"},
    {"template": "a", "values": {"name": b"Ana"}}, {"template": "a", "values": {1: "Ana"}},
    {"text": "x", "udh": memoryview(b"\x00")}, {"text": "x", "colour": b"red"}, {"text": "x", "colour": object()},
]
TAKEN: list[dict[str, Any]] = [
    {"binary": b"Jo"}, {"data": bytearray(b"Jo")}, {"text": "x", "udh": b"\x05\x00\x03\x01\x01\x01"},
    {"text": "x", "deliver_at": AT}, {"text": "x", "delay": timedelta(minutes=1)}, {"text": "x", "lane": Queue.FIRST},
    {"text": "x", "tags": {"b"}}, {"text": "x", "tags": ("a",)},
    {"text": "x", "max_credits": decimal.Decimal("0.8")}, {"text": "x", "retry_every": decimal.Decimal(90)},
]
# fmt: on


def sent(given: dict[str, Any]) -> dict[str, Any] | Refused:
    """Return a message as the API gets it, or why none is sent."""
    request, refused = wire.many([{"to": TO, **given}])
    return refused[0] if refused else msgspec.json.decode(request.body)["messages"][0]


@pytest.mark.parametrize("given", VALUES, ids=range(len(VALUES)))
def test_a_value_that_a_producer_refuses_is_refused_with_the_api_too(given: dict[str, Any]) -> None:
    """Octets as a text were sent as hexadecimal digits: a text that nobody wrote, to a real person."""
    direct = message.parse({"to": TO, **given}, NOW)
    assert isinstance(direct, Refusal)

    through = sent(given)
    if isinstance(through, dict):
        answer = message.parse(through, NOW)  # as the API does
        assert isinstance(answer, Refusal)
        through = Refused.from_refusal(answer)
    assert Refused.from_refusal(direct).args == through.args


@pytest.mark.parametrize("given", TAKEN, ids=range(len(TAKEN)))
def test_a_value_that_a_producer_takes_is_the_same_message_with_the_api(given: dict[str, Any]) -> None:
    """Octets of data and headers, times, lengths of time, sets and decimal numbers."""
    through = sent(given)
    assert isinstance(through, dict)
    both = [message.parse(one, NOW) for one in ({"to": TO, **given}, through)]
    first, second = (msgspec.structs.replace(one.message, id="") for one in both if isinstance(one, Draft))
    assert first == second


def test_tags_may_come_one_by_one() -> None:
    """As without the API."""
    through = sent({"text": "x", "tags": (one for one in "ab")})
    assert {"to": TO, "text": "x", "tags": ["a", "b"]} == through
