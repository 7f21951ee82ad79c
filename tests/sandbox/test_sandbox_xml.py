"""The XML API: documents of requests, an answer to each, and documents that are refused."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.sandbox import xml_document
from threelane.sandbox.apis import FORM_TYPE
from threelane.sandbox.codes import ERRORS
from threelane.sandbox.running import Running

TO = "27820000001"
GOOD = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}
BROKEN = "<clickAPI><xmlErrorResp><fault>100, Data malformed</fault></xmlErrorResp></clickAPI>"
WaitUntil = Callable[[Callable[[], Any]], Any]


def element(tag: str, credentials: dict[str, str] = GOOD, **children: str) -> str:
    """Returns one element with its credentials."""
    texts = {**credentials, **children}.items()
    return f"<{tag}>{''.join(f'<{name}>{escape(text)}</{name}>' for name, text in texts)}</{tag}>"


def ask(sandbox: Running, *elements: str) -> list[dict[str, str]]:
    """Returns the rows of an answer, each with its tag and its children in order."""
    root = ElementTree.fromstring(sandbox.xml(f"<clickAPI>{''.join(elements)}</clickAPI>"))
    assert root.tag == "clickAPI"
    return [{"tag": row.tag, **{child.tag: child.text or "" for child in row}} for row in root]


def one(sandbox: Running, tag: str, **children: str) -> dict[str, str]:
    """Returns the only row of a document of one element, without its tag."""
    [row] = ask(sandbox, element(tag, **children))
    assert row.pop("tag") == f"{tag}Resp"
    return row


def send(sandbox: Running, to: str = TO, text: str = "Hello", **children: str) -> dict[str, str]:
    """Returns the row of a send."""
    return one(sandbox, "sendMsg", to=to, text=text, **children)


def test_an_accepted_message_answers_its_id(sandbox: Running) -> None:
    """The whole answer, byte for byte; the ledger says by which API it came."""
    answer = sandbox.xml(f"<clickAPI>{element('sendMsg', to=TO, text='Hello', sequence_no='7')}</clickAPI>")
    [message] = sandbox.control("GET", "ledger")["messages"]
    row = f"<sendMsgResp><apiMsgId>{message['id']}</apiMsgId><sequence_no>7</sequence_no></sendMsgResp>"
    assert answer == f"<clickAPI>{row}</clickAPI>"
    assert (message["api"], message["text"], message["options"]["sequence_no"]) == ("xml", "Hello", "7")
    assert not set(GOOD) & set(message["options"])


def test_several_messages_in_a_document_get_a_row_each(sandbox: Running) -> None:
    """Taken and refused ones in their order, each with its sequence number."""
    numbers = (TO, "12", "27820000002")
    rows = ask(
        sandbox,
        *(
            element("sendMsg", to=to, text="x", cliMsgId=f"c{index}", sequence_no=str(index))
            for index, to in enumerate(numbers)
        ),
    )
    assert [sorted(row) for row in rows] == [
        ["apiMsgId", "sequence_no", "tag"],
        ["fault", "sequence_no", "tag"],
        ["apiMsgId", "sequence_no", "tag"],
    ]
    assert [row["sequence_no"] for row in rows] == ["0", "1", "2"]
    assert rows[1]["fault"] == "105, Invalid Destination Address"
    taken = sandbox.control("GET", "ledger")["messages"]
    assert [(each["client_id"], each["id"]) for each in taken] == [
        ("c0", rows[0]["apiMsgId"]),
        ("c2", rows[2]["apiMsgId"]),
    ]


def test_a_comma_list_gets_a_row_for_each_with_the_number_glued_on(sandbox: Running) -> None:
    """The sequence number on each."""
    rows = ask(sandbox, element("sendMsg", to=f"{TO},12,27820000002", text="x", sequence_no="9"))
    assert {row["sequence_no"] for row in rows} == {"9"}
    assert re.fullmatch(f"[0-9a-f]{{32}} To:{TO}", rows[0]["apiMsgId"])
    assert rows[1]["fault"] == "105, Invalid Destination Address To:12"
    assert re.fullmatch("[0-9a-f]{32} To:27820000002", rows[2]["apiMsgId"])


# fmt: off
REFUSED: dict[str, list[dict[str, str]]] = {
    "101": [
        {"to": ""}, {"to": ",".join([TO] * 301)}, {"queue": "0"}, {"callback": "8"}, {"concat": "4"}, {"mo": "2"},
        {"escalate": "yes"}, {"unicode": "2"}, {"validity": "10081"}, {"req_feat": "x"}, {"max_credits": "x"},
        {"max_credits": "7"}, {"queue": "9" * 5000},
    ],
    "102": [{"udh": "zz"}],
    "105": [{"to": "letters"}, {"to": "+27820000001"}, {"to": "<&>"}],
    "106": [{"from": "MuchTooLongName"}, {"from": "Acme", "data": "ff00"}],
    "107": [{"text": ""}],
    "112": [{"msg_type": "SMS_HOLOGRAM"}],
    "113": [{"text": "a" * 460}, {"text": "a" * 161, "concat": "1"}],
    "114": [{"to": "99900000001"}],
    "116": [{"unicode": "1", "text": "1F600"}],
    "120": [{"deliv_time": "10081"}, {"deliv_time": "9" * 400}, {"cliMsgId": "has space"}, {"cliMsgId": "été"}],
    "302": [{"to": "447700000001", "max_credits": "1.5"}],
}
# fmt: on


@pytest.mark.parametrize(
    ("children", "code"), [(children, code) for code, causes in REFUSED.items() for children in causes]
)
def test_each_refusal_is_a_fault_with_the_gateways_code(sandbox: Running, children: dict[str, str], code: str) -> None:
    """And words as everywhere; never charged."""
    assert send(sandbox, **children) == {"fault": f"{code}, {ERRORS[code]}"}
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert (list(summary["refused"]), summary["charged"]) == ([code], "0.000")


def test_every_element_brings_its_own_credentials(sandbox: Running) -> None:
    """One that is wrong does not spoil its neighbours."""
    rows = ask(
        sandbox,
        element("sendMsg", {**GOOD, "user": "nobody"}, to=TO, text="x"),
        element("sendMsg", {**GOOD, "password": "guess"}, to=TO, text="x"),
        element("sendMsg", {**GOOD, "api_id": "9001"}, to=TO, text="x"),
        element("sendMsg", {"session_id": "0" * 32}, to=TO, text="x"),
        element("sendMsg", {}, to=TO, text="x"),
        element("getBalance"),
    )
    assert [row.get("fault", "")[:3] for row in rows] == ["002", "001", "108", "003", "005", ""]
    assert rows[-1] == {"tag": "getBalanceResp", "ok": "100000.000"}
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["messages"] == 0


def test_a_session_stands_for_the_credentials(sandbox: Running) -> None:
    """`auth` opens it, every element takes it, the HTTP API too."""
    session = {"session_id": one(sandbox, "auth")["session_id"]}
    rows = ask(sandbox, element("ping", session), element("sendMsg", session, to=TO, text="x"))
    assert rows[0] == {"tag": "pingResp", "ok": ""}
    assert "apiMsgId" in rows[1]
    assert sandbox.request("GET", f"/http/ping?session_id={session['session_id']}")[1] == b"OK: "
    assert ask(sandbox, element("auth", {**GOOD, "password": "x"}))[0]["fault"] == "001, Authentication failed"
    assert ask(sandbox, element("auth", {}))[0]["fault"] == "001, Authentication failed"


@pytest.mark.parametrize("key", ["apiMsgId", "cliMsgId"])
def test_a_message_is_found_by_either_id(sandbox: Running, wait_until: WaitUntil, key: str) -> None:
    """Status, charge, and too late to stop."""
    id = send(sandbox, text="a" * 161, cliMsgId="c1")["apiMsgId"]
    which = {key: {"apiMsgId": id, "cliMsgId": "c1"}[key]}
    wait_until(lambda: one(sandbox, "queryMsg", **which) == {"apiMsgId": id, "status": "004"})
    assert one(sandbox, "getMsgCharge", **which) == {"apiMsgId": id, "charge": "1.6", "status": "004"}
    assert one(sandbox, "delMsg", **which, sequence_no="5") == {"apiMsgId": id, "status": "004", "sequence_no": "5"}


@pytest.mark.parametrize("tag", ["queryMsg", "getMsgCharge", "delMsg"])
def test_an_unknown_or_missing_id_has_its_own_code(sandbox: Running, tag: str) -> None:
    """103 of the gateway's id, 104 of the client's, 109 when there is none, also when its tag is misspelt."""
    assert one(sandbox, tag, apiMsgId="0" * 32) == {"fault": "103, Unknown API message ID"}
    assert one(sandbox, tag, cliMsgId="nobody") == {"fault": "104, Unknown client message ID"}
    assert one(sandbox, tag) == {"fault": "109, Missing message ID"}
    assert one(sandbox, tag, climsgid="nobody") == {"fault": "109, Missing message ID"}


def test_a_scheduled_message_can_be_stopped(sandbox: Running) -> None:
    """Status 006, its charge given back."""
    id = send(sandbox, deliv_time="60", cliMsgId="later")["apiMsgId"]
    assert one(sandbox, "queryMsg", cliMsgId="later")["status"] == "011"
    assert one(sandbox, "delMsg", cliMsgId="later") == {"apiMsgId": id, "status": "006"}
    assert one(sandbox, "getBalance") == {"ok": "100000.000"}


def test_a_lagging_look_up_does_not_find_what_was_taken(sandbox: Running) -> None:
    """As on the HTTP API."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 60})
    id = send(sandbox, cliMsgId="c1")["apiMsgId"]
    assert one(sandbox, "queryMsg", cliMsgId="c1") == {"fault": "104, Unknown client message ID"}
    assert one(sandbox, "queryMsg", apiMsgId=id) == {"apiMsgId": id, "status": "001"}


