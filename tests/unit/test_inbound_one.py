"""The One API's events: statuses and replies, several in one request, and unknown kinds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from threelane.gateways.one.callbacks import read
from threelane.store.states import Status
from threelane.worker.inbound.report import Inbound, InboundReply, ReplyPart, StatusReport

OURS = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
ITS = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
AT = 1_767_225_600_000
UPDATE = {
    "channel": "sms",
    "messageId": ITS,
    "clientMessageId": OURS,
    "timestamp": AT,
    "statusCode": 5,
    "status": "DEVICE_ACK",
}
TEXT = {
    "channel": "sms",
    "messageId": "r2",
    "relatedMessageId": ITS,
    "relatedClientMessageId": OURS,
    "from": "2799900001",
}
TEXT |= {"to": "12025550100", "timestamp": AT, "content": "Yes", "charset": "UTF-8", "sms": {"network": "n"}}
REPORT = StatusReport(OURS, ITS, "DEVICE_ACK", Status.DELIVERED, None, f"status=DEVICE_ACK timestamp={AT}", at=AT)
REPLY = InboundReply("r2", "2799900001", "12025550100", "Yes", AT, "n", OURS, ITS)


def pushed(**event: Any) -> bytes:
    return json.dumps({"integrationId": "i", "integrationName": "shop", "event": event}).encode()


def test_statuses_and_replies_are_read_from_one_request() -> None:
    """One event each today; the lists may grow."""
    other = UPDATE | {"status": "SENT_TO_SUPPLIER", "statusCode": 4}
    found = read(pushed(messageStatusUpdate=[UPDATE, None, {}, other], moText=[TEXT, TEXT | {"content": "No"}]))
    assert ["DEVICE_ACK", "SENT_TO_SUPPLIER"] == [one.network_status for one in found.reports]
    assert [Status.DELIVERED, Status.SENT] == [one.to for one in found.reports]
    assert ["Yes", "No"] == [one.text for one in found.replies]
    assert (REPORT, REPLY, "") == (found.reports[0], found.replies[0], found.problem)


# fmt: off
STATUSES: list[tuple[str, object, Status | None, bool]] = [
    ("DEVICE_ACK", None, Status.DELIVERED, False), ("DEVICE_ACK", "5", Status.DELIVERED, False),
    ("UNKNOWN", 1, None, False), ("EXPIRED", 20, Status.EXPIRED, False), ("NEW_FAILURE", 77, Status.UNDELIVERED, True),
    ("NEW_FAILURE", "77", Status.UNDELIVERED, True), ("NEW", 3, Status.SENT, True), ("NEW", None, None, True),
    ("NEW", 10, None, True), ("NEW", -5, None, True), ("NEW", True, None, True), ("NEW", "x", None, True),
    ("NEW", 10**30, None, True), ("NEW", [], None, True),
]
# fmt: on


@pytest.mark.parametrize(("name", "number", "to", "unlisted"), STATUSES)
def test_a_status_is_read_by_its_name_and_a_new_one_by_its_number(
    name: str, number: object, to: Status | None, unlisted: bool
) -> None:
    """A name that is not listed is marked."""
    found = read(pushed(messageStatusUpdate=[UPDATE | {"status": name, "statusCode": number}])).reports[0]
    assert (name, to, unlisted) == (found.network_status, found.to, found.unlisted)


# fmt: off
NOTHING: list[bytes] = [
    b"", b" \n", pushed(), pushed(somethingNew=[{}]), pushed(somethingNew=5, moText=None, messageStatusUpdate=None),
    pushed(messageStatusUpdate=[]), pushed(moText=[None, {}]),
]
WRONG: list[tuple[bytes, str]] = [
    (b"{", "JSON"), (b"[" * 60_000, "JSON"), (b"\xff", "JSON"), (b"[]", "event"), (b"{}", "event"), (b'{"event":[]}',
    "event"),
    (b'{"event":null}', "event"), (pushed(messageStatusUpdate={}), "messageStatusUpdate"),
    (pushed(messageStatusUpdate=[5]), "object"),
    (pushed(messageStatusUpdate=[UPDATE | {"status": ""}]), "status"),
    (pushed(messageStatusUpdate=[UPDATE | {"status": 5}]), "status"),
    (pushed(moText={}), "moText"), (pushed(moText=[TEXT | {"from": "..."}]), "from"),
    (pushed(moText=[TEXT | {"from": None}]), "from"),
    (pushed(moText=[TEXT | {"messageId": None}]), "messageId"), (pushed(moText=["x"]), "object"),
]
# fmt: on


@pytest.mark.parametrize("body", NOTHING)
def test_an_unknown_event_reports_nothing(body: bytes) -> None:
    """It is acknowledged."""
    assert Inbound() == read(body)


def test_statuses_of_another_application_s_messages_count_as_foreign() -> None:
    """Whatever they are; those of our messages in the same request count as ours."""
    theirs = [UPDATE | {"clientMessageId": "order 5"}, UPDATE | {"clientMessageId": None, "status": "?"}]
    assert Inbound(foreign=2) == read(pushed(messageStatusUpdate=theirs))
    assert Inbound((REPORT,), foreign=2) == read(pushed(messageStatusUpdate=[*theirs, UPDATE]))
    assert "moText: an event is not an object" == read(pushed(messageStatusUpdate=theirs, moText=[5])).problem


@pytest.mark.parametrize(("body", "about"), WRONG)
def test_an_unreadable_body_is_refused_with_a_sentence(body: bytes, about: str) -> None:
    """The gateway repeats it, so it is seen in both logs."""
    with pytest.raises(ValueError, match=about):
        read(body)


def test_a_wrong_event_does_not_take_the_others_with_it() -> None:
    """The good ones count, and the request is repeated for the other one."""
    found = read(pushed(messageStatusUpdate=[UPDATE, UPDATE | {"status": "?"}], moText=[5, TEXT]))
    assert ((REPORT,), (REPLY,)) == (found.reports, found.replies)
    assert found.problem.startswith("messageStatusUpdate: status")


BASE = {name: value for name, value in TEXT.items() if name != "content"}


def test_media_and_places_are_replies_with_their_text() -> None:
    """Somebody answered; what he sent stays with the gateway."""
    base = BASE
    picture, place = base | {"caption": "Here", "fileId": "f"}, base | {"latitude": 1.5, "longitude": 2.5}
    found = read(pushed(moMedia=[picture, base], moLocation=[place, place | {"name": "Home"}]))
    assert ["Here", "", "", "Home"] == [one.text for one in found.replies]


# fmt: off
MEDIA: list[tuple[dict[str, Any], list[tuple[str, int]]]] = [
    ({"contentType": "image/jpeg", "content": "QUJD"}, [("image/jpeg", 3)]),
    ({"contentType": "audio/ogg; codecs=opus", "content": {"omitted_octets": 9_000_000}}, [("audio/ogg", 9_000_000)]),
    ({"contentType": "IMAGE/PNG"}, [("image/png", 0)]), ({}, [("", 0)]), ({"contentType": 5, "content": 5}, [("", 0)]),
    ({"contentType": "a/b/c", "content": None}, [("", 0)]), ({"contentType": "<b>/x"}, [("", 0)]),
    ({"files": [{"contentType": "image/jpeg", "byteSize": 12345, "downloadUrl": "https://x/?sha256Hash=1"},
                {"contentType": "video/mp4", "byteSize": "9"}, None, 5]}, [("image/jpeg", 12345), ("video/mp4", 9)]),
    ({"files": [{"contentType": None, "byteSize": -1}]}, [("", 0)]), ({"files": {}}, [("", 0)]),
    ({"files": [], "contentType": "image/jpeg", "content": "QUJDRA=="}, [("image/jpeg", 4)]),
]
# fmt: on


@pytest.mark.parametrize(("fields", "expected"), MEDIA)
def test_of_media_the_type_and_size_are_known(fields: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    """In either form that the documents show: as base64, or as an address with a size."""
    (reply,) = read(pushed(moMedia=[BASE | {"caption": "Here"} | fields])).replies
    assert ("Here", expected) == (reply.text, [(one.type, one.octets) for one in reply.media])


def test_only_media_are_media() -> None:
    """The same fields in a text or a place are not a file."""
    other = BASE | {"contentType": "image/jpeg", "files": [{"byteSize": 5}]}
    found = read(pushed(moText=[other | {"content": "Yes"}], moLocation=[other | {"name": "Home"}])).replies
    assert [(), ()] == [one.media for one in found]


@pytest.mark.parametrize(("kind", "field"), [("moText", "content"), ("moMedia", "caption"), ("moLocation", "name")])
def test_a_text_that_was_dropped_for_its_length_is_refused(kind: str, field: str) -> None:
    """No phone sends 64 kB of text; an empty reply in its place would be wrong."""
    with pytest.raises(ValueError, match=f"{field} is too long for a text"):
        read(pushed(**{kind: [BASE | {field: {"omitted_octets": 60_000}}]}))


def test_a_reply_may_lack_fields_or_have_others() -> None:
    """Only an id and a sender are needed."""
    assert (
        InboundReply("5", "2799900001", "", "")
        == read(pushed(moText=[{"messageId": 5, "from": 2799900001}])).replies[0]
    )
    changed = {
        "content": "%00%E9",
        "charset": "UTF-16BE",
        "timestamp": "2026-01-01T00:00:00Z",
        "sms": {"udh": "050003010201"},
    }
    found = read(pushed(moText=[TEXT | changed])).replies[0]
    assert ("é", AT, ReplyPart(1, 2, 1)) == (found.text, found.at, found.part)
