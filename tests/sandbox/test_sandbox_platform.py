"""The Platform by REST and by HTTP: one content, HTTP 2xx whatever became of it, the gateway's own codes as numbers."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from threelane.sandbox import platform_codes
from threelane.sandbox.codes import ERRORS, STATUSES
from threelane.sandbox.running import Running

TO = "27820000001"
WaitUntil = Callable[[Callable[[], Any]], Any]
NO_ERROR = {"errorCode": None, "error": None, "errorDescription": None}


def send(sandbox: Running, **fields: object) -> tuple[int, Any]:
    """Returns the status and the answer of a send."""
    return sandbox.one("POST", "/messages", {"to": [TO], "content": "Hello", **fields})


def described(code: int, words: str) -> dict[str, object]:
    """Returns how an error is told, of an entry and of all."""
    return {"errorCode": code, "error": words, "errorDescription": words}


def test_each_recipient_has_an_entry(sandbox: Running) -> None:
    """Without its plus; the same account pays."""
    status, answer = send(sandbox, to=[f"+{TO}", "12", "27999130100"], clientMessageId="c1")
    [message] = sandbox.control("GET", "ledger")["messages"]
    refused = {"apiMessageId": None, "accepted": False}
    assert (status, answer) == (
        202,
        {
            "messages": [
                {"apiMessageId": message["id"], "accepted": True, "to": TO, **NO_ERROR},
                {**refused, "to": "12", **described(105, ERRORS["105"])},
                {**refused, "to": "27999130100", **described(301, ERRORS["301"])},
            ],
            **NO_ERROR,
        },
    )
    assert (message["api"], message["client_id"]) == ("platform", "c1")
    assert sandbox.command("getbalance") == "Credit: 99999.200"


# fmt: off
REFUSED: list[tuple[dict[str, object], int]] = [
    ({"to": []}, 101), ({"to": TO}, 101), ({"to": [27820000001]}, 101), ({"to": [TO, f"+{TO}"]}, 101),
    ({"content": ""}, 101), ({"binary": 1}, 101), ({"validityPeriod": 0}, 101), ({"from": "MuchTooLongName"}, 106),
    ({"content": "a" * 10_000}, 113),
]
# fmt: on


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_what_is_wrong_with_all_of_a_request_is_a_400(sandbox: Running, fields: dict[str, object], code: int) -> None:
    """Without entries."""
    status, answer = send(sandbox, **fields)
    assert (status, answer["messages"], answer["errorCode"]) == (400, [], code)
    assert answer["error"] == answer["errorDescription"] != ""


WRONG_KEY = described(108, "Invalid or missing integration API Key.")


def test_a_wrong_key_and_broken_json_are_told_apart(sandbox: Running) -> None:
    """401 and 400; the code of a wrong key is that of an API id on the older APIs."""
    assert sandbox.one("POST", "/messages", {"to": [TO], "content": "x"}, "guess") == (
        401,
        {"messages": [], **WRONG_KEY},
    )
    assert sandbox.one("GET", "/public-client/balance", key="guess") == (401, WRONG_KEY)
    assert sandbox.one("POST", "/messages", "{nope") == (400, {"messages": [], **described(100, ERRORS["100"])})


def test_the_balance_is_a_number_with_a_currency(sandbox: Running) -> None:
    """Of the one account."""
    send(sandbox)
    assert sandbox.one("GET", "/public-client/balance") == (200, {"balance": 99999.2, "currency": "EUR"})


# fmt: off
CHARSETS: list[tuple[object, int]] = [
    ("UTF-8", 202), ("ASCII", 202), ("Windows-1252", 202), ("UCS2-BE", 202), (None, 202),
    ("utf-8", 400), ("", 400), (["UTF-8"], 400), (8, 400),
]
# fmt: on


@pytest.mark.parametrize(("charset", "status"), CHARSETS)
def test_a_charset_is_one_of_four(sandbox: Running, charset: object, status: int) -> None:
    """By the names of the documents."""
    assert status == send(sandbox, charset=charset)[0]


# The HTTP form.


def get(sandbox: Running, query: str = "", key: str = "sandbox", **fields: str) -> tuple[int, Any]:
    """Returns the status and the answer of a send by a query."""
    pairs = urlencode({"apiKey": key, **fields})
    status, body = sandbox.request("GET", f"/messages/http/send?{pairs}{query}")
    return status, json.loads(body)


def test_a_query_sends_to_one_handset(sandbox: Running) -> None:
    """HTTP 200, the entry of Platform REST, and the key in no ledger."""
    status, answer = get(sandbox, to=f"+{TO}", content="Grüße", clientMessageId="c1", **{"from": "12025550100"})
    [message] = sandbox.control("GET", "ledger")["messages"]
    entry = {"apiMessageId": message["id"], "accepted": True, "to": TO, **NO_ERROR}
    assert (status, answer) == (200, {"messages": [entry], **NO_ERROR})
    assert ("platform", "c1", "Grüße", "12025550100") == tuple(
        message[name] for name in ("api", "client_id", "text", "from")
    )
    assert "apiKey" not in message["options"]


# fmt: off
REFUSED_QUERIES: list[tuple[dict[str, str], int]] = [
    ({"content": "Hello"}, 101), ({"to": TO}, 101), ({"to": TO, "content": ""}, 101),
    ({"to": TO, "content": "Hello", "from": "MuchTooLongName"}, 106),
    ({"to": TO, "content": "Hello", "binary": "1"}, 101),
    ({"to": TO, "content": "Hello", "validityPeriod": "soon"}, 101),
    ({"to": TO, "content": "Hello", "charset": "KOI8-R"}, 101),
]
# fmt: on


@pytest.mark.parametrize(("fields", "code"), REFUSED_QUERIES)
def test_what_is_wrong_with_a_query_is_an_http_200_without_entries(
    sandbox: Running, fields: dict[str, str], code: int
) -> None:
    """As users of the API published it: https://github.com/home-assistant/core/issues/23305."""
    status, answer = get(sandbox, **fields)
    assert (200, [], code) == (status, answer["messages"], answer["errorCode"])


