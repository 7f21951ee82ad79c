"""Central REST: the JSON that goes out, and what its answers are taken to mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.test_vectors_wire import ITS_ID, MINUTE, NOW, TO, answered, sms
from threelane.contract import message
from threelane.contract.message import Draft, Message
from threelane.gateways.rest.gateway import order, read_balance, read_cancel, read_coverage, read_look_up, read_send
from threelane.worker.gateway.outcome import NO_PAYMENT, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.gateway.wire import HttpReply

OUR_ID = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
# fmt: off
ALWAYS = {"to": ["27999500001"], "text": "Hello", "maxMessageParts": 1, "userPriorityQueue": 3, "callback": 7,
          "validityPeriod": 1440}
FEATURES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({},                                        {}),
    ({"sender": "Acme"},                        {"from": "Acme"}),
    ({"sender": "12025550100"},                 {"from": "12025550100"}),
    ({"mo": 1},                                 {"mo": 1}),
    ({"escalate": 1},                           {"escalate": 1}),
    ({"max_credits": "0.8"},                    {"maxCredits": 0.8}),
    ({"max_credits": 1},                        {"maxCredits": 1}),
    ({"required_features": 16399},              {"requiredFeatures": 16399}),
    ({"required_features": 0},                  {"requiredFeatures": 0}),
    ({"type": "flash"},                         {"type": "SMS_FLASH"}),
    ({"udh": "06050415810000"},                 {"udh": "06050415810000"}),
    ({"lane": 1},                               {"userPriorityQueue": 1}),
    ({"callback": 2},                           {"callback": 2}),
    ({"callback": 0},                           {"callback": 0}),
    ({"validity_period": 30},                   {"validityPeriod": 30}),
    ({"bypass_dnc": 1},                         {"bypassDNCCheck": 1}),
    ({"bypass_dnc": 0},                         {}),
    ({"text": "a" * 161},                       {"text": "a" * 161, "maxMessageParts": 2}),
    ({"text": "1 € = [2]"},                     {"text": "1 € = [2]"}),
    ({"text": "Привет"},                        {"text": "041F04400438043204350442", "unicode": 1}),
    ({"text": "Hi", "unicode": 1},              {"text": "00480069", "unicode": 1}),
    ({"text": "\U0001f600"},                    {"text": "D83DDE00", "unicode": 1}),
    ({"text": "ç" * 71},                        {"text": "00E7" * 71, "unicode": 1, "maxMessageParts": 2}),
    ({"text": "", "binary": "024a3a", "udh": "06050415810000"},
     {"text": "024a3a", "binary": 1, "udh": "06050415810000"}),
]
# fmt: on


def accepted(**fields: Any) -> Message:
    """Return a message as accept makes it from a caller's fields."""
    draft = message.parse({"to": "27999500001", "text": "Hello", **fields}, NOW)
    assert isinstance(draft, Draft), draft
    return draft.message


@pytest.mark.parametrize(("fields", "sent"), FEATURES, ids=lambda one: ",".join(one))
def test_a_feature_becomes_the_field_that_the_api_has_for_it(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    """Names and types as in its table of features, and nothing else."""
    one = accepted(**fields)
    body = order(one, NOW)
    assert {**ALWAYS, "clientMessageId": one.id, **sent} == body
    assert json.dumps(body, sort_keys=True) == json.dumps(json.loads(msgspec.json.encode(body)), sort_keys=True)


@pytest.mark.parametrize(("later", "minutes"), [(0, 30), (1, 29), (29 * MINUTE + 59_999, 1), (31 * MINUTE, 1)])
def test_the_gateway_gets_the_remaining_validity(later: int, minutes: int) -> None:
    """Whole minutes, never more than is left, and never none."""
    assert minutes == order(accepted(validity_period=30), NOW + later)["validityPeriod"]


def test_a_request_has_one_recipient_and_a_look_up_means_one_message() -> None:
    """A client id is shared by all recipients of a request."""
    outcomes, (request,) = answered("rest", 202, yes(), lambda made: made.send([sms()], NOW))
    assert ([AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID)], [TO]) == (
        outcomes,
        json.loads(request.body)["to"],
    )


# Answers to a message.