def test_coverage_tells_the_price_of_a_number(sandbox: Running) -> None:
    """114 where no route leads."""
    supported = {"ok": "This prefix is currently supported.", "charge": "2"}
    assert one(sandbox, "routeCoverage", msisdn="447700000001") == supported
    assert one(sandbox, "routeCoverage", msisdn="99900000001") == {"fault": "114, Cannot route message"}
    assert one(sandbox, "routeCoverage") == {"fault": "101, Invalid or missing parameters"}


def test_an_unknown_element_is_answered_in_its_place(sandbox: Running) -> None:
    """Tags are case-sensitive, so `sendmsg` is one."""
    rows = ask(sandbox, element("sendmsg", to=TO, text="x"), element("startbatch"), element("ping"))
    fault = "101, Invalid or missing parameters"
    assert rows == [
        {"tag": "sendmsgResp", "fault": fault},
        {"tag": "startbatchResp", "fault": fault},
        {"tag": "pingResp", "ok": ""},
    ]
    assert ask(sandbox) == []


def test_every_child_is_kept_and_does_what_its_parameter_does(sandbox: Running) -> None:
    """Under the names and with the rules of the HTTP API."""
    children = {
        **{"cliMsgId": "c1", "from": "12025550100", "concat": "2", "queue": "1", "callback": "7", "mo": "1"},
        **{"escalate": "1", "max_credits": "1.5", "req_feat": "8240", "msg_type": "SMS_FLASH", "validity": "60"},
        **{"deliv_ack": "1", "deliv_time": "10", "invented": "kept"},
    }
    send(sandbox, **children)
    [message] = sandbox.control("GET", "ledger")["messages"]
    assert message["options"] == {**children, "to": TO, "text": "Hello"}
    expected = {"client_id": "c1", "from": "12025550100", "queue": 1, "callback": 7, "status": "011"}
    assert {name: message[name] for name in expected} == expected


