"""What the HTTP, REST and XML APIs report, in every form in which it may come."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest

from threelane.store.states import Status
from threelane.worker.inbound import central
from threelane.worker.inbound.report import Inbound, InboundReply, ReplyPart, StatusReport

OURS = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
ITS = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
STATUS = {"api_id": "9001", "apiMsgId": ITS, "cliMsgId": OURS, "timestamp": "1767225600", "to": "2799900001"}
STATUS |= {"from": "", "status": "004", "charge": "0.300000"}
MO = {
    "api_id": "9001",
    "moMsgId": "b7a1",
    "from": "2799900001",
    "to": "12025550100",
    "timestamp": "2031-03-05 10:20:30",
}
MO |= {"charset": "ISO-8859-1", "udh": "", "text": "Yes"}
MO_AT = 1_930_465_230_000  # 08:20:30 UTC
KEPT_TEXT = "status=004 timestamp=1767225600 charge=0.300000"
REPORT = StatusReport(OURS, ITS, "004", Status.DELIVERED, 300_000, KEPT_TEXT, at=1767225600_000)
REPLY = InboundReply("b7a1", "2799900001", "12025550100", "Yes", MO_AT)


def form(fields: dict[str, str]) -> bytes:
    return urlencode(fields).encode()


def document(fields: dict[str, str], root: str = "clickAPI") -> str:
    return f"<{root}>{''.join(f'<{name}>{value}</{name}>' for name, value in fields.items())}</{root}>"


def report(query: bytes = b"", body: bytes = b"") -> StatusReport:
    found = central.read(query, body)
    assert (1, 0, "") == (len(found.reports), len(found.replies), found.problem)
    return found.reports[0]


def reply(query: bytes = b"", body: bytes = b"") -> InboundReply:
    found = central.read(query, body)
    assert (0, 1, "") == (len(found.reports), len(found.replies), found.problem)
    return found.replies[0]


# In which forms.

REST = {"apiMessageId": ITS, "clientMessageId": OURS, "messageStatus": "004", "charge": 0.3, "timestamp": 1767225600}
# fmt: off
FORMS: dict[str, tuple[bytes, bytes]] = {
    "GET": (form(STATUS), b""),
    "form": (b"", form(STATUS)),
    "half in each": (form(dict(list(STATUS.items())[:3])), form(dict(list(STATUS.items())[3:]))),
    "twice the same": (form(STATUS), form(STATUS)),
    "upper case": (form({name.upper(): value for name, value in STATUS.items()}), b""),
    "a line end": (b"", form(STATUS) + b"\r\n"),
    "XML": (b"", document(STATUS).encode()),
    "XML, any root": (b"", document(STATUS, "callback").encode()),
    "XML, upper case": (b"", document({name.upper(): value for name, value in STATUS.items()}, "X").encode()),
    "XML, declared": (b"", b'\xef\xbb\xbf<?xml version="1.0" encoding="ISO-8859-1"?>\n' + document(STATUS).encode()),
    "XML, UTF-16": (b"", ('<?xml version="1.0" encoding="UTF-16"?>' + document(STATUS)).encode("utf-16")),
    "XML, lines": (b"", document({name: f"\n  {value}\n" for name, value in STATUS.items()}).encode()),
    "XML, CDATA": (b"", document({name: f"<![CDATA[{value}]]>" for name, value in STATUS.items()}).encode()),
    "XML, entities": (b"", document(STATUS | {"status": "&#48;0&#x34;"}).encode()),
    "XML, deeper": (b"", b"<a><b>" + document(STATUS, "c").encode() + b"</b></a>"),
    "XML, SOAP": (b"", b'<s:Envelope xmlns:s="urn:s"><s:Body>' + document(STATUS,
    "s:c").encode() + b"</s:Body></s:Envelope>"),
    "XML in a form": (b"", form({"data": document(STATUS)})),
    "XML in a query": (form({"data": document(STATUS)}), b""),
    "JSON, classic": (b"", json.dumps(STATUS).encode()),
    "JSON, wrapped": (b"", json.dumps({"data": STATUS}).encode()),
    "JSON in a form": (b"", form({"data": json.dumps(STATUS)})),
    "JSON, a mark": (b"", b"\xef\xbb\xbf " + json.dumps(STATUS).encode()),
    "JSON, nulls": (b"", json.dumps(STATUS | {"from": None, "udh": None, "text": [], "other": {"a": [1]}}).encode()),
}
# fmt: on


@pytest.mark.parametrize(("query", "body"), FORMS.values(), ids=FORMS)
def test_a_status_is_understood_in_every_form(query: bytes, body: bytes) -> None:
    """GET, form, XML and JSON are offered in the console."""
    assert REPORT == report(query, body)


@pytest.mark.parametrize("status", ["004", "4", 4, 4.0])
@pytest.mark.parametrize("charge", ["0.300000", "0.3", 0.3, 0.29999999999999993])
def test_json_may_have_numbers_for_texts(status: object, charge: object) -> None:
    """The keys are not published, and neither are the types."""
    found = report(b"", json.dumps(REST | {"messageStatus": status, "charge": charge}).encode())
    assert ("004", Status.DELIVERED, 300_000) == (found.network_status, found.to, found.charge_millionths)


def test_a_reply_is_understood_in_every_form() -> None:
    """At either address."""
    in_json = json.dumps({name.lower(): value for name, value in MO.items()}).encode()
    in_xml = document(MO, "clickmo").encode()
    bodies = [form(MO), in_xml, form({"data": in_xml.decode()}), in_json]
    assert [REPLY] * 5 == [reply(form(MO)), *(reply(b"", body) for body in bodies)]


@pytest.mark.parametrize(("query", "body"), [(b"", b""), (b"", b"\r\n"), (b"&", b""), (b"status=&cliMsgId=", b"")])
def test_a_probe_reports_nothing(query: bytes, body: bytes) -> None:
    """The address is tried without parameters."""
    assert Inbound() == central.read(query, body)


# What a status reports.


# fmt: off
STATUSES: list[tuple[str, str, Status | None, bool]] = [
    ("001", "001", None, False), ("002", "002", Status.SENT, False), ("3", "003", Status.SENT, False),
    ("4", "004", Status.DELIVERED, False), ("008", "008", Status.SENT, False), ("00A", "010", Status.EXPIRED, False),
    ("00b", "011", Status.SENT, False), ("C", "012", Status.UNDELIVERED, False), ("13", "013", Status.CANCELLED, False),
    ("014", "014", Status.UNDELIVERED, False), ("015", "015", None, True), ("777", "777", None, True),
    ("000", "000", None, True), ("00D", "00d", None, True), ("400", "400", None, True),
]
# fmt: on


@pytest.mark.parametrize(("written", "code", "to", "unlisted"), STATUSES)
def test_a_status_is_known_or_marked_as_unlisted(written: str, code: str, to: Status | None, unlisted: bool) -> None:
    """What no table knows moves nothing, and is to be looked at."""
    found = report(form(STATUS | {"status": written}))
    assert (code, to, unlisted) == (found.network_status, found.to, found.unlisted)
    assert f"status={written} " in found.text


def test_a_missing_field_is_left_open() -> None:
    """An id and a status are enough."""
    assert StatusReport(OURS, "", "003", Status.SENT, None, "status=003") == report(
        form({"cliMsgId": OURS, "status": "003"})
    )


def test_the_report_is_kept_as_it_was_written_without_numbers_of_people() -> None:
    """One line, truncated, without anything that identifies the recipient."""
    pushed = STATUS | {"description": "Failed for 2799900001\r\n\x1b[31m now " + "x" * 200, "charge": "1.50"}
    kept = report(form(pushed)).text
    assert kept.startswith("status=004 timestamp=1767225600 charge=1.50 description=Failed for ... [31m now xxx")
    assert len(kept) <= 200
    assert not any(hidden in kept for hidden in ("2799900001", "\x1b", "\n", "9001", ITS))
    assert 200 == len(report(form(pushed | {"timestamp": "t" * 500, "charge": "0" * 500 + "1"})).text)


@pytest.mark.parametrize("theirs", ["", "order-4711", OURS[1:], OURS + "0", OURS + "\n", "../../etc/passwd"])
def test_a_status_of_another_application_s_message_counts_as_foreign(theirs: str) -> None:
    """It is not a mistake: the account may have other users, whose messages have ids of their own, or none."""
    assert Inbound(foreign=1) == central.read(form(STATUS | {"cliMsgId": theirs}), b"")


@pytest.mark.parametrize("unreadable", [{"status": "DELIVRD"}, {"status": ""}, {"status": "0004"}, {"charge": "free"}])
def test_whose_status_it_is_counts_before_what_it_is(unreadable: dict[str, str]) -> None:
    """Another application's integration may have statuses in words; a refused one is repeated 8 times."""
    assert Inbound(foreign=1) == central.read(form(STATUS | {"cliMsgId": "order-4711"} | unreadable), b"")
    with pytest.raises(ValueError, match=r"status|charge"):
        central.read(form(STATUS | unreadable), b"")


