"""The One API: many messages a request, and which entry of an answer is whose."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from tests.unit.test_vectors_wire import ITS_ID, MINUTE, NOW, TO, account, answered, sms
from threelane.contract import message
from threelane.contract.message import Draft, Message
from threelane.gateways.one.gateway import OneGateway, order, read_balance, read_send, read_status
from threelane.worker.gateway.outcome import NO_CANCEL, NO_COVERAGE, NO_LOOK_UP, NO_PAYMENT, Known, LookUp, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply

IDS = [ITS_ID, ITS_ID[:-1] + "2", ITS_ID[:-1] + "3"]
NUMBERS = [TO, "2799900002", "2799900003"]
OURS = [f"{number:032x}" for number in range(3)]
THREE = [sms(id=one, to=to) for one, to in zip(OURS, NUMBERS, strict=True)]
# fmt: off
ALWAYS = {"channel": "sms", "to": "27999500001", "content": "Hello", "validityPeriod": 1440}
FEATURES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({},                                        {}),
    ({"sender": "12025550100"},                 {"from": "12025550100"}),
    ({"validity_period": 30},                   {"validityPeriod": 30}),
    ({"text": "Привет \U0001f600"},             {"content": "Привет \U0001f600"}),
    ({"text": "Hi", "unicode": 1},              {"content": "Hi"}),
    ({"text": "a" * 459},                       {"content": "a" * 459}),
    ({"text": "", "binary": "024a3a", "udh": "06050415810000"},
     {"content": "024a3a", "binary": True, "userDataHeader": "06050415810000"}),
    ({"channel": "whatsapp"},                   {"channel": "whatsapp"}),
    # a field that the API lacks is left out; one that would change the message is refused before it gets here
    ({"lane": 1, "callback": 2, "max_message_parts": 2}, {}),
    ({"mo": 1, "escalate": 1, "max_credits": 1, "required_features": 1, "bypass_dnc": 1, "type": "flash"}, {}),
]
# fmt: on


def accepted(**fields: Any) -> Message:
    """Return a message as accept makes it from a caller's fields."""
    draft = message.parse({"to": "27999500001", "text": "Hello", **fields}, NOW)
    assert isinstance(draft, Draft), draft
    return draft.message


