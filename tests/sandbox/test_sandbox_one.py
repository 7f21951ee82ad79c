"""The One API: messages in one request, an entry for each, errors by its own numbers."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.sandbox import one_codes, one_order
from threelane.sandbox.apis import ApiName
from threelane.sandbox.codes import ERRORS, STATUSES, refusal
from threelane.sandbox.order import Order
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO = "27820000001"
WaitUntil = Callable[[Callable[[], Any]], Any]


def message(to: object = TO, **fields: object) -> dict[str, object]:
    """Returns a message as a client writes it."""
    return {"channel": "sms", "to": to, "content": "Hello", **fields}


def send(sandbox: Running, *messages: object) -> tuple[int, Any]:
    """Returns the status and the answer of a send."""
    return sandbox.one("POST", "/v1/message", {"messages": list(messages)})


def refused(code: int, description: str, to: str = TO) -> dict[str, object]:
    """Returns the entry of a refused message."""
    return {"accepted": False, "to": to, "error": {"code": code, "description": description}}


def failed(code: int) -> dict[str, object]:
    """Returns the answer when all of a request is refused."""
    return {"error": {"code": code, "description": one_codes.ERRORS[code].description}}


def test_a_name_cannot_send_8_bit_data_here_either(sandbox: Running) -> None:
    """The rule of the older APIs, as error 45; the network's side is the same."""
    body = {"messages": [{"to": TO, "content": "ff00", "binary": True, "from": "Acme"}]}
    assert 45 == sandbox.one("POST", "/v1/message", body)[1]["messages"][0]["error"]["code"]


def test_all_taken_is_a_202_with_an_id_for_each(sandbox: Running) -> None:
    """The ledger says by which API they came, and which client id each has."""
    status, answer = send(sandbox, message(clientMessageId="c1"), message("27820000002", clientMessageId="c2"))
    taken = sandbox.control("GET", "ledger")["messages"]
    rows = [{"apiMessageId": each["id"], "accepted": True, "to": each["to"], "error": None} for each in taken]
    assert (status, answer) == (202, {"messages": rows, "error": None})
    assert [(each["api"], each["client_id"]) for each in taken] == [("one", "c1"), ("one", "c2")]


def test_taken_and_refused_together_are_a_207(sandbox: Running) -> None:
    """In the order of the request, also when all of several are refused."""
    status, answer = send(sandbox, message(), message(""), message("12"))
    assert status == 207
    assert answer["messages"][0]["accepted"] is True
    assert answer["messages"][1:] == [
        refused(23, "Invalid or missing parameter: to", ""),
        refused(25, "Invalid recipient", "12"),
    ]
    assert send(sandbox, message("12"), message("12"))[0] == 207


# fmt: off
FIELDS: dict[str, list[dict[str, object]]] = {
    "to": [{"to": ""}, {"to": None}, {"to": 27820000001}],
    "content": [{"content": ""}, {"content": None}, {"content": 5}, {"content": "xyz", "binary": True}],
    "channel": [{"channel": "pigeon"}, {"channel": 1}],
    "from": [{"from": 12025550100}, {"channel": "whatsapp", "from": "12025550100"}],
    "clientMessageId": [{"clientMessageId": 5}],
    "scheduledDeliveryTime": [
        {"scheduledDeliveryTime": moment} for moment in (
            "soon", 5, "2001-01-01T00:00:00+0200", "2999-01-01T00:00:00+0200", "2031-02-30T00:00:00+0200",
            "2031-06-30T14:00:00Z", "2031-06-30T14:00:00+9900",
        )
    ],
    "validityPeriod": [{"validityPeriod": value} for value in (0, 10081, "60", True, 10**30)],
    "binary": [{"binary": 1}, {"channel": "whatsapp", "binary": True}],
    "userDataHeader": [{"userDataHeader": "zz"}, {"channel": "whatsapp", "userDataHeader": "06050415810000"}],
}
# fmt: on


@pytest.mark.parametrize(("fields", "name"), [(fields, name) for name, causes in FIELDS.items() for fields in causes])
def test_a_wrong_field_is_code_23_and_named(sandbox: Running, fields: dict[str, object], name: str) -> None:
    """A single refused message is a 400 that still has its entry."""
    status, answer = send(sandbox, message(**fields))
    to = fields.get("to", TO) if isinstance(fields.get("to", TO), str) else ""
    row = refused(23, f"Invalid or missing parameter: {name}", str(to))
    assert (status, answer) == (400, {"messages": [row], "error": None})
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["messages"] == 0