def test_a_status_with_the_id_of_a_reply_is_a_status() -> None:
    """One client has seen moMsgId in status callbacks."""
    assert REPORT == report(form(STATUS | {"moMsgId": "1"}))
    assert REPORT == report(form(STATUS | {"moMsgId": "1", "text": ""}))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"cliMsgId": "", "apiMsgId": ""}, "cliMsgId and apiMsgId"),
    ({"cliMsgId": "", "status": "", "moMsgId": "1"}, "status"),
    ({"status": ""}, "status"),
    ({"status": "delivered"}, "status"),
    ({"status": "0004"}, "status"),
    ({"status": "-4"}, "status"),
    ({"status": "4.5"}, "status"),
    ({"status": "004\n"}, "status"),
    ({"status": "\u0664"}, "status"),
    ({"charge": "free"}, "charge"),
    ({"charge": "-0.8"}, "charge"),
    ({"charge": "nan"}, "charge"),
    ({"charge": "1e999999999"}, "charge"),
    ({"charge": "0,8"}, "charge"),
]


@pytest.mark.parametrize(("changed", "field"), WRONG)
def test_an_invalid_value_is_refused_with_its_field(changed: dict[str, str], field: str) -> None:
    """The sentence goes to the log and to the gateway: it holds no value."""
    with pytest.raises(ValueError, match=field) as refused:
        central.read(form(STATUS | changed), b"")
    assert not any(value and value in str(refused.value) for value in changed.values())


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (form(STATUS) + b"&status=003", b""),
        (form(STATUS), b"STATUS=003"),
        (form(STATUS) + b"&CLIMSGID=" + b"0" * 32, b""),
        (b"", document(STATUS).encode().replace(b"</clickAPI>", b"<status>003</status></clickAPI>")),
        (form({"data": document(STATUS)}), b"status=003"),
    ],
)
def test_a_field_given_twice_with_different_values_is_refused(query: bytes, body: bytes) -> None:
    """It is not clear which one is meant."""
    with pytest.raises(ValueError, match="occurs twice"):
        central.read(query, body)