def entry(**fields: Any) -> bytes:
    """Return an answer with one entry; a field that is None is left out."""
    content = {"accepted": True, "to": TO, "apiMessageId": ITS_ID, **fields}
    return msgspec.json.encode({"data": {"message": [{k: v for k, v in content.items() if v is not None}]}})


def yes() -> bytes:
    return entry()


def error(code: Any, **more: Any) -> dict[str, Any]:
    return {"code": code, "description": "so it says", "documentation": "http://example.org", **more}


# fmt: off
YES = [(status, body) for status in (200, 201, 202, 207) for body in (
    entry(), entry(to=None), entry(to="+" + TO), entry(to=int(TO)), entry(error=False), entry(error=""),
    b'{"data": {"message": [{"accepted": true, "apiMessageId": "%b", "error": null}]}, "error": null}'
    % ITS_ID.encode())]
NO: list[tuple[int, bytes, str, str]] = [
    (202, entry(accepted=False, apiMessageId=None, error=error("105")),  "105", "so it says"),
    (202, entry(accepted=False, apiMessageId="", error=error(105)),      "105", "so it says"),
    (207, entry(accepted=False, apiMessageId=None, error=error("1")),    "001", "so it says"),
    (207, entry(accepted=None, apiMessageId=None, error=error("113")),   "113", "so it says"),
    (400, entry(accepted=False, apiMessageId=None, error=error("101")),  "101", "so it says"),
    (410, entry(accepted=False, apiMessageId=None, error=error("121")),  "121", "so it says"),
    (410, entry(accepted=False, apiMessageId=None, error=error("129")),  "129", "so it says"),
    (503, entry(accepted=False, apiMessageId=None, error=error("901")),  "901", "so it says"),
    (202, entry(accepted=False, apiMessageId=None, error="blocked"),     "none", "blocked"),
    (202, entry(accepted=False, apiMessageId=None),                      "none", ""),
    (202, entry(accepted=False, apiMessageId=None, errorCode=106, errorDescription="no sender"), "106", "no sender"),
    (202, entry(accepted=False, apiMessageId=None, error=error({})),     "none", "so it says"),
    (202, entry(accepted=False, apiMessageId=None, error=error(True)),   "none", "so it says"),
    (202, entry(accepted=False, apiMessageId=None, error=error(105, description=5)),  "105", ""),
    (202, entry(accepted=False, apiMessageId=None, error=error(105, description="a\n  b\t" + "c" * 500)), "105",
     "a b " + "c" * 196),
    (200, b'{"data": {"message": []}, "error": {"code": "301"}}',        "301", ""),
    (200, b'{"data": null, "error": {"code": "301"}}',                   "301", ""),
]
NEITHER = [
    (202, b""), (202, b"{}"), (202, b"[]"), (202, b"null"), (202, b"true"), (202, b"not json"), (202, entry()[:-1]),
    (202, b'{"data": {}}'), (202, b'{"data": []}'), (202, b'{"data": {"message": []}}'),
    (202, b'{"data": {"message": {"accepted": true}}}'), (202, b'{"data": {"message": [1]}}'),
    (202, b'{"message": [{"accepted": true, "apiMessageId": "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"}]}'),
    (202, entry(accepted="true")), (202, entry(accepted=1)), (202, entry(accepted="yes")), (202, entry(accepted=None)),
    (202, entry(apiMessageId=None)), (202, entry(apiMessageId="")), (202, entry(apiMessageId=12345678)),
    (202, entry(apiMessageId=[ITS_ID])), (202, entry(apiMessageId="a b c d e f")), (202, entry(apiMessageId="x" * 65)),
    (202, entry(apiMessageId=ITS_ID + "\n")), (202, entry(apiMessageId="ünïcode-id")),
    (202, entry(to="2799900002")), (202, entry(error=error("105"))),
    (202, entry(error="odd")), (202, entry(accepted=False)), (202, entry(accepted=False, error=error("105"))),
    (202, entry(accepted=False, apiMessageId=None, to="2799900002", error=error("105"))),
    (400, entry()), (500, entry()), (302, entry()), (410, entry()), (503, entry()),
    (503, entry(accepted=False, apiMessageId=None, error=error("555"))),
    (503, entry(accepted=False, apiMessageId=None, error="try later")),
    (500, entry(accepted=False, apiMessageId=None)),
    (202, b'{"data": {"message": [%b, %b]}}' % ((entry()[len(b'{"data":{"message":['):-3],) * 2)),
    (202, entry()[:-1] + b', "error": {"code": "301"}}'),
]
# fmt: on


