"""The HTTP API: the form that goes out, and what its line of text is taken to mean."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from threelane.contract import kinds, message
from threelane.contract.message import Draft, Message
from threelane.gateways.http.gateway import form, read_charge, read_look_up, read_send
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.gateway.wire import HttpReply

NOW = 1_800_000_000_000
MINUTE = 60_000
OUR_ID = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
TO = "27999500001"
EXCHANGES = json.loads(Path(__file__).with_name("data").joinpath("http_send.json").read_text(encoding="utf-8"))

# fmt: off
ALWAYS = {"to": TO, "climsgid": OUR_ID, "concat": "1", "queue": "3", "callback": "7", "deliv_ack": "1",
          "validity": "1440"}
# fmt: on


def sms(**fields: Any) -> Message:
    return Message(**{"id": OUR_ID, "to": TO, "expires_at": NOW + 1440 * MINUTE, "text": "Hello", **fields})


def accepted(**fields: Any) -> Message:
    """Return a message as accept makes it from a caller's fields."""
    draft = message.parse({"to": TO, "text": "Hello", **fields}, NOW)
    assert isinstance(draft, Draft), draft
    return draft.message


def test_the_plainest_message_has_only_the_mandatory_parameters() -> None:
    """Whatever is left out is left to the account's own settings."""
    assert {**ALWAYS, "text": "Hello"} == form(sms(), NOW)


# fmt: off
FEATURES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"sender": "Acme"},                        {"from": "Acme"}),
    ({"sender": "12025550100"},                 {"from": "12025550100"}),
    ({"mo": 1},                                 {"mo": "1"}),
    ({"escalate": 1},                           {"escalate": "1"}),
    ({"max_credits": "0.8"},                    {"max_credits": "0.8"}),
    ({"required_features": 16399},              {"req_feat": "16399"}),
    ({"required_features": 0},                  {"req_feat": "0"}),
    ({"type": "flash"},                         {"msg_type": "SMS_FLASH"}),
    ({"udh": "06050415810000"},                 {"udh": "06050415810000"}),
    ({"callback": 0, "deliv_ack": 1},           {"callback": "0", "deliv_ack": "1"}),
    ({"deliv_ack": 0},                          {"deliv_ack": "0"}),
    ({"lane": 1},                               {"queue": "1"}),
    ({"callback": 2},                           {"callback": "2", "deliv_ack": "1"}),
    ({"validity_period": 30},                   {"validity": "30"}),
    ({"text": "a" * 160},                       {"text": "a" * 160, "concat": "1"}),
    ({"text": "a" * 161},                       {"text": "a" * 161, "concat": "2"}),
    ({"text": "a" * 459},                       {"text": "a" * 459, "concat": "3"}),
    ({"text": "{" * 153},                       {"text": "{" * 153, "concat": "3"}),   # a pair is not split
    ({"text": "1 € = [2]"},                     {"text": "1 € = [2]", "charset": "UTF-8"}),
    ({"text": "[1] {2} ~^|\\"},                 {"text": "[1] {2} ~^|\\"}),            # GSM and ASCII both
    ({"text": "Ça va, señor Ωß?\n"},            {"text": "Ça va, señor Ωß?\n", "charset": "UTF-8"}),
    ({"text": "a`b"},                           {"text": "006100600062", "unicode": "1"}),  # ASCII, but not GSM
    ({"text": "Hi", "unicode": 1},              {"text": "00480069", "unicode": "1"}),
    ({"text": "Привет"},                        {"text": "041F04400438043204350442", "unicode": "1"}),
    ({"text": "\U0001f600"},                    {"text": "D83DDE00", "unicode": "1"}),   # both surrogates
    ({"text": "ç" * 71},                        {"text": "00E7" * 71, "unicode": "1", "concat": "2"}),
]
# fmt: on