def test_an_empty_repetition_takes_nothing_away() -> None:
    """Before or behind the value."""
    assert REPORT == report(b"status=&" + form(STATUS) + b"&status=&cliMsgId=")


# What a reply contains.


@pytest.mark.parametrize("encode", [quote, quote_plus])
@pytest.mark.parametrize(
    ("charset", "codec"),
    [("ISO-8859-1", "latin-1"), ("Windows-1252", "cp1252"), ("UTF-8", "utf-8"), ("utf-16be", "utf-16-be")],
)
def test_a_text_is_read_by_its_charset(charset: str, codec: str, encode: Any) -> None:
    """Octets first, then characters; a space is "+" or %20."""
    text = "Ça va & où + 100% = ÿ? "
    query = form(MO | {"charset": charset, "text": ""}) + b"&text=" + encode(text.encode(codec), safe="").encode()
    assert text == reply(query).text


def test_utf_16_is_read_from_octets_with_letters_left_as_they_are() -> None:
    """As Java encodes it: octets that are letters stay letters, and a space is %00+."""
    written = b"text=%04%1F%04%40%048%042%045%04B%00%2C+%00+%046%00!&charset=UTF-16BE&moMsgId=1&from=2799900001"
    with_a_slip = written.replace(b"%2C+%00+", b"%2C%00+")
    assert "Привет, ж!" == reply(with_a_slip).text
    assert reply(written).text  # an odd number of octets is not UTF-16: something is left to read


# fmt: off
CHARSETS = [
    ("%E9", "ISO-8859-1", "é"), ("%80", "ISO-8859-1", "€"), ("%80", "windows-1252", "€"), ("%81", "ISO-8859-1", "\x81"),
    ("%E9", "UTF-8", "é"), ("%C3%A9", "UTF-8", "é"), ("%C3%A9", "", "é"), ("%E9", "", "é"), ("%E9", "x-none", "é"),
    ("%C3%A9", "x-none", "é"), ("%C3%A9", "ISO-8859-1", "Ã©"), ("%A4", "ISO-8859-15", "€"), ("%F2", "KOI8-R", "ò"),
    ("a", "UTF-16BE", "a"), ("%00a%00", "UTF-16BE", "\x00a\x00"), ("%FE%FF%00a", "UTF-16", "a"),
    ("%FF%FEa%00", "UTF-16BE", "a"), ("a%00", "UTF-16LE", "a"), ("%D8=%DE%00", "UTF-16BE", "😀"),
    ("%EF%BB%BFa", "UTF-8", "a"), ("%zz%", "UTF-8", "%zz%"), ("1%2B1", "UTF-8", "1+1"), ("STOP", "utf_7", "STOP"),
    ("STOP", "zlib", "STOP"), ("STOP", "\x00", "STOP"), ("%00S%00T%00O%00P", "\"UCS2\"", "STOP"), ("", "UTF-8", ""),
    ("%D8=", "UTF-16BE", "\ufffd"), ("%DE%00%D8=", "UTF-16BE", "\ufffd\ufffd"), ("%A3", "us-ascii", "£"),
]
# fmt: on


