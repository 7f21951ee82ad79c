"""Exchanges recorded by other clients of Clickatell: our request is alike, and the answer means the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest

from tests.unit.test_vectors_wire import RequestRead, answered, sms
from threelane.gateways.http import gateway as http
from threelane.gateways.one.codes import ONE_API
from threelane.gateways.platform import gateway as platform
from threelane.gateways.xml import gateway as xml
from threelane.worker.gateway.markup import rows_of
from threelane.worker.gateway.outcome import AttemptOutcome
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY

DATA = Path(__file__).with_name("data")
EXCHANGES = json.loads(DATA.joinpath("gateway_exchanges.json").read_text(encoding="utf-8"))
OTHERS = json.loads(DATA.joinpath("other_answers.json").read_text(encoding="utf-8"))
TABLES = {"http": LEGACY, "rest": LEGACY, "xml": LEGACY, "one": ONE_API, "platform": LEGACY}
NOW = 1_800_000_000_000


def encoded(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def compared(found: Any, expected: Mapping[str, Any], api: str) -> dict[str, Any]:
    """Return the attributes that the expectation names, as the gateway returned them."""
    rule = TABLES[api].rule_for(found.code) if "verdict" in expected else None
    return {name: getattr(rule if name in ("verdict", "scope") else found, name) for name in expected}


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda one: f"{one['gateway']}-{one['name']}")
def test_an_exchange_recorded_by_other_clients_is_the_same_for_us(exchange: dict[str, Any]) -> None:
    """Over a real connection: their request is part of ours, and the answer is understood."""
    api, command, expected = exchange["gateway"], exchange["call"], exchange["becomes"]

    async def call(made: Gateway) -> Any:
        if command == "send":
            return await made.send([sms(**fields) for fields in exchange["given"]], NOW)
        return await getattr(made, command)(*([] if exchange["given"] is None else [exchange["given"]]))

    answer = exchange["answered"]
    found, requests = answered(api, answer["status"], encoded(answer["body"]), call)
    if isinstance(expected, list):
        assert expected == [compared(one, wanted, api) for one, wanted in zip(found, expected, strict=True)]
    else:
        assert expected == (compared(found, expected, api) if isinstance(expected, dict) else found)
    request = exchange["request"]
    assert (request["method"], request["path"]) == (requests[0].method, requests[0].path)
    assert_part_of(request.get("body", {}), requests[0])


def assert_part_of(request: Mapping[str, Any], ours: RequestRead) -> None:
    """Our request has all their fields; it may have more, since they leave much to the account's settings."""
    if not request:
        return
    if ours.headers["content-type"] == "application/json":
        body = json.loads(ours.body)
        for theirs, own in zip(request.get("messages", [request]), body.get("messages", [body]), strict=True):
            assert theirs.items() <= own.items()
        return
    form = dict(parse_qsl(ours.body.decode(), keep_blank_values=True))
    if "data" not in request:
        assert request.items() <= form.items()
        return
    for theirs, own in zip(ElementTree.fromstring(request["data"]), ElementTree.fromstring(form["data"]), strict=True):
        assert theirs.tag == own.tag
        assert {one.tag: one.text for one in theirs}.items() <= {one.tag: one.text for one in own}.items()


# Commands that we never give (logins, batches, several recipients in a request) and the Platform's HTTP form, which has
# the key in the URL: their answers are still read as far as ours go.  Several lines are read one by one here; together,
# as the answer to one message, they are neither yes nor no.
NUMBERS = ("2799900001", "2799900002", "12")
READERS: dict[str, Any] = {
    "http_send": lambda status, body: http.read_send(HttpReply(status, body), "2799900001"),
    "http_lines": lambda status, body: [to_its_number(HttpReply(status, line)) for line in body.splitlines()],
    "http_charge": lambda status, body: http.read_charge(HttpReply(status, body)),
    "xml_rows": lambda _, body: [
        xml.read_row(row, to) for row, to in zip(rows_of(body, "clickapi"), ("2799900001", "2799900002"), strict=True)
    ],
    "platform": lambda status, body: platform.read_send(HttpReply(status, body), "2799900001"),
}


def to_its_number(reply: HttpReply) -> AttemptOutcome:
    """Return the outcome of a line for the recipient that it names, if it names one."""
    found = [http.read_send(reply, to) for to in NUMBERS]
    return next((one for one in found if one.kind != "unreadable"), found[0])


@pytest.mark.parametrize("answer", OTHERS, ids=lambda one: one["name"])
def test_an_answer_to_a_request_that_we_never_make_is_read_as_far_as_ours_go(answer: dict[str, Any]) -> None:
    """The same parsers; nothing of it is taken for the acceptance of a message that is not there."""
    found, expected = READERS[answer["read"]](answer["status"], encoded(answer["body"])), answer["becomes"]
    if isinstance(expected, list):
        assert expected == [compared(one, wanted, "http") for one, wanted in zip(found, expected, strict=True)]
    else:
        assert expected == (compared(found, expected, "http") if isinstance(expected, dict) else found)