@pytest.mark.parametrize(("fields", "sent"), FEATURES, ids=lambda one: ",".join(one) if isinstance(one, dict) else None)
def test_a_feature_becomes_the_parameters_that_the_api_has_for_it(fields: dict[str, Any], sent: dict[str, str]) -> None:
    """From the caller's fields to the parameters on the wire, and nothing else."""
    one = accepted(**fields)
    assert {**ALWAYS, "climsgid": one.id, "text": "Hello", **sent} == form(one, NOW)


def test_binary_data_goes_as_data_and_never_as_a_text() -> None:
    """A text has line breaks added to it on the way."""
    one = accepted(text="", binary="024A3A5585E195B198040042D9049741A69761781B617615617428B525D8", udh="06050415810000")
    sent = form(one, NOW)
    assert ("024A3A5585E195B198040042D9049741A69761781B617615617428B525D8", "1", "06050415810000") == (
        sent["data"].upper(),
        sent["binary"],
        sent["udh"],
    )
    assert "text" not in sent


@pytest.mark.parametrize("kind", kinds.OLD)
def test_an_old_type_goes_as_type_and_data_alone(kind: str) -> None:
    """As in the examples of the gateway's documents: it adds the header, and joins the parts whatever concat says."""
    one = accepted(text=None, type=kind, data="024A3A", mclass=1)
    wanted = {name: value for name, value in ALWAYS.items() if name != "text"}
    assert {**wanted, "climsgid": one.id, "msg_type": kind, "data": "024a3a", "mclass": "1"} == form(one, NOW)


def test_a_vcard_given_as_text_goes_as_data() -> None:
    """The gateway adds line breaks to a text; the lines of a card end with CR and LF."""
    sent = form(accepted(type="SMS_NOKIA_VCARD", text="BEGIN:VCARD\nEND:VCARD"), NOW)
    assert ("SMS_NOKIA_VCARD", "BEGIN:VCARD\r\nEND:VCARD") == (sent["msg_type"], bytes.fromhex(sent["data"]).decode())


def test_without_callbacks_no_receipts_are_requested_from_the_networks() -> None:
    """Without an endpoint nobody would get the handset receipts."""
    sent = form(accepted(callback=0), NOW)
    assert ("0", None) == (sent["callback"], sent.get("deliv_ack"))


# fmt: off
REMAINING = [  # accepted for 30 minutes, and sent after so many milliseconds -> minutes in the request
    (0, "30"), (1, "29"), (MINUTE, "29"), (29 * MINUTE, "1"), (29 * MINUTE + 59_999, "1"), (30 * MINUTE, "1"),
]
# fmt: on


@pytest.mark.parametrize(("later", "validity"), REMAINING)
def test_the_gateway_gets_the_remaining_validity(later: int, validity: str) -> None:
    """It counts from when it gets the message; whole minutes, never more than is left, and never none."""
    assert validity == form(accepted(validity_period=30), NOW + later)["validity"]


def test_the_client_id_is_ours_with_any_id_of_the_caller() -> None:
    """The caller's id is only unique to the caller; a callback has to find the record."""
    one = accepted(client_message_id="login4711", producer="shop")
    assert (one.id, 32) == (form(one, NOW)["climsgid"], len(one.id))


