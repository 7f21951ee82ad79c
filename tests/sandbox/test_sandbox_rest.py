"""The Central REST API: what it takes, refuses, shows and stops, in its own shapes."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.sandbox import rest_order
from threelane.sandbox.codes import ERRORS, STATUSES
from threelane.sandbox.order import Order
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO = "27820000001"
ID = re.compile("[0-9a-f]{32}")
WaitUntil = Callable[[Callable[[], Any]], Any]


def send(sandbox: Running, to: object = (TO,), **fields: object) -> tuple[int, Any]:
    """Returns the status and the answer of a send."""
    return sandbox.rest("POST", "message", {"to": to, "text": "Hello", **fields})


def described(code: str, words: str = "") -> dict[str, str]:
    """Returns the object that tells an error."""
    url = f"https://www.clickatell.com/help/apidocs/error/{code}.htm"
    return {"code": code, "description": words or ERRORS[code], "documentation": url}


def entries(answer: Any) -> list[dict[str, Any]]:
    """Returns the entries of a send."""
    found: list[dict[str, Any]] = answer["data"]["message"]
    return found


def test_an_accepted_message_is_a_202_with_its_id(sandbox: Running) -> None:
    """The ledger says by which API it came."""
    status, answer = send(sandbox, clientMessageId="c1")
    [message] = sandbox.control("GET", "ledger")["messages"]
    assert (status, answer) == (
        202,
        {"data": {"message": [{"accepted": True, "to": TO, "apiMessageId": message["id"]}]}},
    )
    assert (message["api"], message["client_id"], message["charge"]) == ("rest", "c1", "0.8")


# fmt: off
ONE_CAUSE: list[tuple[str, str, int]] = [
    ("12", "105", 400),
    ("+27820000001", "105", 400),
    ("99900000001", "114", 410),
    ("27999112100", "121", 410),
    ("27999112200", "122", 410),
    ("27999112800", "128", 410),
    ("27999100100", "001", 401),
    ("27999100700", "007", 401),
    ("27999130100", "301", 402),
    ("27999190100", "901", 503),
    ("27999177700", "777", 400),
]
# fmt: on


@pytest.mark.parametrize(("to", "code", "http"), ONE_CAUSE)
def test_a_refused_number_is_an_entry_under_the_status_of_its_code(
    sandbox: Running, to: str, code: str, http: int
) -> None:
    """The entry has an error and no id; nothing is charged."""
    status, answer = send(sandbox, [to])
    [entry] = entries(answer)
    assert (status, entry["error"]["code"]) == (http, code)
    expected = {
        "accepted": False,
        "to": to,
        "apiMessageId": "",
        "error": described(code, entry["error"]["description"]),
    }
    assert expected == entry
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert (summary["refused"], summary["charged"]) == ({code: 1}, "0.000")


def test_a_rate_limit_is_a_429_that_names_its_end(sandbox: Running) -> None:
    """Code 130 ends in a Unix time."""
    status, answer = send(sandbox, ["27999113050"])
    [entry] = entries(answer)
    words, _, until = entry["error"]["description"].rpartition(" ")
    assert (status, entry["error"]["code"], words) == (429, "130", ERRORS["130"])
    assert abs(int(until) - time.time() - 50) < 10


def test_taken_and_refused_together_are_a_207(sandbox: Running) -> None:
    """Each entry in the order of the request; so are two different refusals."""
    status, answer = send(sandbox, [TO, "12", "27820000002"])
    assert (status, [entry["accepted"] for entry in entries(answer)]) == (207, [True, False, True])
    assert entries(answer)[1]["error"] == described("105")
    assert send(sandbox, ["12", "27999112200"])[0] == 207
    assert send(sandbox, ["27999112100", "27999112100"])[0] == 410


def test_credit_can_run_out_within_one_request(sandbox: Running) -> None:
    """402 when nobody got one."""
    sandbox.control("POST", "credit", {"set": "0.8"})
    status, answer = send(sandbox, [TO, "27820000002"])
    assert (status, [entry["accepted"] for entry in entries(answer)]) == (207, [True, False])
    assert send(sandbox)[0] == 402


# fmt: off
REFUSED: dict[str, list[dict[str, Any]]] = {
    "101": [
        {"maxCredits": 7}, {"maxCredits": 0},
        {"to": []}, {"to": TO}, {"to": [27820000001]}, {"to": None}, {"to": [TO] * 601}, {"text": 5},
        {"maxMessageParts": 4}, {"maxMessageParts": 0}, {"maxMessageParts": "x"}, {"userPriorityQueue": 4},
        {"callback": 8}, {"callback": -1}, {"escalate": 2}, {"mo": True}, {"requiredFeatures": 70000},
        {"maxCredits": "x"}, {"maxCredits": [1]}, {"validityPeriod": 0}, {"validityPeriod": 10**30},
        {"unicode": True}, {"binary": 2}, {"bypassDNCCheck": 2}, {"from": 12025550100}, {"type": 1},
        {"scheduledDeliveryTime": "2001-01-01T00:00:00Z"}, {"scheduledDeliveryTime": "2999-01-01T00:00:00Z"},
        {"scheduledDeliveryTime": "2031-02-30T00:00:00Z"}, {"scheduledDeliveryTime": "2031-06-30T14:00:00+02:00"},
        {"scheduledDeliveryTime": 1767225600}, {"userPriorityQueue": "9" * 5000},
    ],
    "102": [{"udh": "zz"}],
    "106": [{"from": "MuchTooLongName"}, {"from": "Acme", "binary": 1, "text": "ff00"}],
    "107": [{"text": ""}, {"text": None}],
    "112": [{"type": "SMS_HOLOGRAM"}],
    "113": [{"text": "a" * 460}, {"text": "a" * 161, "maxMessageParts": 1}],
    "116": [{"text": "1F600", "unicode": 1}],
    "120": [{"clientMessageId": "has space"}, {"clientMessageId": "x" * 33}, {"clientMessageId": "\u00e9t\u00e9"}],
}
# fmt: on


@pytest.mark.parametrize(("fields", "code"), [(fields, code) for code, causes in REFUSED.items() for fields in causes])
def test_what_is_wrong_with_all_of_a_request_is_a_global_error(
    sandbox: Running, fields: dict[str, Any], code: str
) -> None:
    """A 400 without entries; the attempts are kept for each recipient."""
    status, answer = send(sandbox, **{"to": [TO], **fields})
    assert (status, answer) == (400, {"error": described(code)})
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["messages"] == 0
    assert {each["code"] for each in sandbox.control("GET", "attempts")["attempts"]} == {code}


def test_a_cap_below_the_price_is_302_of_that_number(sandbox: Running) -> None:
    """4477 costs 2."""
    status, answer = send(sandbox, ["447700000001"], maxCredits=1.5)
    assert (status, entries(answer)[0]["error"]) == (400, described("302"))
    assert send(sandbox, ["447700000001"], maxCredits="2.5")[0] == 202


@pytest.mark.parametrize("body", ["{nope", "", "[]", "5", "null", '{"to": "\\ud800"}', b"\xff{}", "[" * 100_000])
def test_what_is_no_json_object_is_code_100(sandbox: Running, body: str | bytes) -> None:
    """Broken, another type, broken text, nested without end."""
    assert sandbox.rest("POST", "message", body) == (400, {"error": described("100")})


# fmt: off
WRONG_HEADERS: list[tuple[dict[str, str], str, int]] = [
    ({"Authorization": "Bearer guess"}, "001", 401),
    ({"Authorization": "sandbox"}, "001", 401),
    ({"Authorization": ""}, "001", 401),
    ({"X-Version": "2"}, "165", 400),
    ({"X-Version": ""}, "165", 400),
    ({"Accept": "application/xml"}, "166", 400),
    ({"Accept": "*/*"}, "166", 400),
    ({"Content-Type": "application/xml"}, "167", 400),
    ({"Content-Type": "application/x-www-form-urlencoded"}, "167", 400),
]
# fmt: on


@pytest.mark.parametrize(("headers", "code", "http"), WRONG_HEADERS)
def test_each_wrong_header_has_its_own_code(sandbox: Running, headers: dict[str, str], code: str, http: int) -> None:
    """Nothing is taken."""
    body = {"to": [TO], "text": "Hello"}
    assert sandbox.rest("POST", "message", body, **headers) == (http, {"error": described(code)})
    if "Content-Type" not in headers:
        assert sandbox.rest("GET", "account/balance", **headers) == (http, {"error": described(code)})
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["messages"] == 0


def test_the_scheme_word_may_be_written_in_any_case_and_the_token_is_a_setting(
    sandbox: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By option, or by environment where it belongs."""
    assert sandbox.rest("GET", "account/balance", Authorization="bearer sandbox")[0] == 200
    monkeypatch.setenv("THREELANE_SANDBOX_REST_TOKEN", "t0ken")
    with Running.start("--seed", "1") as running:
        assert running.rest("GET", "account/balance")[0] == 401
        assert running.rest("GET", "account/balance", Authorization="Bearer t0ken")[0] == 200


