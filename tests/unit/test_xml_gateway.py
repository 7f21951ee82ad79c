"""The XML API: the document that goes out in both its layers, and what each element of an answer is taken to mean."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.unit.test_vectors_wire import ITS_ID, NOW, TO, answered, sms
from threelane.contract import message
from threelane.contract.message import Draft, Message
from threelane.gateways.http import gateway as http
from threelane.gateways.xml.gateway import (
    order,
    read_balance,
    read_cancel,
    read_charge,
    read_coverage,
    read_look_up,
    read_send,
)
from threelane.worker.gateway.markup import document, rows_of
from threelane.worker.gateway.outcome import NO_PAYMENT, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.gateway.wire import HttpReply

OUR_ID = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
IDS = [ITS_ID, ITS_ID[:-1] + "2", ITS_ID[:-1] + "3"]
NUMBERS = [TO, "2799900002", "2799900003"]
# fmt: off
ALWAYS = {"to": "27999500001", "text": "Hello", "concat": "1", "queue": "3", "callback": "7", "deliv_ack": "1",
          "validity": "1440"}
FEATURES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({},                                        {}),
    ({"sender": "Acme"},                        {"from": "Acme"}),
    ({"mo": 1},                                 {"mo": "1"}),
    ({"escalate": 1},                           {"escalate": "1"}),
    ({"max_credits": "0.8"},                    {"max_credits": "0.8"}),
    ({"required_features": 16399},              {"req_feat": "16399"}),
    ({"type": "flash"},                         {"msg_type": "SMS_FLASH"}),
    ({"udh": "06050415810000"},                 {"udh": "06050415810000"}),
    ({"lane": 1},                               {"queue": "1"}),
    ({"callback": 2},                           {"callback": "2"}),
    ({"validity_period": 30},                   {"validity": "30"}),
    ({"text": "a" * 161},                       {"text": "a" * 161, "concat": "2"}),
    ({"text": "1 € < 2 & 3 > [2]"},             {"text": "1 € < 2 & 3 > [2]"}),
    ({"text": "a]]>b \"c\" 'd'\ne"},            {"text": "a]]>b \"c\" 'd'\ne"}),
    ({"text": "Ça va, señor Ωß?"},              {"text": "Ça va, señor Ωß?"}),
    ({"text": "page\fbreak"},                   {"text": "page\fbreak".encode("utf-16-be").hex().upper(),
                                                 "unicode": "1"}),
    ({"text": "page\f" + "b" * 100},            {"text": "page\n\n" + "b" * 100, "concat": "1"}),
    ({"text": "Привет"},                        {"text": "041F04400438043204350442", "unicode": "1"}),
    ({"text": "\U0001f600"},                    {"text": "D83DDE00", "unicode": "1"}),
]
# fmt: on


def accepted(**fields: Any) -> Message:
    """Return a message as accept makes it from a caller's fields."""
    draft = message.parse({"to": "27999500001", "text": "Hello", **fields}, NOW)
    assert isinstance(draft, Draft), draft
    return draft.message


def read(body: bytes) -> list[dict[str, str]]:
    """Return the children of each element of a request, as a server reads its form."""
    (field,) = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert "data" == field[0]
    root = ElementTree.fromstring(field[1])
    assert "clickAPI" == root.tag
    return [{leaf.tag: leaf.text or "" for leaf in element} for element in root]


@pytest.mark.parametrize(("fields", "sent"), FEATURES, ids=lambda one: ",".join(one))
def test_a_feature_becomes_the_element_that_the_api_has_for_it(fields: dict[str, Any], sent: dict[str, str]) -> None:
    """As a server reads it, through both layers of escaping."""
    one = accepted(**fields)
    _, (request,) = answered("xml", 200, b"", lambda made: made.send([one], NOW))
    own = {"api_id": "9001", "user": "ops", "password": "pw", "sequence_no": "1", "cliMsgId": one.id}
    assert [{**ALWAYS, **own, **sent}] == read(request.body)


def test_binary_data_goes_as_data_and_never_as_a_text() -> None:
    """As in the HTTP API."""
    one = accepted(text="", binary="024A3A", udh="06050415810000")
    sent = order(one, NOW)
    assert ("024a3a", "1", "06050415810000", None) == (sent["data"], sent["binary"], sent["udh"], sent.get("text"))