@given(
    text=some.text(some.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(str.strip),
    fields=some.fixed_dictionaries({}, optional={"mo": some.just(1), "sender": some.just("1"), "flash": some.just(1)}),
)
@example(text="cliMsgId", fields={})
def test_a_parameter_has_one_spelling_and_a_text_comes_back_as_it_was(text: str, fields: dict[str, Any]) -> None:
    """The API's names are case-sensitive and its manual has two spellings; the other end decodes the same text."""
    one = accepted(text=text, **({"type": "flash"} if fields.pop("flash", 0) else {}), **fields)
    sent = form(one, NOW)
    decoded = bytes.fromhex(sent["text"]).decode("utf-16-be") if sent.get("unicode") else sent["text"]

    assert len(sent) == len({name.lower() for name in sent})
    assert "cliMsgId" not in sent
    assert one.text == decoded
    assert sent["concat"] == str(one.parts)
    assert sent.get("unicode") or sent.get("charset") == "UTF-8" or sent["text"].isascii()


@pytest.mark.parametrize("exchange", [one for one in EXCHANGES if "request" in one], ids=lambda one: one["name"])
def test_a_request_has_the_fields_that_other_clients_send(exchange: dict[str, Any]) -> None:
    """Our requests contain those that other clients of this API are known to make."""
    request = exchange["request"]
    text = bytes.fromhex(request["text"]).decode("utf-16-be") if "unicode" in request else request["text"]
    fields = {"text": text, "to": "27999500001", "callback": request.get("callback", 7), "mo": request.get("mo", 0)}
    if "from" in request:
        fields["sender"] = request["from"]
    sent = form(accepted(**fields), NOW)
    own = {"to": request["to"], "climsgid": request.get("climsgid", OUR_ID)}
    assert request.items() <= (sent | own).items()


# Answers.


def read_of(answer: str) -> AttemptOutcome:
    """Return what an answer in HTTP 200 means for a message to TO."""
    return read_send(HttpReply(200, answer.encode()), TO)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda one: one["name"])
def test_an_answer_is_read_as_others_have_seen_it(exchange: dict[str, Any]) -> None:
    """Answers that other clients of this API are known to get."""
    to = exchange.get("request", {}).get("to", TO)
    outcome = read_send(HttpReply(200, exchange["answered"].encode()), to)
    expected = exchange["outcome"]
    assert expected == {name: getattr(outcome, name) for name in expected}


# fmt: off
YES = [
    f"ID: {ITS_ID}", f"ID: {ITS_ID}\n", f"ID: {ITS_ID}\r\n", f"ID: {ITS_ID} ", f"\n ID: {ITS_ID} \n\n",
    f"id: {ITS_ID}", f"Id: {ITS_ID}", f"iD:{ITS_ID}",
    f"apiMsgId: {ITS_ID}", f"APIMSGID: {ITS_ID}", f"apimsgid:{ITS_ID}",
    f"ID: {ITS_ID} To: {TO}", f"id: {ITS_ID} to: {TO}\n", f"apiMsgId: {ITS_ID} TO:{TO}",
]
NO = [
    ("ERR: 105, Invalid Destination Address",               "105", "Invalid Destination Address"),
    ("ERR: 105, Invalid Destination Address\n",             "105", "Invalid Destination Address"),
    ("ERR: 105, Invalid Destination Address \r\n",          "105", "Invalid Destination Address"),
    ("err: 105, invalid",                                   "105", "invalid"),
    ("Err:105,invalid",                                     "105", "invalid"),
    (f"ERR: 128, Number delisted To: {TO}",                 "128", "Number delisted"),
    (f"ERR: 128, Number delisted to:{TO}\n",                "128", "Number delisted"),
    ("ERR: 101, Invalid or missing: from, to, text: all",   "101", "Invalid or missing: from, to, text: all"),
    ("ERR: 130, limit exceeded until 1767225600",           "130", "limit exceeded until 1767225600"),
    ("ERR: 005,",                                           "005", ""),
]
NEITHER = [
    "ERR: 1, Authentication failed", "ERR: 01, Authentication failed", "ERR: 12,", "ERR: 5,", "ERR: 301", "ERR: 12",
    "ERR: 301 , No Credit Left", "ERR: 1234, a longer code", "ERR: Something went wrong", "ERR: 3 things went wrong",
    "ERR:", "ERR:  301, No Credit Left", "ERR: 128, Number delisted To: 2799900002", f"ID: {ITS_ID} To: 2799900002",
    f"ID: {ITS_ID[:-1]}", f"ID: {ITS_ID}0", f"ID: {ITS_ID[:-1]}g",
    "", " ", "\n\n", "OK", "OK:", f"OK: {ITS_ID}", "ERR", "ID", "ID:", "ID: ", "ID: 7e1c40b2", "service melting",
    "<html><head><title>502 Bad Gateway</title></head></html>", f"<p>ID: {ITS_ID}</p>", f"{ITS_ID}",
    f"MSGID: {ITS_ID}", f"ID {ITS_ID}", f"ID: {ITS_ID} Status: 003", f"ID: {ITS_ID} To: nobody", f"ID: {ITS_ID},",
    f"ID: {ITS_ID}{ITS_ID}{ITS_ID}", f"ID: {ITS_ID[:-1]}é", f"ID: {ITS_ID[:-1]}\u212a", f"ID: {ITS_ID[:-1]}\u017f",
    f"ID: {ITS_ID}\nID: {ITS_ID}", f"ID: {ITS_ID}\nERR: 301, No Credit Left", f"ERR: 301, No Credit\nID: {ITS_ID}",
    f"ID: {ITS_ID}\nTo: {TO}", f"ID:\n{ITS_ID}", f"ID: {ITS_ID}\rTo: {TO}", f"ID: {ITS_ID} To:\n{TO}",
    "ERR: 301, No Credit\nOK:", "ERR: 301, No Credit\rOK:", "ERR:\n301, No Credit", "ERR: 301, No Credit\x85OK:",
    "WARN: 301, low", "x ERR: 301, No Credit", f"ID: {ITS_ID} ID: {ITS_ID}", f"ID: {ITS_ID} To: \u0661\u0662\u0663",
    "\x00", "\ufeff", "null", "{}", f'{{"ID": "{ITS_ID}"}}',
]
# fmt: on