@pytest.mark.parametrize(("status", "body"), YES)
def test_a_yes_is_accepted_true_with_an_id_in_a_2xx(status: int, body: bytes) -> None:
    """The number may be repeated, with a plus or as a number."""
    assert AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID) == read_send(HttpReply(status, body), TO)


@pytest.mark.parametrize(("status", "body", "code", "text"), NO)
def test_a_no_is_read_in_every_status(status: int, body: bytes, code: str, text: str) -> None:
    """Codes come as texts and as numbers, with and without zeros; descriptions are kept on one line."""
    assert AttemptOutcome(OutcomeKind.REFUSED, code=code, text=text) == read_send(HttpReply(status, body), TO)


@pytest.mark.parametrize(("status", "body"), NEITHER)
def test_an_answer_that_is_neither_is_unreadable(status: int, body: bytes) -> None:
    """It may have been sent: half a yes, a yes for another number, a yes in an error, two answers for one message."""
    assert OutcomeKind.UNREADABLE == read_send(HttpReply(status, body), TO).kind


# Answers to questions.

DATA = {"apiMessageId": ITS_ID, "messageStatus": "003", "description": "so it says"}


def data(**fields: Any) -> bytes:
    return msgspec.json.encode({"data": {**DATA, **fields}})


# fmt: off
LOOK_UPS: list[tuple[int, bytes, LookUp]] = [
    (200, data(),                                   LookUp(Known.FOUND, ITS_ID, "003")),
    (200, data(charge=0.8),                         LookUp(Known.FOUND, ITS_ID, "003", 800_000)),
    (200, data(charge=1),                           LookUp(Known.FOUND, ITS_ID, "003", 1_000_000)),
    (200, data(charge="1.60"),                      LookUp(Known.FOUND, ITS_ID, "003", 1_600_000)),
    (200, data(charge=None),                        LookUp(Known.FOUND, ITS_ID, "003")),
    (200, data(charge=True),                        LookUp(Known.FOUND, ITS_ID, "003")),
    (200, data(charge=-1),                          LookUp(Known.FOUND, ITS_ID, "003")),
    (200, data(messageStatus=4, clientMessageId=OUR_ID), LookUp(Known.FOUND, ITS_ID, "004")),
    (200, data(messageStatus="00A"),                LookUp(Known.FOUND, ITS_ID, "010")),
    (200, data(messageStatus="001"),                LookUp(Known.NO_STATUS, ITS_ID, "001")),
    (404, b'{"error": {"code": "104", "description": "no"}}', LookUp(Known.NOT_FOUND, text="no")),
    (404, b'{"error": {"code": 104}}',              LookUp(Known.NOT_FOUND)),
    (400, b'{"error": {"code": "104"}}',            LookUp(Known.NOT_FOUND)),
]
NO_LOOK_UPS = [
    (404, b""), (404, b"{}"), (404, b'{"error": "104"}'), (404, b'{"error": {"code": "103"}}'),
    (404, b'{"error": {"code": "1040"}}'), (404, b'{"error": {"code": "161"}}'), (404, b"<html>104</html>"),
    (503, b'{"error": {"code": "104"}}'), (401, b'{"error": {"code": "001"}}'), (429, b""), (500, b""),
    (200, b'{"data": {"apiMessageId": "%b"}, "error": {"code": "104"}}' % ITS_ID.encode()),
    (200, data(apiMessageId="")), (200, data(messageStatus="")), (200, data(messageStatus="delivered")),
    (200, data(messageStatus=True)), (200, data(messageStatus=None)), (404, data()), (200, data()[:-1]),
    (200, data(clientMessageId="5c2e1d3f908b4f6fab4c7d8e9f0a1b2c")),
]
# fmt: on


@pytest.mark.parametrize(("status", "body", "found"), LOOK_UPS)
def test_a_look_up_returns_the_status_and_the_charge(status: int, body: bytes, found: LookUp) -> None:
    """The charge comes as a number; status 001 gives no information."""
    assert found == read_look_up(HttpReply(status, body), "104", message_id=OUR_ID)