def test_each_message_has_credentials_an_id_and_a_number_of_its_own() -> None:
    """Each element is complete; an answer is matched by the number."""
    ids = [f"{number:032x}" for number in range(99)]
    _, (request,) = answered("xml", 200, b"", lambda made: made.send([sms(id=one) for one in ids], NOW))
    sent = read(request.body)
    assert [(one, str(number), "9001", "ops", "pw") for number, one in enumerate(ids, 1)] == [
        (one["cliMsgId"], one["sequence_no"], one["api_id"], one["user"], one["password"]) for one in sent
    ]


@given(some.text(some.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_a_text_comes_back_as_it_was_and_the_document_is_plain_ascii(text: str) -> None:
    """So no encoding has to be guessed; line ends are those that accept makes."""
    draft = message.parse({"to": TO, "text": text, "on_too_long": "cut"}, NOW)
    if not isinstance(draft, Draft):
        return
    sent = document("sendMsg", [order(draft.message, NOW)])
    assert sent.isascii()
    (element,) = ElementTree.fromstring(sent)
    found = element.findtext("text") or ""
    decoded = bytes.fromhex(found).decode("utf-16-be") if element.findtext("unicode") else found
    assert draft.message.text == decoded


@given(some.text(max_size=40), some.text(max_size=40))
def test_no_password_can_end_its_element(user: str, password: str) -> None:
    """Whatever it is, the document has the two elements and no other."""
    (element,) = ElementTree.fromstring(document("getBalance", [{"user": user, "password": password}]))
    assert ["user", "password"] == [leaf.tag for leaf in element]


def test_the_elements_are_the_http_api_s_parameters() -> None:
    """But for our id's name, and for the charset that a document does not need."""
    one = accepted(text="Ça va", sender="Acme", mo=1)
    form = http.form(one, NOW)
    assert {"climsgid", "charset"} == set(form) - set(order(one, NOW))
    assert {"cliMsgId"} == set(order(one, NOW)) - set(form)


# Answers.


def yes(number: int, gateway_id: str, more: str = "") -> str:
    return f"<sendMsgResp><apiMsgId>{gateway_id}</apiMsgId><sequence_no>{number}</sequence_no>{more}</sendMsgResp>"


def no(number: int | None, fault: str) -> str:
    row = "" if number is None else f"<sequence_no>{number}</sequence_no>"
    return f"<sendMsgResp><fault>{fault}</fault>{row}</sendMsgResp>"


def reply(*rows: str, status: int = 200) -> HttpReply:
    return HttpReply(status, f"<clickAPI>{''.join(rows)}</clickAPI>".encode())


def results_of(*rows: str) -> list[str]:
    """Return what each of three messages came to: an id, a code, or nothing."""
    return [one.gateway_id or one.code or "-" for one in read_send(reply(*rows), [(one, "") for one in NUMBERS])]


A, B, C = IDS
# fmt: off
BATCHES: list[tuple[list[str], list[str]]] = [
    ([yes(1, A), yes(2, B), yes(3, C)],                          [A, B, C]),
    ([yes(3, C), yes(1, A), yes(2, B)],                          [A, B, C]),
    ([yes(1, A), no(2, "105, Invalid"), yes(3, C)],              [A, "105", C]),
    ([yes(1, A), yes(3, C)],                                     [A, "-", C]),      # an element is missing
    ([yes(1, A), yes(2, B), yes(2, C)],                          [A, "-", "-"]),    # a number twice
    ([yes(1, A), yes(2, B), yes(4, C)],                          [A, B, "-"]),      # a number that is nobody's
    ([yes(1, A), yes(2, B), yes(3, C), yes(0, A)],               [A, B, C]),
    ([yes(1, A), f"<sendMsgResp><apiMsgId>{B}</apiMsgId></sendMsgResp>", yes(3, C)], [A, "-", C]),
    ([yes(1, A), no(None, "105, Invalid"), yes(3, C)],           [A, "-", C]),      # a fault that is nobody's
    ([yes(1, f"{A} To:{TO}"), yes(2, f"{B} To: 2799900002"), yes(3, C)], [A, B, C]),
    ([yes(1, f"{A} To:2799900002"), yes(2, B), yes(3, C)],       ["-", B, C]),      # somebody else's
    ([yes(1, ""), yes(2, "7e1c"), yes(3, f"{C} {C}")],           ["-", "-", "-"]),
    ([yes(1, A, "<fault>105, no</fault>"), yes(2, B), yes(3, C)], ["-", B, C]),     # both yes and no
    ([f"<queryMsgResp><apiMsgId>{A}</apiMsgId><sequence_no>1</sequence_no></queryMsgResp>"], ["-", "-", "-"]),
    # a fault of the whole document
    ([no(None, "001, Authentication failed")],                   ["001"] * 3),
    ([no(None, "007, IP lockdown")],                             ["007"] * 3),
    ([no(None, "301, No credit")],                               ["301"] * 3),
    ([no(None, "100, Data malformed")],                          ["100"] * 3),
    (["<xmlErrorResp><fault>100, Data malformed</fault></xmlErrorResp>"], ["100"] * 3),
    (["<fault>901, Internal error</fault>"],                     ["901"] * 3),
    ([no(None, "001, no")] * 3,                                  ["001"] * 3),
    ([no(None, "105, no")] * 3,                                  ["105"] * 3),      # each of them, in any order
    ([no(None, "105, Invalid")],                                 ["-"] * 3),        # one of them, but which
    ([no(None, "Something went wrong")],                         ["-"] * 3),
    ([no(None, "001, no"), no(None, "105, no")],                 ["-"] * 3),
    ([no(None, "001, no")] * 2,                                  ["-"] * 3),
    ([no(None, "001, no"), yes(2, B)],                           ["-", B, "-"]),
    ([],                                                         ["-"] * 3),
]
FAULTS = [
    ("105, Invalid destination address", "105", "Invalid destination address"), ("105,", "105", ""),
    ("130, until: 1767225600, or so", "130", "until: 1767225600, or so"), ("105,  two  words ", "105", "two words"),
    ("\n  105, Invalid\n", "105", "Invalid"), ("101, a &amp; b &lt;c&gt;", "101", "a & b <c>"),
]
NO_FAULTS = ["", "1, no", "12", "12,", "105", "105 , no", "1050, no", "Something went wrong", "105: no comma",
             "\u0661\u0660\u0665, no"]
NO_DOCUMENTS = [
    b"", b"OK", b"<html/>", b"<clickAPI>", b"<clickAPI/>", b"<clickAPI></clickAPI>x", b"\xff\xfe",
    f"<other>{yes(1, A)}</other>".encode(), f"<clickAPI><a>{yes(1, A)}</a></clickAPI>".encode(),
    f"<clickAPI>{yes(1, A)}".encode(), f"<clickAPI>text{yes(1, A)}</clickAPI>".encode(),
    f"<clickAPI><sendMsgResp>text<apiMsgId>{A}</apiMsgId></sendMsgResp></clickAPI>".encode(),
    f"<clickAPI><sendMsgResp><apiMsgId>{A}</apiMsgId>text</sendMsgResp></clickAPI>".encode(),
    f"<clickAPI><sendMsgResp><apiMsgId>{A}</apiMsgId><apiMsgId>{B}</apiMsgId></sendMsgResp></clickAPI>".encode(),
    f"<clickAPI><sendMsgResp><apiMsgId><b>{A}</b></apiMsgId></sendMsgResp></clickAPI>".encode(),
    f'<!DOCTYPE clickAPI><clickAPI>{yes(1, A)}</clickAPI>'.encode(),
    f'<!DOCTYPE clickAPI [<!ENTITY x "{A}">]><clickAPI>{yes(1, "&x;")}</clickAPI>'.encode(),
    f"<clickAPI>{yes(1, '&undeclared;')}</clickAPI>".encode(),
]
# fmt: on


@pytest.mark.parametrize(("rows", "expected"), BATCHES)
def test_answers_are_matched_by_their_number_and_by_nothing_else(rows: list[str], expected: list[str]) -> None:
    """Never by order; a message without an answer of its own may have been sent."""
    assert expected == results_of(*rows)


@pytest.mark.parametrize(("fault", "code", "text"), FAULTS)
def test_a_fault_is_a_code_and_a_text(fault: str, code: str, text: str) -> None:
    """Split at the first comma."""
    assert [AttemptOutcome(OutcomeKind.REFUSED, code=code, text=text)] == read_send(reply(no(1, fault)), [(TO, OUR_ID)])


@pytest.mark.parametrize("fault", NO_FAULTS)
def test_a_fault_without_three_digits_and_a_comma_is_unreadable(fault: str) -> None:
    """Half a code would be another code; the message may have been sent."""
    assert OutcomeKind.UNREADABLE == read_send(reply(no(1, fault)), [(TO, OUR_ID)])[0].kind


@pytest.mark.parametrize("body", NO_DOCUMENTS)
def test_an_invalid_document_means_nothing(body: bytes) -> None:
    """Nested deeper, given twice, with a document type, or cut: it may have been sent."""
    assert OutcomeKind.UNREADABLE == read_send(HttpReply(200, body), [(TO, OUR_ID)])[0].kind


@pytest.mark.parametrize(
    "body",
    [
        f"<clickAPI>{yes(1, A)}</clickAPI>",
        f"<clickAPI>{yes(1, A).replace('<sequence_no>1</sequence_no>', '')}</clickAPI>",  # there was only one
        f'<?xml version="1.0" encoding="utf-16"?>\n<clickAPI>\n  {yes(1, A)}\n</clickAPI>\n',
        f"<CLICKAPI>{yes(1, A).lower()}</CLICKAPI>",
        f"<clickAPI><!-- {B} -->{yes(1, f'<![CDATA[{A}]]>')}</clickAPI>",
        f"<clickAPI>{yes(1, A, f'<to>{TO}</to><cliMsgId>{OUR_ID}</cliMsgId><new/>')}</clickAPI>",
    ],
)
def test_a_yes_is_a_yes_however_it_is_written(body: str) -> None:
    """Space, case, comments and further elements change nothing."""
    assert [AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=A)] == read_send(
        HttpReply(200, body.encode()), [(TO, OUR_ID)]
    )


@pytest.mark.parametrize("status", [201, 202, 301, 400, 401, 500, 503])
def test_an_answer_in_another_status_than_200_is_not_this_api_s(status: int) -> None:
    """It answers 200 to everything."""
    assert OutcomeKind.UNREADABLE == read_send(reply(yes(1, A), status=status), [(TO, OUR_ID)])[0].kind


def test_a_lost_answer_is_lost_for_every_message_of_the_document() -> None:
    """All of them are requested."""
    outcomes, _ = answered("xml", 502, b"<html>", lambda made: made.send([sms(), sms(), sms()], NOW))
    assert [OutcomeKind.UNREADABLE] * 3 == [one.kind for one in outcomes]


def test_rows_are_read_with_their_tag() -> None:
    """In lower case; a text right below the root is a row, too."""
    assert [{"": "a", "b": "1", "c": ""}, {"": "fault", "fault": "x"}] == rows_of(
        b"<clickAPI><a><B> 1 </B><c/></a><fault>x</fault></clickAPI>", "clickapi"
    )


# Answers to questions.


def row(tag: str, **leaves: str) -> HttpReply:
    return reply(f"<{tag}>{''.join(f'<{name}>{text}</{name}>' for name, text in leaves.items())}</{tag}>")


# fmt: off
LOOK_UPS = [
    (row("queryMsgResp", apiMsgId=A, status="003"),                LookUp(Known.FOUND, A, "003")),
    (row("queryMsgResp", apiMsgId=A, status="003", sequence_no="1"), LookUp(Known.FOUND, A, "003")),
    (row("queryMsgResp", apiMsgId=A, status="00B"),                LookUp(Known.FOUND, A, "011")),
    (row("queryMsgResp", apiMsgId=A, status="001"),                LookUp(Known.NO_STATUS, A, "001")),
    (row("queryMsgResp", fault="104, Unknown"),                    LookUp(Known.NOT_FOUND, text="Unknown")),
    (row("xmlErrorResp", fault="104, Unknown"),                    LookUp(Known.NOT_FOUND, text="Unknown")),
]
NO_LOOK_UPS = [
    row("queryMsgResp", fault="103, Unknown"), row("queryMsgResp", fault="001, no"), row("queryMsgResp", apiMsgId=A),
    row("queryMsgResp", apiMsgId=A, status="3"), row("queryMsgResp", apiMsgId=A[:-1], status="003"),
    row("queryMsgResp", status="003"), row("queryMsgResp", apiMsgId=A, status="x"), reply(), HttpReply(200, b"104"),
    row("queryMsgResp", fault="104, Unknown", apiMsgId=A), row("queryMsgResp", apiMsgId="", status="003"),
    reply("<queryMsgResp><fault>104, no</fault></queryMsgResp>" * 2), row("sendMsgResp", apiMsgId=A, status="003"),
    HttpReply(500, row("queryMsgResp", fault="104, Unknown").body), HttpReply(200, b""),
]
CHARGES = [
    (row("getMsgChargeResp", apiMsgId=A, charge="0.8", status="004"), 800_000), (row("getMsgChargeResp"), None),
    (row("getMsgChargeResp", charge="free"), None), (row("getMsgChargeResp", fault="104, no"), None),
    (row("getMsgChargeResp", fault="104, no", charge="1"), None), (row("queryMsgResp", charge="1"), None),
]
CANCELS: list[tuple[HttpReply, tuple[bool | None, str, str]]] = [
    (row("delMsgResp", apiMsgId=A, status="006"), (True, "006", "")),
    (row("delMsgResp", apiMsgId=A, status="004"), (False, "004", "")),
    (row("delMsgResp", fault="103, Unknown"), (False, "", "103")),
    (row("delMsgResp", apiMsgId=A), (None, "", "")), (HttpReply(200, b""), (None, "", "")),
    (row("queryMsgResp", apiMsgId=A, status="006"), (None, "", "")),
]
COVERAGES: list[tuple[HttpReply, tuple[bool | None, int | None]]] = [
    (row("routeCoverageResp", ok="Supported", charge="1"), (True, 1_000_000)),
    (row("routeCoverageResp", ok="Supported"), (True, None)),
    (row("routeCoverageResp", fault="114, Cannot route"), (False, None)),
    (row("routeCoverageResp", fault="001, no"), (None, None)), (row("routeCoverageResp", charge="1"), (None, None)),
    (HttpReply(500, b""), (None, None)),
]
BALANCES: list[tuple[HttpReply, float | str]] = [
    (row("getBalanceResp", ok="250.40"), 250.4), (row("getBalanceResp", ok="-1"), -1.0),
    (row("getBalanceResp", fault="001, Authentication failed"), "001 Authentication failed"),
    (row("getBalanceResp", ok="lots"), "HTTP 200 <clickAPI><getBalanceResp><ok>lots</ok></getBalanceResp></clickAPI>"),
    (HttpReply(200, b""), "HTTP 200"), (HttpReply(502, b"<html>"), "HTTP 502 <html>"),
]
# fmt: on


@pytest.mark.parametrize(("answer", "found"), LOOK_UPS)
def test_a_look_up_returns_the_status_or_not_found(answer: HttpReply, found: LookUp) -> None:
    """By our id."""
    assert found == read_look_up(answer, "104")


@pytest.mark.parametrize("answer", NO_LOOK_UPS)
def test_only_a_plain_104_means_not_found(answer: HttpReply) -> None:
    """It is what a second SMS would be sent for."""
    assert Known.FAILED == read_look_up(answer, "104").known


def test_a_look_up_requests_the_status_and_then_the_charge() -> None:
    """By our id, and then by the gateway's."""
    body = row("queryMsgResp", apiMsgId=A, status="004").body
    found, requests = answered("xml", 200, body, lambda made: made.look_up(OUR_ID))
    assert LookUp(Known.FOUND, A, "004") == found
    assert [("cliMsgId", OUR_ID), ("apiMsgId", A)] == [list(read(one.body)[0].items())[-1] for one in requests]


@pytest.mark.parametrize(("answer", "amount"), CHARGES)
def test_a_charge_is_read_or_none(answer: HttpReply, amount: int | None) -> None:
    """In millionths of a credit."""
    assert amount == read_charge(answer)


@pytest.mark.parametrize(("answer", "expected"), CANCELS)
def test_a_message_is_stopped_only_by_its_status(answer: HttpReply, expected: tuple[Any, ...]) -> None:
    """Otherwise it was too late, or it is unknown."""
    found = read_cancel(answer)
    assert expected == (found.stopped, found.status, found.code)


@pytest.mark.parametrize(("answer", "expected"), COVERAGES)
def test_coverage_is_yes_no_or_unknown(answer: HttpReply, expected: tuple[Any, ...]) -> None:
    """A fault of the account gives no information about a number."""
    found = read_coverage(answer)
    assert expected == (found.routable, found.charge_millionths)


@pytest.mark.parametrize(("answer", "expected"), BALANCES)
def test_the_balance_is_returned_or_the_reason_it_cannot_be(answer: HttpReply, expected: float | str) -> None:
    """A worker starts all the same."""
    assert expected == read_balance(answer)


def test_this_api_takes_no_vouchers() -> None:
    """Answered without a request."""
    payment, requests = answered("xml", 200, b"", lambda made: made.pay("1111"))
    assert (NO_PAYMENT, []) == (payment, requests)