# --- documents


def post(sandbox: Running, document: bytes, content_type: str = FORM_TYPE) -> str:
    """Returns the answer to a document of any bytes."""
    body = b"data=" + quote_from_bytes(document).encode("ascii")
    status, answer = sandbox.request("POST", "/xml/xml", body, content_type)
    assert status == 200
    return answer.decode()


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ("", "utf-8"),
        ("\ufeff", "utf-8"),
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "utf-8"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>", "latin-1"),
        ('<?xml version="1.0" encoding="windows-1252"?>', "cp1252"),
    ],
)
def test_a_text_is_read_in_the_documents_own_encoding(sandbox: Running, head: str, codec: str) -> None:
    """UTF-8 when it names none; two layers of escapes come off, spaces stay."""
    post(sandbox, f"{head}<clickAPI>{element('sendMsg', to=TO, text=' café & <b> ')}</clickAPI>".encode(codec))
    [message] = sandbox.control("GET", "ledger")["messages"]
    assert message["text"] == " café & <b> "


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE clickAPI [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True))
    + "]><clickAPI><sendMsg><text>&j;</text></sendMsg></clickAPI>"
)
OUTSIDE = '<!DOCTYPE clickAPI [<!ENTITY x SYSTEM "file:///etc/passwd">]><clickAPI><ping><ok>&x;</ok></ping></clickAPI>'