def test_every_field_is_kept_under_its_own_name(sandbox: Running) -> None:
    """And does what its counterpart of the HTTP API does."""
    due_at = int(time.time()) + 600
    fields = {
        **{"clientMessageId": "c1", "from": "12025550100", "maxMessageParts": 2, "userPriorityQueue": 1},
        **{"callback": 7, "escalate": 1, "maxCredits": 1.5, "mo": 1, "requiredFeatures": 8240, "validityPeriod": 60},
        **{"type": "SMS_FLASH", "unicode": 0, "binary": 0, "bypassDNCCheck": 0, "invented": {"kept": True}},
        "scheduledDeliveryTime": datetime.fromtimestamp(due_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert send(sandbox, [TO], **fields)[0] == 202
    [message] = sandbox.control("GET", "ledger")["messages"]
    assert message["options"] == {**fields, "to": [TO], "text": "Hello"}
    expected = {"client_id": "c1", "from": "12025550100", "queue": 1, "callback": 7, "scheduled_at": due_at}
    assert {name: message[name] for name in expected} == expected
    assert message["status"] == "011"


def test_six_hundred_recipients_go_in_one_request(sandbox: Running) -> None:
    """The documented limit."""
    status, answer = send(sandbox, [f"2782{index:07d}" for index in range(600)], clientMessageId="shared")
    assert (status, len(entries(answer))) == (202, 600)
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["charged"] == "480.000"


def test_ucs2_is_sent_as_hex(sandbox: Running) -> None:
    """Without `unicode`, what GSM 03.38 lacks becomes a question mark."""
    send(sandbox, text="041F0440", unicode=1)
    send(sandbox, text="Пр")
    texts = [(each["text"], each["encoding"]) for each in sandbox.control("GET", "ledger")["messages"]]
    assert texts == [("Пр", "ucs2"), ("??", "gsm7")]


# --- looking up, stopping, the account


def test_a_message_is_found_by_either_id(sandbox: Running, wait_until: WaitUntil) -> None:
    """With its status, what that means, and its charge as a number."""
    id = entries(send(sandbox, text="a" * 161, clientMessageId="c1")[1])[0]["apiMessageId"]
    data = {"apiMessageId": id, "messageStatus": "004", "description": STATUSES["004"], "clientMessageId": "c1"}
    for path in (f"message/{id}", "message?clientMessageId=c1"):
        wait_until(lambda path=path: sandbox.rest("GET", path)[1]["data"]["messageStatus"] == "004")
        assert sandbox.rest("GET", path) == (200, {"data": {**data, "charge": 1.6}})


def test_an_unknown_or_missing_id_has_its_own_code(sandbox: Running) -> None:
    """404 with 103 of the gateway's id and 104 of the client's, 400 with 109 when there is none."""
    for method in ("GET", "DELETE"):
        assert sandbox.rest(method, f"message/{'0' * 32}") == (404, {"error": described("103")})
    assert sandbox.rest("GET", "message?clientMessageId=nobody") == (404, {"error": described("104")})
    assert sandbox.rest("GET", "message") == (400, {"error": described("109")})


def test_a_lagging_look_up_does_not_find_what_was_taken(sandbox: Running) -> None:
    """As on the HTTP API: 104 by client id, status 001 by the gateway's."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 60})
    id = entries(send(sandbox, clientMessageId="c1")[1])[0]["apiMessageId"]
    assert sandbox.rest("GET", "message?clientMessageId=c1") == (404, {"error": described("104")})
    assert sandbox.rest("GET", f"message/{id}")[1]["data"]["messageStatus"] == "001"


def test_a_scheduled_message_can_be_stopped_another_shows_where_it_is(sandbox: Running, wait_until: WaitUntil) -> None:
    """006 and its charge given back, or the status it has."""
    due = datetime.fromtimestamp(time.time() + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    waits = entries(send(sandbox, scheduledDeliveryTime=due)[1])[0]["apiMessageId"]
    gone = entries(send(sandbox)[1])[0]["apiMessageId"]
    wait_until(lambda: sandbox.rest("GET", f"message/{gone}")[1]["data"]["messageStatus"] == "004")
    for id, status in ((waits, "006"), (gone, "004")):
        data = {"apiMessageId": id, "messageStatus": status, "description": STATUSES[status]}
        assert sandbox.rest("DELETE", f"message/{id}") == (200, {"data": data})
    assert sandbox.rest("GET", "account/balance") == (200, {"data": {"balance": "99999.200"}})


def test_coverage_tells_the_price_of_a_number(sandbox: Running) -> None:
    """410 where no route leads."""
    data = {"routable": True, "destination": "447700000001", "minimumCharge": 2.0}
    assert sandbox.rest("GET", "coverage/447700000001") == (200, {"data": data})
    assert sandbox.rest("GET", "coverage/99900000001") == (410, {"error": described("114")})
    assert sandbox.rest("GET", "coverage/x") == (400, {"error": described("105")})


def test_another_method_is_160_and_another_resource_161(sandbox: Running) -> None:
    """405 and 404."""
    for method, path in (("PUT", "message"), ("POST", "message/x"), ("DELETE", "account/balance")):
        assert sandbox.rest(method, path) == (405, {"error": described("160")})
    for path in ("messages", "", "account/credit"):
        assert sandbox.rest("GET", path) == (404, {"error": described("161")})


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=5,
)
# fmt: off
FIELDS = some.sampled_from([
    "text", "from", "clientMessageId", "maxMessageParts", "userPriorityQueue", "callback", "escalate", "maxCredits",
    "mo", "requiredFeatures", "scheduledDeliveryTime", "validityPeriod", "type", "unicode", "binary", "udh",
    "bypassDNCCheck",
])
# fmt: on


@given(some.dictionaries(FIELDS, JSON))
def test_no_content_is_more_than_refused(content: dict[str, object]) -> None:
    """An order or a code of the table, never an exception."""
    read = rest_order.read({"text": "x", **content}, SandboxSettings(seed=1), 1_000_000.0)
    assert isinstance(read, Order) or read.code in ERRORS