@pytest.mark.parametrize(("written", "charset", "text"), CHARSETS)
def test_a_wrong_charset_loses_no_reply(written: str, charset: str, text: str) -> None:
    """By the named one, or else as UTF-8, or else as Windows-1252."""
    query = form(MO | {"charset": charset, "text": ""}) + b"&text=" + written.encode()
    assert text == reply(query).text
    text.encode()


def test_a_text_in_xml_is_read_in_the_charset_of_its_document() -> None:
    """Entities, CDATA, spaces at its ends, and a declared encoding."""
    written = '<?xml version="1.0" encoding="ISO-8859-1"?>' + document(
        MO | {"text": "caf\xe9 &#233; &lt;3 <![CDATA[<b>&]]> "}
    )
    for octets in (written.encode("latin-1"), written.encode()):
        assert "café é <3 <b>& " == reply(b"", octets).text
        assert "café é <3 <b>& " == reply(b"", b"data=" + quote_plus(octets).encode()).text


# fmt: off
DOCUMENTS = [
    ("%00S%00t%00o%00p", "UTF-16BE", "Stop"), ("STOP", "UTF-16BE", "STOP"), ("caf%E9%20x", "ISO-8859-1", "café x"),
    ("1+1=2", "ISO-8859-1", "1+1=2"), ("50% off", "ISO-8859-1", "50% off"), ("%C3%A9", "UTF-8", "%C3%A9"),
    ("%41", "", "%41"), ("é%41", "ISO-8859-1", "é%41"), ("😀", "UTF-16BE", "😀"),
]
# fmt: on


@pytest.mark.parametrize(("written", "charset", "text"), DOCUMENTS)
def test_a_text_in_a_document_is_percent_decoded_only_where_it_evidently_is_encoded(
    written: str, charset: str, text: str
) -> None:
    """It is not published whether it is; the Portal's is."""
    pushed = MO | {"text": written, "charset": charset}
    assert [text] * 2 == [reply(b"", body).text for body in (json.dumps(pushed).encode(), document(pushed).encode())]


# fmt: off
HEADERS = [
    ("050003050201", ReplyPart(5, 2, 1)), ("050003FF0302", ReplyPart(255, 3, 2)),
    ("050003ff0302", ReplyPart(255, 3, 2)), ("05 00 03 05 02 01", ReplyPart(5, 2, 1)),
    ("05:00:03:05:02:01", ReplyPart(5, 2, 1)),
    ("06080412340202", ReplyPart(0x1234, 2, 2)),
    ("0B05040B84C002000003050201", None), ("0B0504158115810003050201", ReplyPart(5, 2, 1)), ("050103050202", None),
    ("050003050200", None), ("050003050203", None), ("050003050001", None), ("050003050101", None), ("", None),
    ("0500030502", None), ("05000305020", None), ("zz", None), ("ff", None), ("00", None), ("0400020502", None),
    ("06080412340200", None), ("050003050201" + "00" * 40, ReplyPart(5, 2, 1)), ("\u0665", None),
]
# fmt: on


@pytest.mark.parametrize(("udh", "part"), HEADERS)
def test_parts_are_recognised_by_their_header(udh: str, part: ReplyPart | None) -> None:
    """Other headers and impossible numbers make a message of its own."""
    assert part == reply(form(MO | {"udh": udh})).part


# fmt: off
MOMENTS = [
    ("2031-03-05 10:20:30", MO_AT), ("2031-03-05T10:20:30", MO_AT), ("2031-03-05T08:20:30Z", MO_AT),
    ("2031-03-05 09:20:30 +0100", MO_AT), ("2031-03-05 10:20:30.500", MO_AT + 500), ("1930465230", MO_AT),
    ("1930465230000", MO_AT), ("", 0), ("yesterday", 0), ("2031-13-05 10:20:30", 0), ("-1", 0), ("0", 0),
    ("9" * 16, 0), ("9" * 5000, 0), ("0001-01-01 00:00:00", 0), ("9999-12-31 23:59:59", 253402293599000), ("\u0661", 0),
    ("nan", 0), ("1e9", 0),
]
# fmt: on


