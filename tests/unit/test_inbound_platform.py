"""What the Portal's HTTP and REST APIs report, by GET and as JSON."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from threelane.store.states import Status
from threelane.worker.inbound import platform
from threelane.worker.inbound.platform import NAMES
from threelane.worker.inbound.report import Inbound, InboundReply, ReplyPart, StatusReport
from threelane.worker.policy.statuses import STATUSES

OURS = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
ITS = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
AT = 1_767_225_600_000
STATUS = {"integrationName": "shop", "messageId": ITS, "requestId": None, "clientMessageId": OURS, "to": "2799900001"}
STATUS |= {
    "from": None,
    "statusCode": 4,
    "status": "RECEIVED_BY_RECIPIENT",
    "statusDescription": "Received",
    "timestamp": AT,
}
MO = {
    "integrationId": "i",
    "messageId": ITS,
    "replyMessageId": "r2",
    "fromNumber": "2799900001",
    "toNumber": "12025550100",
}
MO |= {"timestamp": AT, "text": "Yes", "charset": "UTF-8", "udh": "", "network": "n", "keyword": None}


def as_json(fields: object) -> bytes:
    return json.dumps(fields).encode()


def as_query(fields: dict[str, Any]) -> bytes:
    return urlencode({name: "" if value is None else value for name, value in fields.items()}).encode()


def report(fields: dict[str, Any]) -> StatusReport:
    """Return what a status reports, the same by GET and as JSON."""
    found = platform.read(b"", as_json(fields))
    assert found == platform.read(as_query(fields), b"")
    return found.reports[0]


def reply(fields: dict[str, Any]) -> InboundReply:
    return platform.read(b"", as_json(fields)).replies[0]


def test_a_status_is_read_by_its_number() -> None:
    """In the legacy numbering, where 4 is the handset's word."""
    kept = "status=4 timestamp=1767225600000 description=Received"
    assert StatusReport(OURS, ITS, "004", Status.DELIVERED, None, kept, at=1767225600_000, estimated=True) == report(
        STATUS
    )
    upper = {name.upper(): value for name, value in STATUS.items()}
    assert report(STATUS) == report(upper)


@pytest.mark.parametrize("code", range(1, 15))
def test_every_number_means_the_same_as_in_the_legacy_apis(code: int) -> None:
    """As a number, a text, with a fraction or with zeros."""
    expected = (f"{code:03d}", STATUSES[f"{code:03d}"], False)
    for written in (code, str(code), f"{code:03d}"):
        found = report(STATUS | {"statusCode": written})
        assert expected == (found.network_status, found.to, found.unlisted)
    assert expected[1] == platform.read(b"", as_json(STATUS | {"statusCode": float(code)})).reports[0].to


@pytest.mark.parametrize(("name", "code"), NAMES.items())
def test_the_early_shape_is_read_by_its_name(name: str, code: str) -> None:
    """It has no statusCode."""
    early = {key: value for key, value in STATUS.items() if key != "statusCode"}
    for written in (name, name.lower().replace("_", " ")):
        found = report(early | {"status": written})
        assert (code, STATUSES[code], False) == (found.network_status, found.to, found.unlisted)
    assert ("004", Status.DELIVERED) == (
        report(early | {"status": "004"}).network_status,
        report(early | {"status": 4}).to,
    )


# fmt: off
UNLISTED: list[tuple[object, str, str]] = [
    (-1, "?", "-1"), (0, "OK", "000"), (15, "RECEIVED_BY_RECIPIENT", "015"), (777, "", "777"), (2004, "", "2004"),
    (None, "NEW_KIND", "NEW_KIND"), ("", "?", "?"),
]
# fmt: on


@pytest.mark.parametrize(("code", "name", "network_status"), UNLISTED)
def test_an_unlisted_status_is_marked_and_moves_nothing(code: object, name: str, network_status: str) -> None:
    """It is answered, so that it is not repeated for days, and looked at."""
    found = report(STATUS | {"statusCode": code, "status": name})
    assert (network_status, None, True) == (found.network_status, found.to, found.unlisted)


@pytest.mark.parametrize("theirs", [None, "", "order-4711", "0" * 31, 5])
def test_a_message_of_another_application_is_passed_over(theirs: object) -> None:
    """It is not a mistake, and creates nothing; it is counted."""
    assert Inbound(foreign=1) == platform.read(b"", as_json(STATUS | {"clientMessageId": theirs}))


@pytest.mark.parametrize("unreadable", [{"statusCode": "abc"}, {"statusCode": None, "status": "Something new, really"}])
def test_whose_status_it_is_counts_before_what_it_is(unreadable: dict[str, object]) -> None:
    """A refused status of another application would be repeated for three days."""
    theirs = STATUS | {"clientMessageId": "order-4711"} | unreadable
    assert Inbound(foreign=1) == platform.read(b"", as_json(theirs))
    with pytest.raises(ValueError, match="status"):
        platform.read(b"", as_json(STATUS | unreadable))


def test_an_unreadable_reply_is_no_status_of_another_application() -> None:
    """It is refused, so that it is repeated and not lost."""
    with pytest.raises(ValueError, match="status"):
        platform.read(b"", as_json({name: value for name, value in MO.items() if name != "fromNumber"}))