# fmt: off
CAUSES: list[tuple[dict[str, object], int, int]] = [
    ({"to": "letters"}, 25, 400),
    ({"to": "+27820000001"}, 25, 400),
    ({"to": "99900000001"}, 25, 400),
    ({"to": "27999112200"}, 26, 400),
    ({"to": "27999130100"}, 20, 402),
    ({"to": "27999190100"}, 18, 500),
    ({"to": "27999101900"}, 19, 503),
    ({"to": "27999104300"}, 43, 400),
    ({"to": "27999111100"}, 111, 400),
    ({"from": "MuchTooLongName"}, 45, 400),
    ({"content": "a" * (153 * 35 + 1)}, 100, 400),
    ({"content": "a" * 100_000}, 100, 400),
    ({"content": "a" * 4097, "channel": "whatsapp"}, 24, 400),
]
# fmt: on


@pytest.mark.parametrize(("fields", "code", "http"), CAUSES)
def test_each_refusal_has_its_number_and_its_status(
    sandbox: Running, fields: dict[str, object], code: int, http: int
) -> None:
    """In the One API's words; costs nothing."""
    status, answer = send(sandbox, message(**fields))
    row = refused(code, one_codes.ERRORS[code].description, str(fields.get("to", TO)))
    assert (status, answer) == (http, {"messages": [row], "error": None})
    assert sandbox.control("GET", "account")["charged"] == "0.000"


def test_no_credit_is_a_402_of_that_message(sandbox: Running) -> None:
    """The others of the request may still go."""
    sandbox.control("POST", "credit", {"set": "0.8"})
    status, answer = send(sandbox, message(), message("27820000002"))
    assert (status, answer["messages"][1]) == (207, refused(20, "Insufficient balance", "27820000002"))
    assert send(sandbox, message())[0] == 402


def test_codes_of_the_gateway_have_their_number_and_unknown_ones_pass(sandbox: Running) -> None:
    """The table, and 777; the volume limit is a rate limit that keeps the words with its end."""
    # fmt: off
    expected = {
        "001": 1, "004": 2, "007": 7, "100": 21, "101": 23, "105": 25, "106": 45, "107": 23, "113": 100, "114": 25,
        "121": 26, "122": 26, "123": 45, "128": 26, "130": 43, "301": 20, "901": 18, "777": 777, "302": 302,
    }
    # fmt: on
    assert {code: one_codes.error(refusal(code)).code for code in expected} == expected
    [row] = send(sandbox, message("27999113050"))[1]["messages"]
    assert row["error"]["code"] == 43
    assert re.fullmatch("Maximum MT limit exceeded until [0-9]{10}", row["error"]["description"])
    assert send(sandbox, message("27999177700"))[1]["messages"] == [refused(777, "Undocumented error", "27999177700")]


@pytest.mark.parametrize("key", ["", "guess", "Bearer sandbox"])
def test_a_wrong_key_is_a_401_without_entries(sandbox: Running, key: str) -> None:
    """The header holds the key alone."""
    assert sandbox.one("POST", "/v1/message", {"messages": [message()]}, key) == (401, failed(1))
    for path in ("/v1/message/x", "/v1/balance"):
        assert sandbox.one("GET", path, key=key) == (401, failed(1))


def test_the_key_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """By environment, where it belongs."""
    monkeypatch.setenv("THREELANE_SANDBOX_API_KEY", "k3y")
    with Running.start("--seed", "1", "--one-api-most", "2") as running:
        assert running.one("GET", "/v1/balance")[0] == 401
        assert running.one("GET", "/v1/balance", key="k3y")[0] == 200
        assert running.one("POST", "/v1/message", {"messages": [message()] * 3}, "k3y") == (400, failed(22))


# fmt: off
MALFORMED = [
    "{nope", "", "[]", "{}", '{"messages": []}', '{"messages": {}}', '{"messages": [1]}', '{"messages": null}',
    '{"messages": [{"to": "\\ud800"}]}', "[" * 100_000,
]
# fmt: on


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_payload_is_code_21(sandbox: Running, body: str) -> None:
    """Whatever is not an object with a list of objects."""
    assert sandbox.one("POST", "/v1/message", body) == (400, failed(21))


def test_more_messages_than_allowed_are_code_22_and_none_is_taken(sandbox: Running) -> None:
    """A hundred go."""
    messages = [message(f"2782{index:07d}") for index in range(101)]
    assert send(sandbox, *messages) == (400, failed(22))
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["refused"] == {"022": 101}
    assert send(sandbox, *messages[:100])[0] == 202


