"""Events: what the scripts write is what producers read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from threelane.store.events import Event, Late, Outcome, Reply, claimed, decode, entries, from_json, group_of

ID = "1750000000000-3"


def raw(**fields: str) -> dict[bytes, bytes]:
    """Return an entry as Redis gives it; ``from_`` means from."""
    return {name.rstrip("_").encode(): value.encode() for name, value in fields.items()}


# fmt: off
WRITTEN: list[tuple[dict[bytes, bytes], Event]] = [
    (raw(type="outcome", id="0f3c", producer="shop", client="login1", status="delivered", lane="1", to="27831234567",
         parts="2", accepted="1750000000001", sent="1750000000002", ended="1750000000003", network="004",
         charge="1600000"),
     Outcome(id=ID, producer="shop", message_id="0f3c", client_message_id="login1", status="delivered", lane=1,
             to="27831234567", parts=2, accepted_at=1750000000001, sent_at=1750000000002, ended_at=1750000000003,
             network_status="004", charge_millionths=1600000)),
    (raw(type="outcome", id="0f3c", status="dead", lane="3", code="105", reason="bad_number", owner="producer"),
     Outcome(id=ID, message_id="0f3c", status="dead", lane=3, code="105", reason="bad_number", owner="producer")),
    (raw(type="late", id="0f3c", producer="shop", client="login1", lane="1", to="27831234567", sent="1750000000002"),
     Late(id=ID, producer="shop", message_id="0f3c", client_message_id="login1", lane=1, to="27831234567",
          sent_at=1750000000002)),
    (raw(type="reply", id="r1", producer="shop", message="0f3c", from_="27831234567", to="447700900123",
         text="STOP, bitte — ünd 🙂", at="1750000000009", network="65501", incomplete="1", word="stop"),
     Reply(id=ID, producer="shop", reply_id="r1", message_id="0f3c", sender="27831234567", to="447700900123",
           text="STOP, bitte — ünd 🙂", received_at=1750000000009, network="65501", incomplete=True, word="stop")),
    (raw(type="reply", id="r1", text="Here", media="2", media_types="image/jpeg, audio/ogg", media_octets="310000"),
     Reply(id=ID, reply_id="r1", text="Here", media=2, media_types="image/jpeg, audio/ogg", media_octets=310_000)),
    (raw(type="reply", id="r2", text="123"), Reply(id=ID, reply_id="r2", text="123")),
    (raw(type="late", id="0f3c", invented="later"), Late(id=ID, message_id="0f3c")),
]
# fmt: on


@pytest.mark.parametrize(("entry", "event"), WRITTEN)
def test_an_entry_is_read_as_it_was_written(entry: dict[bytes, bytes], event: Event) -> None:
    """Numbers become numbers, digits of a text stay text, and a field of a later version is passed over."""
    assert event == decode(ID, entry)


@pytest.mark.parametrize("event", [event for _, event in WRITTEN])
def test_a_webhook_s_body_is_the_same_event(event: Event) -> None:
    """A receiver in Python may read it with from_json."""
    body = msgspec.json.encode(event)
    assert event == from_json(body)
    assert event.type == msgspec.json.decode(body)["type"]


# fmt: off
UNREADABLE = [
    {}, raw(type="outcome"), raw(id="0f3c"), raw(type="invented", id="0f3c"),
    raw(type="outcome", id="0f3c", status="dead", lane="high"),
]
# fmt: on


@pytest.mark.parametrize("entry", UNREADABLE)
def test_an_unreadable_entry_is_skipped_without_an_error(
    entry: dict[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """One of them must not stop the events behind it; it is logged."""
    with caplog.at_level("WARNING", logger="threelane"):
        assert decode(ID, entry) is None
    assert ["event_unreadable"] == [record.getMessage() for record in caplog.records]


def test_bytes_that_are_no_text_do_not_stop_a_reply() -> None:
    """A network may deliver anything."""
    event = decode(ID, {b"type": b"reply", b"id": b"r1", b"text": b"a\xff"})
    assert isinstance(event, Reply)
    assert "a\ufffd" == event.text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([[b"tl:events", [(b"1-0", {b"a": b"b"})]]], [("1-0", {b"a": b"b"})]),
        ({b"tl:events": [[(b"1-0", {b"a": b"b"})]]}, [("1-0", {b"a": b"b"})]),
        ([], []),
        ({}, []),
        (None, []),
    ],
)
def test_both_of_redis_s_protocols_are_understood(answer: Any, expected: list[Any]) -> None:
    """RESP2 and RESP3 answer in different shapes."""
    assert expected == entries(answer)


def test_entries_that_were_trimmed_are_passed_over() -> None:
    """What is left of them is an id."""
    assert (b"0-0", [("2-0", {})]) == claimed([b"0-0", [(b"1-0", None), (b"2-0", {})], []])


def test_two_producers_never_share_a_group() -> None:
    """Each acknowledges the other's events in passing: in one group they would be lost."""
    names = [("shop", "app"), ("bank", "app"), ("", "app"), ("a", "b:c"), ("a:b", "c"), ("webhooks", "")]
    assert len(names) == len({group_of(*one) for one in names} - {"webhooks"})