# fmt: off
UNREADABLE = [
    b"<clickAPI>", b"<clickAPI></clickapi>", b"nonsense", b"<clickapi></clickapi>", b"<a/>", b"<clickAPI/>more",
    b"<clickAPI><ping><ok>&undeclared;</ok></ping></clickAPI>", b"<clickAPI>\xff</clickAPI>",
    b"<clickAPI><x:ping xmlns:x='y'/></clickAPI>", b"<clickAPI>\x00</clickAPI>", b"<clickAPI><a>&#0;</a></clickAPI>",
    BOMB.encode(), OUTSIDE.encode(), b"<!DOCTYPE clickAPI><clickAPI/>",
    b'<?xml version="1.0" encoding="utf-16"?><clickAPI/>', "<clickAPI/>".encode("utf-16"), BOMB.encode("utf-16"),
    b'<?xml version="1.0" encoding="cp037"?><clickAPI/>', b'<?xml version="1.0" encoding="utf-7"?><clickAPI/>',
    b"<clickAPI>" + b"<a>" * 200_000, b"<clickAPI>" + b"<a/>" * 200_000 + b"</clickAPI>",
    b"<clickAPI><ping><text>" + b"x" * (5 * 1024 * 1024) + b"</text></ping></clickAPI>",
]
# fmt: on


@pytest.mark.parametrize("document", UNREADABLE, ids=map(str, range(len(UNREADABLE))))
def test_a_document_that_cannot_be_read_is_one_fault_100(sandbox: Running, document: bytes) -> None:
    """Broken, another root, entities of any kind in any encoding, nested or long without end."""
    assert post(sandbox, document) == BROKEN
    assert one(sandbox, "getBalance") == {"ok": "100000.000"}


@pytest.mark.parametrize("document", UNREADABLE, ids=map(str, range(len(UNREADABLE))))
def test_a_document_is_refused_at_once(document: bytes) -> None:
    """An expanded bomb would take minutes; time of this process alone counts, since the machine may be busy."""
    begun = time.process_time()
    assert xml_document.read(document) is None
    assert time.process_time() - begun < 3


def test_without_a_form_or_its_field_there_is_no_document(sandbox: Running) -> None:
    """001 as on the HTTP API, 101 for the field."""
    fault = "<clickAPI><xmlErrorResp><fault>{}</fault></xmlErrorResp></clickAPI>"
    assert post(sandbox, b"<clickAPI/>", "text/xml") == fault.format("001, Authentication failed")
    answer = sandbox.request("POST", "/xml/xml", b"other=1", FORM_TYPE)
    assert answer == (200, fault.format("101, Invalid or missing parameters").encode())


def test_a_large_document_is_read_whole(sandbox: Running) -> None:
    """Some hundreds of messages."""
    sends = (element("sendMsg", to=f"2782{index:07d}", text="x", cliMsgId=f"c{index}") for index in range(500))
    assert len({row["apiMsgId"] for row in ask(sandbox, *sends)}) == 500


@given(some.binary() | some.text(alphabet="<>/&;!ab clikAPI[]\"'=x#").map(str.encode))
def test_no_octets_are_more_than_refused(octets: bytes) -> None:
    """Elements or nothing, never an exception."""
    for document in (octets, b"<clickAPI>" + octets + b"</clickAPI>"):
        found = xml_document.read(document)
        assert found is None or isinstance(found, list)


@given(some.lists(some.dictionaries(some.sampled_from(["to", "text", "fault"]), some.text())))
def test_whatever_is_written_is_a_document(rows: list[dict[str, str]]) -> None:
    """Also with characters that XML has no way to write."""
    written = xml_document.write([xml_document.Element("pingResp", row) for row in rows])
    assert len(ElementTree.fromstring(written.decode())) == len(rows)