@pytest.mark.parametrize("answer", YES)
def test_a_yes_is_read_in_any_case_and_by_either_name(answer: str) -> None:
    """Keys differ in name and case between editions; the number may be repeated, a line end may follow."""
    assert AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID) == read_of(answer)


@pytest.mark.parametrize(("answer", "code", "text"), NO)
def test_a_no_is_split_at_its_first_comma(answer: str, code: str, text: str) -> None:
    """Descriptions have commas and colons; a code has three digits."""
    assert AttemptOutcome(OutcomeKind.REFUSED, code=code, text=text) == read_of(answer)


@pytest.mark.parametrize("answer", NEITHER)
def test_an_answer_that_is_neither_a_plain_yes_nor_a_plain_no_is_unreadable(answer: str) -> None:
    """It may have been sent: several lines for one message, pages of a proxy, half a line, an empty body."""
    assert OutcomeKind.UNREADABLE == read_of(answer).kind


def test_the_beginning_of_an_unreadable_answer_is_kept_on_one_line() -> None:
    """For the log: short, and without line breaks."""
    body = "<html>\r\n\t502 " + "x" * 500
    assert AttemptOutcome(OutcomeKind.UNREADABLE, text="HTTP 200 <html> 502 " + "x" * 69) == read_of(body)


EXACTLY_A_YES = re.compile(
    rb"[ \t\r\n]*(?:apimsg)?id:[ \t]*([0-9a-f]{32})(?:[ \t]+to:[ \t]*%b)?[ \t\r\n]*" % TO.encode(), re.IGNORECASE
)
TEMPLATES = [*YES, *(answer for answer, *_ in NO), *NEITHER]


@some.composite
def mutated(draw: some.DrawFn) -> bytes:
    """An answer with a few octets cut out, put in, or taken from another answer."""
    body = draw(some.sampled_from(TEMPLATES)).encode()
    for _ in range(draw(some.integers(1, 4))):
        at, length = draw(some.integers(0, len(body))), draw(some.integers(0, 6))
        put = draw(some.binary(max_size=4) | some.sampled_from([b"\n", b"ID: ", b"To: 1", b"ERR: ", b"\x00"]))
        body = body[:at] + put + body[at + length :]
    return body


