"""Any request to the callback endpoint reports nothing or is refused with a sentence; garbage ends no message."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from threelane.gateways.one import callbacks as one
from threelane.store.states import FINAL
from threelane.worker.inbound import central, platform
from threelane.worker.inbound.report import MAX_TEXT, Inbound

CALLBACKS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("data").joinpath("inbound_callbacks.json").read_text(encoding="utf-8")
)
OURS = b"4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
READERS: dict[str, Callable[[bytes, bytes], Inbound]] = {
    "central": central.read,
    "platform": platform.read,
    "one": one.read_request,
}


def body_of(callback: dict[str, Any]) -> bytes:
    body = callback["body"]
    if isinstance(body, str):
        return body.encode()
    return (urlencode(body) if callback["as_form"] else json.dumps(body)).encode()


# fmt: off
CORPUS = [body_of(one) for one in CALLBACKS if one["body"]] + [
    b"<?xml version='1.0'?><a><cliMsgId>" + OURS + b"</cliMsgId><status>004</status><charge>0.8</charge></a>",
    b"data=%3Cclickmo%3E%3CmoMsgId%3E1%3C/moMsgId%3E"
    b"%3Cfrom%3E2799900001%3C/from%3E%3Ctext%3Ea%3C/text%3E%3C/clickmo%3E",
    b'{"event":{"messageStatusUpdate":[{"clientMessageId":"' + OURS + b'","status":"READ","statusCode":6}]}}',
    b'{"data":{"clientMessageId":"' + OURS + b'","messageStatus":"004"}}',
]
PIECES = [b"&", b"=", b"%", b"%00", b"%D8%3D", b"+", b"<", b">", b"</", b"&#0;", b"]]>", b"<![CDATA[", b"<!DOCTYPE x>",
          b"{", b"}",
          b"[", b"]", b'"', b":", b",", b"null", b"1e999", b"9" * 30, b"-1", b"\\ud83d", b"\\u0000", b"\xff",
          b"\xfe\xff", b"\x00",
          b"status=004&", b"statusCode", b"UTF-16BE", b"charset=utf-16&", OURS, b"NaN", b"true"]
# fmt: on


@some.composite
def mutated(draw: some.DrawFn) -> bytes:
    """A real request with pieces cut out, put in, or doubled."""
    body = draw(some.sampled_from(CORPUS))
    for _ in range(draw(some.integers(1, 4))):
        at, length = draw(some.integers(0, len(body))), draw(some.integers(0, 12))
        put = draw(some.sampled_from(PIECES) | some.binary(max_size=4) | some.just(body[at : at + 2 * length]))
        body = body[:at] + put + body[at + length :]
    return body


def assert_is_a_sentence(refused: ValueError) -> None:
    assert type(refused) is ValueError
    assert re.fullmatch("[ -~]{10,160}", str(refused))


NOT_ON_ONE_LINE = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of control characters, surrogates and separators; a letter that this Unicode lacks is of none of them."""
WITHOUT_WIDTH = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def assert_harmless(read: Callable[[bytes, bytes], Inbound], query: bytes, body: bytes) -> Inbound:
    """Every result can be stored, and is part of the request."""
    try:
        found = read(query, body)
    except ValueError as refused:
        assert_is_a_sentence(refused)
        return Inbound()
    assert found == msgspec.json.decode(msgspec.json.encode(found), type=Inbound)
    for report in found.reports:
        assert len(report.id) == 32
        assert len(report.gateway_id) <= 64
        assert len(report.text) <= MAX_TEXT
        assert 1 <= len(report.network_status) <= 64
        assert not report.unlisted or report.to not in FINAL or read is READERS["one"]
        assert report.charge_millionths is None or 0 <= report.charge_millionths < 10**12
    for reply in found.replies:
        assert reply.id
        assert len(reply.id) <= 64
        assert 1 <= len(reply.from_) <= 64
        assert {unicodedata.category(one) for one in reply.from_}.isdisjoint(NOT_ON_ONE_LINE)
        assert not WITHOUT_WIDTH.search(reply.from_)
        assert reply.at >= 0
    return found


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(body=mutated() | some.sampled_from(CORPUS), query=some.just(b"") | mutated())
def test_a_damaged_request_raises_nothing_but_a_sentence(
    read: Callable[[bytes, bytes], Inbound], query: bytes, body: bytes
) -> None:
    """At every reader, since any address may be set by mistake."""
    assert_harmless(read, query, body)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@settings(max_examples=150, deadline=None)
@given(query=some.binary(max_size=100), body=some.binary(max_size=200))
def test_random_octets_report_nothing(read: Callable[[bytes, bytes], Inbound], query: bytes, body: bytes) -> None:
    """No message ends by chance."""
    assert () == assert_harmless(read, query, body).reports


# fmt: off
NAMES = ["event", "messageStatusUpdate", "moText", "data", "clientMessageId", "messageId", "status", "statusCode",
         "text",
         "fromNumber", "from", "content", "charset", "udh", "timestamp", "sms", "moMsgId", "charge", "messageStatus"]
# fmt: on
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20) | some.just(OURS.decode()),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(NAMES), inner, max_size=6),
    max_leaves=16,
).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(body=JSON)
def test_any_json_raises_nothing_but_a_sentence(read: Callable[[bytes, bytes], Inbound], body: bytes) -> None:
    """Values of any type under the names that are known."""
    assert_harmless(read, b"", body)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_request_that_is_cut_anywhere_ends_no_other_way(read: Callable[[bytes, bytes], Inbound]) -> None:
    """A form that is cut within its status could mean another one: 00 is not a status that ends a message."""
    for body in CORPUS:
        whole = assert_harmless(read, b"", body)
        for end in range(len(body)):
            part = assert_harmless(read, b"", body[:end])
            assert {one.to for one in part.reports} & FINAL <= {one.to for one in whole.reports}


def test_a_reply_whose_id_is_blank_is_refused() -> None:
    """A random run of the test above found it: without an id, each repetition would be another reply."""
    with pytest.raises(ValueError, match="replyMessageId is missing"):
        READERS["platform"](b"", b'{"fromNumber": "27831234567", "messageId": " "}')