@pytest.mark.parametrize(("written", "at"), MOMENTS)
def test_a_reply_has_its_moment_from_gmt_plus_2_or_none(written: str, at: int) -> None:
    """A strange clock loses no reply."""
    assert at == reply(form(MO | {"timestamp": written})).at


# fmt: off
SENDERS = [
    ("2799900001", "2799900001"), ("+2799900001", "2799900001"), ("002799900001", "2799900001"), ("41411", "41411"),
    (" 2799900001", "2799900001"), ("+27 99-990 00-01", "27999900001"), ("123", "123"),
]
# fmt: on


@pytest.mark.parametrize(("written", "digits"), SENDERS)
def test_a_sender_is_written_as_messages_to_it_are(written: str, digits: str) -> None:
    """So that the sender of a STOP is found again."""
    assert digits == reply(form(MO | {"from": written})).from_


@pytest.mark.parametrize(
    ("written", "name"),
    [("VODAFONE", "VODAFONE"), (" MyBank\nUK ", "MyBank UK"), ("12", "12"), ("9" * 16, "9" * 16), ("x" * 99, "x" * 64)],
)
def test_a_sender_that_is_a_name_is_reported_as_given(written: str, name: str) -> None:
    """On one line of at most 64 characters: networks and banks reply, too."""
    assert name == reply(form(MO | {"from": written})).from_


@pytest.mark.parametrize("sender", ["", "  ", "\x00", "+", "..."])
def test_a_reply_without_a_sender_is_refused(sender: str) -> None:
    """Without a sender it can neither be answered nor be suppressed."""
    with pytest.raises(ValueError, match="from"):
        central.read(form(MO | {"from": sender}), b"")


def test_a_reply_names_the_message_that_it_answers_if_given() -> None:
    """The id of one of our messages, if it has that form."""
    found = reply(form(MO | {"cliMsgId": OURS.upper(), "apiMsgId": ITS, "network": "V\x1bodacom"}))
    assert (OURS, ITS, "V odacom") == (found.related_id, found.related_gateway_id, found.network)
    assert "" == reply(form(MO | {"cliMsgId": "theirs"})).related_id


def test_an_empty_reply_is_a_reply() -> None:
    """Someone sent an SMS without a text."""
    assert "" == reply(form(MO | {"text": ""})).text


@pytest.mark.parametrize("missing", ["moMsgId", "text"])
def test_a_reply_without_a_mandatory_field_is_refused(missing: str) -> None:
    """It is not a status either."""
    with pytest.raises(ValueError, match="missing"):
        central.read(form({name: value for name, value in MO.items() if name != missing}), b"")


# fmt: off
HOSTILE: dict[str, bytes] = {
    "nothing of a form": b"foo", "empty values": b"a=&b=", "octets": bytes(range(256)),
    "too many fields": b"a=1&" * 200,
    "many names": b"&".join(b"f%d=1" % n for n in range(60)), "empty JSON": b"{}", "a list": b"[]",
    "nested": b"[" * 60_000,
    "nested objects": b'{"a":' * 10_000, "a long number": b'{"status":' + b"9" * 6000 + b"}",
    "no number": b'{"status":NaN}',
    "half JSON": b'{"messageId":', "XML that ends": b"<a><status>004", "empty XML": b"<a/>",
    "deep XML": b"<a>" * 20_000,
    "data of another kind": b"data=hello",
    "entities": b'<!DOCTYPE a [<!ENTITY s "004">]>' + document(STATUS | {"status": "&s;"}).encode(),
    "a bomb": b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "' % (98 + n) + b"&%c;" % (97 + n) * 10 + b'">' for n in range(9)) + b"]><a>&j;</a>",
    "a file": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><status>&x;</status></a>',
    "a document type": b'<!DOCTYPE a SYSTEM "http://localhost/x.dtd">' + document(STATUS).encode(),
    "an unknown entity": document(STATUS | {"status": "&nbsp;"}).encode(),
    "a strange encoding": b'<?xml version="1.0" encoding="utf-7"?><a>+ADw-status+AD4-</a>',
    "a bomb in a field": b"data=" + quote_plus('<!DOCTYPE a [<!ENTITY s "004">]><a>&s;</a>').encode(),
}
# fmt: on


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_is_refused_like_any_other(body: bytes) -> None:
    """With a sentence, at once."""
    with pytest.raises(ValueError, match=r"\w"):
        central.read(b"", body)