@pytest.mark.parametrize("answer", [one for one in OTHERS if one["read"] == "http_lines"], ids=lambda one: one["name"])
def test_several_lines_are_no_answer_to_one_message(answer: dict[str, Any]) -> None:
    """We request one recipient at a time."""
    assert "unreadable" == http.read_send(HttpReply(200, answer["body"].encode())).kind


@pytest.mark.parametrize("answer", [one for one in OTHERS if one["read"] == "xml_rows"], ids=lambda one: one["name"])
def test_rows_without_a_number_have_no_recipient(answer: dict[str, Any]) -> None:
    """Order means nothing, and we number every element."""
    outcomes = xml.read_send(HttpReply(200, answer["body"].encode()), [("2799900001", ""), ("2799900002", "")])
    assert ["unreadable"] * 2 == [one.kind for one in outcomes]


# The HTTP API's other commands.

ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
# fmt: off
CANCELS: list[tuple[str, tuple[bool | None, str, str]]] = [
    (f"ID: {ITS_ID} Status: 006", (True, "006", "")),    (f"apiMsgId: {ITS_ID} status: 006\n", (True, "006", "")),
    (f"ID: {ITS_ID} Status: 003", (False, "003", "")),   (f"ID: {ITS_ID} Status: 013", (False, "013", "")),
    ("ERR: 103, Unknown API message ID", (False, "", "103")),
    (f"ID: {ITS_ID}", (None, "", "")), ("OK", (None, "", "")), ("", (None, "", "")), ("006", (None, "", "")),
    (f"ID: {ITS_ID} Status: 006\nERR: 103, no", (None, "", "")),
]
COVERAGES: list[tuple[str, tuple[bool | None, int | None]]] = [
    ("OK: This prefix is currently supported. Charge: 1", (True, 1_000_000)),
    ("OK: Messages may be sent. Charge: 0.8\n", (True, 800_000)),
    ("ok: yes charge: 1.5", (True, 1_500_000)), ("Charge: 0.33", (True, 330_000)), ("OK: supported", (True, None)),
    ("ERR: 114, Cannot route message", (False, None)), ("ERR: 105, Invalid", (False, None)),
    ("ERR: no route", (None, None)),
    ("ERR: 001, Authentication failed", (None, None)), ("ERR: 901, Internal error", (None, None)),
    ("ERR: 301, No credit", (None, None)),
    ("This prefix is currently supported.", (None, None)), ("Messages sent to this prefix cost 1", (None, None)),
    ("", (None, None)), ("Charge:", (None, None)), ("Charge: much", (None, None)), ("<html>", (None, None)),
    ("OK: yes\nERR: 114, no", (None, None)),
]
PAYMENTS: list[tuple[str, tuple[bool | None, str]]] = [
    ("OK: 605", (True, "")), ("ok:605\n", (True, "")), ("OK: 605, Valid Voucher", (True, "")),
    ("ERR: 606, Invalid Voucher", (False, "606")), ("ERR: 607, Expired Voucher", (False, "607")),
    ("ERR: 001, Authentication failed", (False, "001")),
    ("OK: 606", (None, "")), ("OK", (None, "")), ("605", (None, "")), ("OK: 6055", (None, "")), ("", (None, "")),
    ("ERR: 605\nOK: 605", (None, "")), ("<html>OK: 605</html>", (None, "")),
]
# fmt: on


@pytest.mark.parametrize(("answer", "expected"), CANCELS)
def test_a_message_is_stopped_only_by_its_status(answer: str, expected: tuple[Any, ...]) -> None:
    """A delivered one is answered with a status, too."""
    found = http.read_cancel(HttpReply(200, answer.encode()))
    assert expected == (found.stopped, found.status, found.code)


@pytest.mark.parametrize(("answer", "expected"), COVERAGES)
def test_coverage_is_yes_no_or_unknown(answer: str, expected: tuple[Any, ...]) -> None:
    """An old edition answers with a sentence, and an empty account gives no information about a number."""
    found = http.read_coverage(HttpReply(200, answer.encode()))
    assert expected == (found.routable, found.charge_millionths)


@pytest.mark.parametrize(("answer", "expected"), PAYMENTS)
def test_a_voucher_is_redeemed_only_by_code_605(answer: str, expected: tuple[Any, ...]) -> None:
    """Here 605 is a success, and anything unclear is left to the balance."""
    found = http.read_payment(HttpReply(200, answer.encode()))
    assert expected == (found.paid, found.code)