@pytest.mark.parametrize(("fields", "sent"), FEATURES, ids=lambda one: ",".join(one))
def test_a_feature_becomes_the_field_that_the_api_has_for_it(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    """And nothing else."""
    one = accepted(**fields)
    assert {**ALWAYS, "clientMessageId": one.id, **sent} == order(one, NOW)


@pytest.mark.parametrize(("later", "minutes"), [(0, 30), (1, 29), (29 * MINUTE + 59_999, 1), (31 * MINUTE, 1)])
def test_the_gateway_gets_the_remaining_validity(later: int, minutes: int) -> None:
    """Whole minutes, never more than is left, and never none."""
    assert minutes == order(accepted(validity_period=30), NOW + later)["validityPeriod"]


def test_many_messages_go_in_one_request_in_their_order() -> None:
    """Up to 99 of them."""
    many = [sms(id=f"{number:032x}") for number in range(99)]
    _, (request,) = answered("one", 202, b"", lambda made: made.send(many, NOW))
    assert [one.id for one in many] == [one["clientMessageId"] for one in json.loads(request.body)["messages"]]


# Answers.


def yes(number: int, **more: Any) -> dict[str, Any]:
    fields = {"apiMessageId": IDS[number], "accepted": True, "to": NUMBERS[number], "error": None, **more}
    return {name: value for name, value in fields.items() if value != "absent"}


def no(number: int, code: Any = 25, **more: Any) -> dict[str, Any]:
    fields = {"accepted": False, "to": NUMBERS[number], "error": {"code": code, "description": "so"}, **more}
    return {name: value for name, value in fields.items() if value != "absent"}


def reply(*entries: Any, status: int = 207, **more: Any) -> HttpReply:
    return HttpReply(status, msgspec.json.encode({"messages": list(entries), **more}))


def results_of(answer: HttpReply, messages: list[Message] = THREE) -> list[str]:
    """Return what each message came to: an id, a code, or nothing."""
    return [one.gateway_id or one.code or "-" for one in read_send(answer, messages)]


def ours(number: int, entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "clientMessageId": OURS[number]}


A, B, C = IDS
# fmt: off
BATCHES: list[tuple[HttpReply, list[str]]] = [
    # by position
    (reply(yes(0), yes(1), yes(2), status=202),                        [A, B, C]),
    (reply(yes(0), no(1), yes(2)),                                     [A, "25", C]),
    (reply(yes(0, error="absent"), no(1, "025"), yes(2), error=None),  [A, "25", C]),
    (reply(yes(0), no(1, to=""), yes(2)),                              [A, "25", C]),    # a refused one names nobody
    (reply(yes(0), no(1, to="absent"), yes(2)),                        [A, "25", C]),
    (reply(yes(0), yes(1, to=""), yes(2)),                             [A, "-", C]),     # an accepted one has to
    (reply(yes(0), yes(1, to="absent"), yes(2)),                       [A, "-", C]),
    (reply(yes(0), yes(1, to="+2799900002"), yes(2)),                  [A, B, C]),
    (reply(yes(0), yes(1, to=2799900002), yes(2)),                     [A, B, C]),
    (reply(yes(0), yes(1, to="2799999999"), yes(2)),                   [A, "-", C]),     # an odd number is odd
    (reply(yes(1), yes(0), yes(2)),                                    ["-"] * 3),       # another's: no order at all
    (reply(yes(0), yes(2), no(1)),                                     ["-"] * 3),
    (reply(yes(0), yes(1)),                                            ["-"] * 3),       # one is missing, but which
    (reply(yes(0), yes(1), yes(2), yes(2)),                            ["-"] * 3),
    # by our id
    (reply(ours(2, yes(2)), ours(0, yes(0)), ours(1, no(1))),          [A, "25", C]),
    (reply(ours(0, yes(0)), ours(2, yes(2))),                          [A, "-", C]),
    (reply(ours(0, yes(0, to="absent")), ours(1, yes(1)), ours(2, yes(2))), [A, B, C]),
    (reply(ours(0, yes(0)), ours(1, yes(2)), ours(2, yes(1))),         [A, "-", "-"]),   # the id and the number differ
    (reply(ours(0, yes(0)), ours(0, yes(0)), ours(2, yes(2))),         ["-", "-", C]),   # twice
    (reply(ours(0, yes(0)), yes(1), yes(2)),                           [A, "-", "-"]),   # some without
    (reply({**yes(0), "clientMessageId": 5}, yes(1), yes(2)),          ["-"] * 3),
    (reply({**yes(0), "clientMessageId": "somebody"}, ours(1, yes(1))), ["-", B, "-"]),
    # not exactly a yes
    (reply(yes(0, accepted="true"), yes(1, accepted=1), yes(2)),       ["-", "-", C]),
    (reply(yes(0, apiMessageId=""), yes(1, apiMessageId=None), yes(2, apiMessageId=7)), ["-"] * 3),
    (reply(yes(0, error={"code": 25}), no(1, apiMessageId=B), yes(2)), ["-", "-", C]),
    (reply(yes(0), yes(1), yes(2), status=400),                        ["-"] * 3),
    (reply(yes(0), yes(1), yes(2), status=500),                        ["-"] * 3),
    (reply(yes(0), yes(1), yes(2), error={"code": 1}),                 ["-"] * 3),
    (reply(yes(0), yes(1), "x"),                                       ["-"] * 3),
    (HttpReply(202, b'{"messages": {"accepted": true}}'),                  ["-"] * 3),
    # single refusals in every status
    (reply(no(0, 20), no(1, 20), no(2, 20), status=402),               ["20"] * 3),
    (reply(no(0, 26), no(1, 23), no(2, 43), status=400),               ["26", "23", "43"]),
    (reply(no(0, 18), no(1, 19), no(2, 999), status=500),              ["18", "19", "-"]),
    (reply(no(0, 18), no(1, 29), no(2, error="no")),                   ["18", "29", "none"]),
    # errors of the whole request
    (HttpReply(401, b'{"error": {"code": 1}}'),                            ["1"] * 3),
    (HttpReply(400, b'{"messages": [], "error": {"code": 22}}'),           ["22"] * 3),
    (HttpReply(400, b'{"messages": null, "error": {"code": "43"}}'),       ["43"] * 3),
    (HttpReply(400, b'{"error": {"code": 2}}'),                            ["2"] * 3),
    (HttpReply(404, b'{"error": {"code": 41}}'),                           ["41"] * 3),
    (HttpReply(429, b""),                                                  ["429"] * 3),
    (HttpReply(503, b'{"error": {"code": 19}}'),                           ["19"] * 3),
    (HttpReply(500, b'{"error": {"code": 18}}'),                           ["-"] * 3),       # it may have come too late
    (HttpReply(400, b'{"error": {"code": 18}}'),                           ["-"] * 3),
    (HttpReply(500, b""), ["-"] * 3), (HttpReply(503, b"{}"), ["-"] * 3), (HttpReply(202, b""), ["-"] * 3),
    (HttpReply(202, b'{"messages": []}'), ["-"] * 3), (HttpReply(400, b"<html>"), ["-"] * 3),
]
# fmt: on


@pytest.mark.parametrize(("answer", "expected"), BATCHES)
def test_an_entry_is_a_message_s_by_our_id_or_by_a_place_that_holds(answer: HttpReply, expected: list[str]) -> None:
    """This API has no look-up: an id given to the wrong message stays wrong."""
    assert expected == results_of(answer)


def test_two_messages_to_one_number_are_distinguished_by_position() -> None:
    """As long as the places hold."""
    twins = [sms(id=one, to=to) for one, to in zip(OURS, (TO, TO, "2799900002"), strict=True)]
    fits = reply(yes(0), no(0), yes(1))
    moved = reply(yes(0), yes(1), no(0))
    assert ([A, "25", B], ["-"] * 3) == (results_of(fits, twins), results_of(moved, twins))


@pytest.mark.parametrize("kind", [OutcomeKind.UNREADABLE])
def test_an_internal_error_of_the_whole_request_leaves_all_of_it_in_doubt(kind: OutcomeKind) -> None:
    """It was written and read; nothing reports what was done before the error."""
    outcomes = read_send(HttpReply(500, b'{"error": {"code": 18, "description": "internal"}}'), THREE)
    assert [(kind, "18 internal")] * 3 == [(one.kind, one.text) for one in outcomes]


def test_too_many_messages_make_the_next_requests_smaller() -> None:
    """The gateway's limit is not the same in all of its documents; each message is tried again on its own."""

    async def call(made: Gateway) -> list[int]:
        sizes = [made.batch_size]
        for _ in range(8):
            await made.send([sms()] * made.batch_size, NOW)
            sizes.append(made.batch_size)
        return sizes

    sizes, _ = answered("one", 400, b'{"error": {"code": 22}}', call)
    assert [99, 49, 24, 12, 6, 3, 1, 1, 1] == sizes
    assert 99 == OneGateway.batch_size


def test_a_batch_that_was_accepted_keeps_its_size() -> None:
    """And so does one whose messages are refused for other reasons."""

    async def call(made: Gateway) -> int:
        await made.send(THREE, NOW)
        return made.batch_size

    assert 99 == answered("one", 207, reply(yes(0), no(1, 22), yes(2)).body, call)[0]


def test_a_command_that_the_api_lacks_is_answered_without_a_request() -> None:
    """By constants, so that the caller can distinguish them from an outage."""

    async def main() -> list[Any]:
        made = OneGateway(account("one", "http://127.0.0.1:9"))
        try:
            return [await made.look_up("a"), await made.cancel("a"), await made.coverage("1"), await made.pay("1")]
        finally:
            await made.close()

    assert [NO_LOOK_UP, NO_CANCEL, NO_COVERAGE, NO_PAYMENT] == asyncio.run(main())
    assert (Known.CANNOT, False, None, False) == (
        NO_LOOK_UP.known,
        NO_CANCEL.stopped,
        NO_COVERAGE.routable,
        NO_PAYMENT.paid,
    )


# fmt: off
STATUSES: list[tuple[int, bytes, LookUp]] = [
    (200, b'{"sms": {"status": "QUEUED", "timestamp": 1767225600000}}', LookUp(Known.FOUND, A, "QUEUED")),
    (200, b'{"whatsapp": {"status": "device_ack"}}',                    LookUp(Known.FOUND, A, "DEVICE_ACK")),
    (200, b'{"sms": {"status": "SOMETHING_NEW"}}',                      LookUp(Known.FOUND, A, "SOMETHING_NEW")),
    (200, b'{"sms": {"status": "UNKNOWN"}}',                            LookUp(Known.NO_STATUS, A, "UNKNOWN")),
    (200, b'{"messageId": "%b", "status": "UNKNOWN"}' % A.encode(),      LookUp(Known.NO_STATUS, A, "UNKNOWN")),
]
NO_STATUSES = [
    (200, b""), (200, b"{}"), (200, b'{"status": 4}'), (200, b'{"sms": {"status": 4}}'),
    (200, b'{"sms": "QUEUED"}'), (200, b'{"messageId": "x", "status": "UNKNOWN"}'),
    (200, b'{"sms": {"status": "READ"}, "whatsapp": {"status": "READ"}}'),
    (404, b'{"sms": {"status": "QUEUED"}}'), (401, b'{"error": {"code": 1}}'),
    (200, b'{"sms": {"status": "READ"}, "error": {"code": 1}}'),
]
BALANCES: list[tuple[int, bytes, float | str]] = [
    (200, b'{"balance": 250.4, "currency": "EUR"}', 250.4), (200, b'{"balance": "3"}', 3.0),
    (200, b'{"balance": -1}', -1.0), (401, b'{"error": {"code": 1, "description": "no key"}}', "1 no key"),
    (200, b'{"balance": null}', 'HTTP 200 {"balance": null}'), (401, b"", "HTTP 401"),
    (200, b'{"balance": 1, "error": {"code": 1}}', "1"),
]
# fmt: on


@pytest.mark.parametrize(("status", "body", "found"), STATUSES)
def test_a_status_is_recognised_by_its_name(status: int, body: bytes, found: LookUp) -> None:
    """Numbers mean other things in other APIs."""
    assert found == read_status(HttpReply(status, body), A)


@pytest.mark.parametrize(("status", "body"), NO_STATUSES)
def test_an_unknown_status_fails(status: int, body: bytes) -> None:
    """Two of them, another shape, or an error."""
    assert Known.FAILED == read_status(HttpReply(status, body), A).known


@pytest.mark.parametrize(("status", "body", "expected"), BALANCES)
def test_the_balance_is_returned_or_the_reason_it_cannot_be(status: int, body: bytes, expected: float | str) -> None:
    """In the account's currency."""
    assert expected == read_balance(HttpReply(status, body))