def test_a_query_with_a_wrong_key_is_an_http_200_too(sandbox: Running) -> None:
    """Also one without a key."""
    assert (200, {"messages": [], **WRONG_KEY}) == get(sandbox, key="guess", to=TO, content="Hello")
    assert (200, {"messages": [], **WRONG_KEY}) == get(sandbox, key="", to=TO, content="Hello")


def test_a_query_is_for_one_number_and_a_list_is_none(sandbox: Running) -> None:
    """A published client writes a list of its language into the URL."""
    for to in (f"{TO},27820000002", f"['{TO}']"):
        _, answer = get(sandbox, to=to, content="Hello")
        assert [105] == [entry["errorCode"] for entry in answer["messages"]]


def test_a_query_has_the_fields_of_platform_rest_in_their_types(sandbox: Running) -> None:
    """A boolean by its name, and minutes as a number."""
    get(sandbox, to=TO, content="024a3a", binary="true", userDataHeader="06050415810000", validityPeriod="30")
    [message] = sandbox.control("GET", "ledger")["messages"]
    expected = {"binary": True, "userDataHeader": "06050415810000", "validityPeriod": 30}
    assert expected.items() <= message["options"].items()


@pytest.mark.parametrize(
    ("charset", "octets"),
    [("Windows-1252", "%E9%80"), ("UTF-8", "%C3%A9%E2%82%AC"), ("UCS2-BE", "%00%E9%20%AC")],
)
def test_a_query_is_read_in_its_charset(sandbox: Running, charset: str, octets: str) -> None:
    """UTF-8 by default; octets that are not of the charset are malformed."""
    get(sandbox, f"&content={octets}", to=TO, charset=charset)
    assert ["é€"] == [message["text"] for message in sandbox.control("GET", "ledger")["messages"]]
    assert 100 == get(sandbox, "&content=%FF", to=TO, charset="ASCII")[1]["errorCode"]