@pytest.mark.parametrize(("status", "body"), NO_LOOK_UPS)
def test_only_an_error_104_means_not_found(status: int, body: bytes) -> None:
    """It is what a second SMS would be sent for: a 404 alone is not enough, nor is another message's status."""
    assert Known.FAILED == read_look_up(HttpReply(status, body), "104", message_id=OUR_ID).known


def test_by_the_gateway_s_id_the_code_is_103() -> None:
    """And 104 is none then."""
    replies = [HttpReply(404, b'{"error": {"code": "%d"}}' % code) for code in (103, 104)]
    assert [Known.NOT_FOUND, Known.FAILED] == [read_look_up(reply, "103").known for reply in replies]


# fmt: off
CANCELS: list[tuple[int, bytes, tuple[bool | None, str, str]]] = [
    (200, data(messageStatus="006"), (True, "006", "")),    (202, data(messageStatus=6), (True, "006", "")),
    (200, data(messageStatus="004"), (False, "004", "")),
    (404, b'{"error": {"code": "103"}}', (False, "", "103")), (401, b"", (None, "", "")),
    (200, b"{}", (None, "", "")), (200, b"", (None, "", "")), (500, data(messageStatus="006"), (None, "", "")),
    (503, b"", (None, "", "")),
]
COVERAGES: list[tuple[int, bytes, tuple[bool | None, int | None]]] = [
    (200, b'{"data": {"routable": true, "minimumCharge": 1}}', (True, 1_000_000)),
    (200, b'{"data": {"routable": true, "minimumCharge": "0.8"}}', (True, 800_000)),
    (200, b'{"data": {"routable": true}}', (True, None)), (200, b'{"data": {"routable": false}}', (False, None)),
    (410, b'{"error": {"code": "114"}}', (False, None)), (400, b'{"error": {"code": "105"}}', (False, None)),
    (410, b"", (None, None)), (401, b"", (None, None)), (401, b'{"error": {"code": "001"}}', (None, None)),
    (503, b'{"error": {"code": "901"}}', (None, None)), (404, b"", (None, None)), (200, b"", (None, None)),
    (200, b'{"data": {"routable": "true"}}', (None, None)), (500, b'{"data": {"routable": true}}', (None, None)),
]
BALANCES: list[tuple[int, bytes, float | str]] = [
    (200, b'{"data": {"balance": "250.40"}}', 250.4), (200, b'{"data": {"balance": 3}}', 3.0),
    (200, b'{"data": {"balance": -1.5}}', -1.5), (401, b'{"error": {"code": "1", "description": "no"}}', "001 no"),
    (200, b'{"data": {"balance": "lots"}}', 'HTTP 200 {"data": {"balance": "lots"}}'), (503, b"", "HTTP 503"),
    (200, b'{"data": {"balance": true}}', 'HTTP 200 {"data": {"balance": true}}'), (401, b"", "HTTP 401"),
]
# fmt: on


@pytest.mark.parametrize(("status", "body", "expected"), CANCELS)
def test_a_message_is_stopped_only_by_its_status(status: int, body: bytes, expected: tuple[Any, ...]) -> None:
    """Otherwise it was too late, or it is unknown."""
    found = read_cancel(HttpReply(status, body))
    assert expected == (found.stopped, found.status, found.code)


@pytest.mark.parametrize(("status", "body", "expected"), COVERAGES)
def test_coverage_is_yes_no_or_unknown(status: int, body: bytes, expected: tuple[Any, ...]) -> None:
    """A code of the account gives no information about a number."""
    found = read_coverage(HttpReply(status, body))
    assert expected == (found.routable, found.charge_millionths)


@pytest.mark.parametrize(("status", "body", "expected"), BALANCES)
def test_the_balance_is_returned_or_the_reason_it_cannot_be(status: int, body: bytes, expected: float | str) -> None:
    """It comes as a text."""
    assert expected == read_balance(HttpReply(status, body))


def test_this_api_takes_no_vouchers() -> None:
    """Answered without a request."""
    payment, requests = answered("rest", 200, b"", lambda made: made.pay("1111"))
    assert (NO_PAYMENT, []) == (payment, requests)