@given(some.binary(max_size=300) | mutated() | some.text(max_size=100).map(str.encode))
@example(b"ID: " + b"\xff" * 32)
@example(b"\x1cID: " + ITS_ID.encode())
@example("\u2003ID: ".encode() + ITS_ID.encode())
def test_no_answer_raises_and_only_an_exact_yes_is_a_yes(body: bytes) -> None:
    """A message whose answer was wrongly read as a yes is never looked up."""
    outcome = read_send(HttpReply(200, body), TO)
    yes = EXACTLY_A_YES.fullmatch(body)
    assert (outcome.kind is OutcomeKind.ACCEPTED) == bool(yes)
    if yes:
        assert yes[1].decode() == outcome.gateway_id
    if outcome.kind is OutcomeKind.REFUSED:
        assert re.fullmatch(r"[0-9]{3}", outcome.code)
        assert len(body.strip().splitlines()) == 1


# Answers to questions about a message in doubt.

# fmt: off
LOOK_UPS = [
    (f"ID: {ITS_ID} Status: 003",            LookUp(Known.FOUND, ITS_ID, "003")),
    (f"id: {ITS_ID} status: 003\n",          LookUp(Known.FOUND, ITS_ID, "003")),
    (f"apiMsgId: {ITS_ID} status: 00A",      LookUp(Known.FOUND, ITS_ID, "010")),
    (f"ID: {ITS_ID} Status: 001",            LookUp(Known.NO_STATUS, ITS_ID, "001")),
    ("ERR: 104, Unknown client message ID",  LookUp(Known.NOT_FOUND, text="Unknown client message ID")),
    ("err: 104,",                            LookUp(Known.NOT_FOUND)),
]
NO_LOOK_UPS = [
    "", "OK", f"ID: {ITS_ID}", "ID: Status: 003", f"ID: {ITS_ID} Status: delivered", f"ID: {ITS_ID}\nStatus: 003",
    "ERR: 103, Unknown API message ID", "ERR: 001, Authentication failed", "ERR: 901, Internal error", "ERR: Unknown",
    "ERR: 1040, no", "104", "err: 104",
    f"ID: {ITS_ID} Status: 00", f"ID: {ITS_ID} Status: 3", "<p>ERR: 104, Unknown</p>",
    f"ERR: 104, Unknown\nID: {ITS_ID} Status: 004",
    f"ERR: 104, Unknown\rID: {ITS_ID} Status: 004", "ERR: \u0661\u0660\u0664, Unknown",
]
CHARGES = [
    (f"apiMsgId: {ITS_ID} charge: 0.8 status: 004", 800_000),
    (f"apiMsgId: {ITS_ID} cliMsgId: {OUR_ID} charge: 0.8 status: 004", 800_000),
    (f"ID: {ITS_ID} Charge: 0.8 Status: 004\n", 800_000),
    ("status: 004 charge: 1.6", 1_600_000),
    ("Charge: 0", None), (f"ID: {ITS_ID} Charge: 0", None), (f"ID: {ITS_ID} Charge: 0.8", None),
    ("ERR: 104, Unknown client message ID", None), ("charge: free", None), ("discharge: 0.8", None), ("", None),
]
# fmt: on


@pytest.mark.parametrize(("answer", "found"), LOOK_UPS)
def test_a_look_up_returns_the_status_or_not_found(answer: str, found: LookUp) -> None:
    """Status 001 means neither: the gateway's reports may be late."""
    assert found == read_look_up(HttpReply(200, answer.encode()))


@pytest.mark.parametrize("answer", NO_LOOK_UPS)
def test_only_a_plain_104_means_not_found(answer: str) -> None:
    """It is what a second SMS would be sent for."""
    assert Known.FAILED == read_look_up(HttpReply(200, answer.encode())).known


@given(some.binary(max_size=200))
def test_no_answer_to_a_question_raises(body: bytes) -> None:
    """Nor is noise ever a 104."""
    assert read_look_up(HttpReply(200, body)).known is not Known.NOT_FOUND or b"104" in body
    assert (read_charge(HttpReply(200, body)) or 0) >= 0


@pytest.mark.parametrize(("answer", "amount"), CHARGES)
def test_a_charge_has_a_status_in_the_same_line(answer: str, amount: int | None) -> None:
    """Editions differ in names, case and order."""
    assert amount == read_charge(HttpReply(200, answer.encode()))