def test_nothing_but_a_get_sends_by_a_query(sandbox: Running) -> None:
    """A HEAD, which a link preview makes, sends nothing."""
    for method in ("HEAD", "POST", "PUT"):
        assert 405 == sandbox.request(method, f"/messages/http/send?apiKey=sandbox&to={TO}&content=x")[0]
    assert [] == sandbox.control("GET", "ledger")["messages"]


@pytest.fixture
def pushed(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> Callable[[int], list[dict[str, Any]]]:
    """Returns a function that waits for so many acknowledged callbacks and returns what arrived as JSON."""
    url = f"http://127.0.0.1:{receiver.port}/hooks/status"
    waits = {"gateway_after_seconds": 0.005, "handset_after_seconds": 0.05, "callback_retry_scale": 0.0001}
    sandbox.control("POST", "settings", {"callback_url": url, **waits})

    def arrived(count: int) -> list[dict[str, Any]]:
        wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["acknowledged"] >= count)
        return [json.loads(body) for body in receiver.bodies if body.startswith("{")]

    return arrived


def test_every_status_is_pushed_in_its_own_shape(
    sandbox: Running, receiver: Any, pushed: Callable[[int], list[dict[str, Any]]]
) -> None:
    """The gateway's own numbers: 4 is at the handset, where the One API says 5; to `/platform`, without a charge."""
    [entry] = send(sandbox, clientMessageId="c1", **{"from": "12025550100"})[1]["messages"]
    first, second = pushed(2)
    for update in (first, second):
        assert abs(update.pop("timestamp") / 1000 - time.time()) < 30
    common = {
        "integrationName": "sandbox",
        "messageId": entry["apiMessageId"],
        "requestId": first["requestId"],
        "clientMessageId": "c1",
        "to": TO,
        "from": "12025550100",
    }
    names = platform_codes.STATUSES
    assert first == {**common, "statusCode": 3, "status": names["003"], "statusDescription": STATUSES["003"]}
    assert second == {**common, "statusCode": 4, "status": names["004"], "statusDescription": STATUSES["004"]}
    assert (names["003"], names["004"]) == ("DELIVERED_TO_GATEWAY", "RECEIVED_BY_RECIPIENT")
    assert (set(receiver.paths), set(receiver.methods)) == ({"/hooks/platform"}, {"POST"})


def test_a_request_has_one_id_for_all_its_recipients(
    sandbox: Running, pushed: Callable[[int], list[dict[str, Any]]]
) -> None:
    """And another request another; what was not given is null."""
    send(sandbox, to=["27999200900", "27999201000"])
    send(sandbox, to=["27999201200"])
    updates = {update["to"]: update for update in pushed(3)}
    ids = [updates[to]["requestId"] for to in ("27999200900", "27999201000", "27999201200")]
    assert ids[0] == ids[1] != ids[2]
    assert {update["statusCode"] for update in updates.values()} == {9, 10, 12}
    assert {(update["clientMessageId"], update["from"]) for update in updates.values()} == {(None, None)}


def test_each_status_has_a_name() -> None:
    """No two of them the same."""
    assert list(platform_codes.STATUSES) == list(STATUSES)
    assert len(set(platform_codes.STATUSES.values())) == len(STATUSES)


def test_statuses_can_be_pushed_as_a_query(
    sandbox: Running, receiver: Any, pushed: Callable[[int], list[dict[str, Any]]]
) -> None:
    """Where the method is GET; a missing value is left out. They are made again like any other."""
    sandbox.control("POST", "settings", {"callback_method": "GET"})
    receiver.answers = [500]
    send(sandbox, to=["27999200900"])
    pushed(1)
    assert receiver.methods == ["GET", "GET"]
    assert (receiver.received[0]["statusCode"], receiver.received[0]["status"]) == ("9", "ROUTING_ERROR")
    assert "clientMessageId" not in receiver.received[0]