def test_every_field_is_kept_and_parts_are_counted(sandbox: Running) -> None:
    """UCS-2 where GSM 03.38 does not suffice; no limit that a caller could set."""
    zone = timezone(timedelta(hours=2))
    due = datetime.fromtimestamp(int(time.time()) + 600, zone)
    fields = {"clientMessageId": "c1", "from": "12025550100", "validityPeriod": 60, "binary": False, "extra": [1]}
    fields["scheduledDeliveryTime"] = due.strftime("%Y-%m-%dT%H:%M:%S%z")
    assert fields["scheduledDeliveryTime"].endswith("+0200")
    sent = [
        message(**fields),
        message(content="a" * 500),
        message(content="П" * 71),
        message(content="ff00" * 100, binary=True),
        message(content="П" * 1000, channel="whatsapp"),
    ]
    assert send(sandbox, *sent)[0] == 202
    taken = sandbox.control("GET", "ledger")["messages"]
    assert [each["options"] for each in taken] == sent
    assert [(each["encoding"], each["parts"]) for each in taken] == [
        ("gsm7", 1),
        ("gsm7", 4),
        ("ucs2", 2),
        ("8bit", 2),
        ("ucs2", 1),
    ]
    assert (taken[0]["status"], taken[0]["scheduled_at"]) == ("011", due.astimezone(UTC).timestamp())
    assert [each["charge"] for each in taken] == ["0.8", "3.2", "1.6", "1.6", "0.8"]


def test_an_unregistered_sender_is_not_in_the_integration() -> None:
    """Code 45."""
    with Running.start("--sender", "12025550100") as running:
        assert send(running, message(**{"from": "12025550100"}))[0] == 202
        assert send(running, message(**{"from": "12025550199"}))[1]["messages"][0]["error"]["code"] == 45


# --- the other resources


@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
def test_a_status_stands_under_its_channel(sandbox: Running, wait_until: WaitUntil, channel: str) -> None:
    """By the gateway's id only, with the time of the status in milliseconds."""
    id = send(sandbox, message(channel=channel))[1]["messages"][0]["apiMessageId"]
    path = f"/v1/message/{id}"
    wait_until(lambda: sandbox.one("GET", path)[1][channel]["status"] == "DEVICE_ACK")
    [entry] = sandbox.control("GET", "ledger")["messages"]
    at = int(entry["history"][-1]["at"] * 1000)
    assert sandbox.one("GET", path) == (200, {channel: {"status": "DEVICE_ACK", "timestamp": at}})


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "001"])
def test_each_status_has_its_word(sandbox: Running, wait_until: WaitUntil, status: str) -> None:
    """The words of the One API for the gateway's numbers."""
    id = send(sandbox, message(f"279992{status}00"))[1]["messages"][0]["apiMessageId"]
    word = one_codes.STATUSES[status].name
    wait_until(lambda: sandbox.one("GET", f"/v1/message/{id}")[1]["sms"]["status"] == word)


def test_an_unknown_id_has_status_unknown_in_another_shape(sandbox: Running) -> None:
    """So has one that look-ups do not show yet, and one of a client."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 60})
    hidden = send(sandbox, message(clientMessageId="c1"))[1]["messages"][0]["apiMessageId"]
    for id in ("0" * 32, hidden, "c1"):
        status, answer = sandbox.one("GET", f"/v1/message/{id}")
        assert abs(answer.pop("timestamp") / 1000 - time.time()) < 30
        assert (status, answer) == (200, {"messageId": id, "status": "UNKNOWN"})


def test_the_balance_is_a_number_with_a_currency(sandbox: Running) -> None:
    """Of the account that pays for its messages."""
    send(sandbox, message())
    assert sandbox.one("GET", "/v1/balance") == (200, {"balance": 99999.2, "currency": "EUR"})


def test_nothing_can_be_stopped_or_found_elsewhere(sandbox: Running) -> None:
    """42 for a method, 41 for a resource."""
    assert sandbox.one("DELETE", f"/v1/message/{'0' * 32}") == (400, failed(42))
    assert sandbox.one("GET", "/v1/message?clientMessageId=c1") == (400, failed(42))
    assert sandbox.one("GET", "/v1/messages") == (404, failed(41))


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=5,
)
# fmt: off
NAMES = some.sampled_from([
    "channel", "to", "content", "from", "clientMessageId", "scheduledDeliveryTime", "validityPeriod", "binary",
    "userDataHeader",
])
# fmt: on


@given(some.dictionaries(NAMES, JSON), some.sampled_from([ApiName.ONE, ApiName.PLATFORM]))
def test_no_message_is_more_than_refused(entry: dict[str, object], api: ApiName) -> None:
    """An order or a code with a number, never an exception."""
    read = one_order.read(api, {**message(), **entry}, SandboxSettings(seed=1), 1_000_000.0)
    assert isinstance(read, Order) or one_codes.error(read).code in one_codes.ERRORS


def test_every_code_of_the_gateway_is_told_somehow() -> None:
    """No code of the table is without a number, and the text of a fault goes before the table's words."""
    for code in ERRORS:
        assert one_codes.error(refusal(code)).description
    assert one_codes.error(refusal("301")._replace(text="Odd")).description == "Odd"