# fmt: off
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messageId": None, "clientMessageId": None}, "messageId"), ({"messageId": "", "clientMessageId": ""},
    "messageId"),
    ({"statusCode": "four"}, "statusCode"), ({"statusCode": 4.5}, "statusCode"), ({"statusCode": "\u0664"},
    "statusCode"),
    ({"statusCode": None, "status": None}, "statusCode"), ({"statusCode": True, "status": {}}, "statusCode"),
    ({"statusCode": None, "status": "<b>"}, "status"), ({"statusCode": 10**6}, "statusCode"),
]
BODIES: list[bytes] = [b"{}", b"[]", b"foo", b'"foo"', b"null", b'{"messageId":', b'{"statusCode": 4}', b"<a/>",
                       b"[" * 60_000]
# fmt: on


@pytest.mark.parametrize(("changed", "field"), WRONG)
def test_an_invalid_status_is_refused_with_its_field(changed: dict[str, Any], field: str) -> None:
    """Anything instead of a number or a name."""
    with pytest.raises(ValueError, match=field):
        platform.read(b"", as_json(STATUS | changed))


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_not_a_callback_is_refused(body: bytes) -> None:
    """Not answered with 200: it was not understood."""
    with pytest.raises(ValueError, match=r"\w"):
        platform.read(b"", body)


def test_a_probe_reports_nothing() -> None:
    """Neither a query nor a body."""
    assert Inbound() == platform.read(b"", b"") == platform.read(b"", b"\n")


# Replies.


def test_a_reply_is_read_from_json_and_from_a_query() -> None:
    """With what it answers to."""
    expected = InboundReply("r2", "2799900001", "12025550100", "Yes", AT, "n", "", ITS)
    assert expected == reply(MO) == platform.read(as_query(MO), b"").replies[0]
    assert OURS == reply(MO | {"clientMessageId": OURS}).related_id


def test_alone_message_id_is_the_id_of_the_reply() -> None:
    """Another client knows it only so."""
    found = reply({"messageId": "1234", "fromNumber": 250788383383, "timestamp": str(AT), "text": "Hello World!"})
    assert ("1234", "", "250788383383", AT, "Hello World!") == (
        found.id,
        found.related_gateway_id,
        found.from_,
        found.at,
        found.text,
    )


# fmt: off
TEXTS = [
    ("Yes", "UTF-8", "Yes"), ("50% off + more", "UTF-8", "50% off + more"), ("%C3%A9", "UTF-8", "%C3%A9"),
    ("é 😀", "UTF-8", "é 😀"), ("%41", None, "%41"), ("hello%21", "ISO-8859-1", "hello!"), ("a+b%E9", "ISO-8859-1",
    "a bé"),
    ("1%2B1", "ISO-8859-1", "1+1"), ("%80", "Windows-1252", "€"), ("50% off", "ISO-8859-1", "50% off"),
    ("déjà+vu", "ISO-8859-1", "déjà+vu"), ("1 + 1", "ISO-8859-1", "1 + 1"), ("STOP", "UTF-16BE", "STOP"),
    ("%00k%00+%00%ED%00a%00.", "UTF-16BE", "k ía."), ("%D8%3D%DE%00", "UTF-16BE", "😀"), ("😀", "UTF-16BE", "😀"),
    ("%00", "UTF-16BE", "\x00"), ("", "ISO-8859-1", ""), (None, "ISO-8859-1", ""), (4711, "UTF-8", "4711"),
    ("%C3%A9", "no-such", "%C3%A9"),
]
# fmt: on


@pytest.mark.parametrize(("written", "charset", "text"), TEXTS)
def test_a_text_is_percent_encoded_in_its_charset_unless_that_is_utf_8(
    written: object, charset: str | None, text: str
) -> None:
    """A text that is evidently not encoded is left unchanged; otherwise the octets are decoded."""
    assert text == reply(MO | {"text": written, "charset": charset}).text


def test_the_text_of_a_query_is_decoded_once() -> None:
    """There the whole query is percent-encoded."""
    query = (
        as_query(MO | {"text": "", "charset": "UTF-16BE"}) + b"&text=" + quote_plus("é%41".encode("utf-16-be")).encode()
    )
    assert "é%41" == platform.read(query, b"").replies[0].text


def test_parts_and_moments_are_read_as_everywhere() -> None:
    """A date without a zone is UTC here."""
    found = reply(MO | {"udh": "050003AB0201", "timestamp": "2026-01-01T00:00:00"})
    assert (ReplyPart(0xAB, 2, 1), AT) == (found.part, found.at)
    assert 0 == reply(MO | {"timestamp": None}).at


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"fromNumber": " "}, "fromNumber"),
        ({"fromNumber": None}, "fromNumber"),
        ({"messageId": None, "replyMessageId": None}, "replyMessageId"),
    ],
)
def test_a_reply_without_a_sender_or_an_id_is_refused(changed: dict[str, Any], field: str) -> None:
    """Neither could be distinguished from another one."""
    with pytest.raises(ValueError, match=field):
        platform.read(b"", as_json(MO | changed))
