"""Platform REST: one message a request, HTTP 202 whatever became of it, and the legacy numbers in ``errorCode``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from tests.unit.test_one_gateway import accepted
from tests.unit.test_vectors_wire import ITS_ID, MINUTE, NOW, OUR_ID, TO, account, answered, judged, sms
from threelane.gateways.platform.gateway import PlatformGateway, order, read_balance, read_send
from threelane.store.states import Status
from threelane.worker.gateway import outcome
from threelane.worker.gateway.wire import HttpReply

# fmt: off
ALWAYS = {"to": ["27999500001"], "content": "Hello", "charset": "UTF-8", "validityPeriod": 1440}
FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({},                            {}),
    ({"sender": "12025550100"},     {"from": "12025550100"}),
    ({"validity_period": 30},       {"validityPeriod": 30}),
    ({"text": "Привет \U0001f600"}, {"content": "Привет \U0001f600"}),
    ({"text": "a" * 459},           {"content": "a" * 459}),
    # settings of the integration, or refused before it gets here
    ({"lane": 1, "callback": 2, "max_message_parts": 2, "mo": 1, "escalate": 1, "type": "flash"}, {}),
]
# fmt: on


@pytest.mark.parametrize(("fields", "sent"), FIELDS, ids=lambda one: ",".join(one))
def test_a_feature_becomes_the_field_that_the_platform_has_for_it(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    """And nothing else: there is no channel, and the recipient is a list of one."""
    one = accepted(**fields)
    assert {**ALWAYS, "clientMessageId": one.id, **sent} == order(one, NOW)


def test_eight_bit_data_is_marked_by_a_boolean_and_has_no_charset() -> None:
    """Central REST has 0 and 1, and another name for the header."""
    one = accepted(text="", binary="024a3a", udh="06050415810000")
    expected = {name: value for name, value in ALWAYS.items() if name != "charset"} | {"clientMessageId": one.id}
    data = {"content": "024a3a", "binary": True, "userDataHeader": "06050415810000"}
    assert expected | data == order(one, NOW)


def test_a_schedule_of_the_gateway_has_an_offset_without_a_colon() -> None:
    """In GMT."""
    at = order(accepted(delay=1200, at_gateway=1), NOW)["scheduledDeliveryTime"]
    assert "2027-01-15T08:20:00+0000" == at


def test_the_platform_gets_the_remaining_validity() -> None:
    """Whole minutes, and never none: its own default counts from when it received the message."""
    found = [order(accepted(validity_period=30), NOW + later)["validityPeriod"] for later in (0, 1, 31 * MINUTE)]
    assert [30, 29, 1] == found


def test_each_message_has_its_own_request() -> None:
    """All recipients of a request would share one client message id."""
    _, requests = answered("platform", 202, b"", lambda made: made.send([sms()], NOW))
    assert 1 == PlatformGateway.batch_size
    assert [[TO]] == [json.loads(one.body)["to"] for one in requests]


# Answers.

NO_ERROR = {"errorCode": None, "error": None, "errorDescription": None}
YES = {"apiMessageId": ITS_ID, "accepted": True, "to": TO, **NO_ERROR}
NO = {"apiMessageId": None, "accepted": False, "to": TO}


def error(code: int | None, words: str = "so") -> dict[str, Any]:
    return {"errorCode": code, "error": words, "errorDescription": words}


def meaning(body: Any, status: int = 202) -> str:
    """Return what an answer to one message means: its id, a code, or nothing."""
    found = read_send(HttpReply(status, msgspec.json.encode(body)), TO, OUR_ID)
    return found.gateway_id or found.code or "-"


def one(entry: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [entry], **NO_ERROR, **more}


# fmt: off
ANSWERS: list[tuple[Any, str]] = [
    (one(YES),                                            ITS_ID),
    ({"messages": [YES]},                                 ITS_ID),   # early: nothing at the top
    (one({**YES, "to": f"+{TO}"}),                        ITS_ID),
    (one({**YES, "clientMessageId": OUR_ID}),             ITS_ID),
    (one({**YES, "to": "2799999999"}),                    "-"),
    (one({**YES, "clientMessageId": "0" * 32}),           "-"),
    (one({**YES, "apiMessageId": None}),                  "-"),
    (one({**YES, "accepted": False}),                     "-"),
    (one({**YES, **error(105)}),                          "-"),      # yes and no
    (one(YES, **error(301)),                              "-"),
    ({"messages": [YES, YES], **NO_ERROR},                "-"),
    ({"messages": [], **NO_ERROR},                        "-"),
    ({"messages": "none", **NO_ERROR},                    "-"),
    ({"messages": ["none"], **NO_ERROR},                  "-"),
    # refused: HTTP 202 all the same
    (one({**NO, **error(105)}),                           "105"),
    (one({**NO, **error(1)}),                             "001"),
    (one({**NO, **error(901)}),                           "901"),    # of this message alone: it was not accepted
    (one({**NO, **error(105)}, **error(105)),             "105"),    # the same error at the top
    (one({**NO, "error": "Number not allowed"}),          "none"),
    (one({**NO, "error": "Invalid FROM number."}),        "106"),
    (one(NO),                                             "none"),
    # of the whole request
    ({"messages": [], **error(301)},                      "301"),
    ({"messages": [], **error(106)},                      "106"),
    ({"messages": [], "error": "Two-Way integration error - From number is not related to integration"}, "106"),
    ({"messages": [], "error": "Invalid or missing Integration API Key"}, "108"),
    ({"messages": [], "error": "No credit left"},         "301"),
    ({"messages": [], "error": "Insufficient balance"},   "301"),
    ({"messages": [], "error": "Authentication failed"},  "001"),
    ({"messages": [], "error": "Internal error"},         "-"),
    (one({**NO, "error": "Destination mobile opted out"}), "122"),
    ({"messages": [], "error": "Something else"},         "none"),
    ({"messages": [], **error(901)},                      "-"),      # it may have been sent, and nobody can ask
    ({"messages": [], **error(900)},                      "-"),
    ({"messages": [], **error(950)},                      "-"),
]
# fmt: on


@pytest.mark.parametrize(("body", "expected"), ANSWERS)
def test_an_answer_is_read_by_its_entry_or_its_error(body: Any, expected: str) -> None:
    """Whatever the HTTP status of a success; an error in words alone gets its number, where the words are known."""
    assert [expected] * 3 == [meaning(body, status) for status in (200, 201, 202)]


def test_a_message_without_an_answer_waits_for_its_receipt() -> None:
    """There is no look-up: an internal error of the whole request leaves the message in doubt."""
    body = msgspec.json.encode({"messages": [], **error(901, "Internal error. Please retry")})
    found = read_send(HttpReply(500, body), TO)
    assert (Status.IN_DOUBT, "901 Internal error. Please retry") == (judged("platform", found).to, found.text)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"balance": 250.4, "currency": "EUR"}, 250.4),
        (200, {"balance": "250.40"}, 250.4),
        (401, {"messages": [], **error(108, "Invalid or missing integration API Key.")}, "108"),
        (401, {"error": "Invalid or missing integration API Key."}, "108"),
        (200, {"balance": 5, **error(301)}, "301"),
        (401, {"balance": 5}, "HTTP 401"),
        (200, {}, "HTTP 200"),
    ],
)
def test_a_balance_is_a_number_or_a_reason(status: int, body: Any, expected: float | str) -> None:
    """A refusal begins with its code, so that a worker knows its key is wrong."""
    found = read_balance(HttpReply(status, msgspec.json.encode(body)))
    assert expected == (found.split(" so")[0][: len(str(expected))] if isinstance(found, str) else found)


def test_what_the_platform_cannot_do_is_a_value() -> None:
    """It has no look-up by either id, no cancel, no coverage and no vouchers; no request leaves for them."""

    async def main() -> list[Any]:
        made = PlatformGateway(account("platform", "http://127.0.0.1:9"))
        try:
            found = [await made.look_up(OUR_ID), await made.status(ITS_ID), await made.cancel(ITS_ID)]
            return [*found, await made.coverage(TO), await made.pay("1111"), made.can_look_up]
        finally:
            await made.close()

    nothing = [outcome.NO_LOOK_UP, outcome.NO_STATUS_QUERY, outcome.NO_CANCEL, outcome.NO_COVERAGE, outcome.NO_PAYMENT]
    assert [*nothing, False] == asyncio.run(main())
