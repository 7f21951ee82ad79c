"""Platform REST: one content for several, HTTP 202 whatever became of them, the gateway's own codes as numbers."""

import json
import time
from collections.abc import Callable
from typing import Any

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


def test_a_wrong_key_and_broken_json_are_told_apart(sandbox: Running) -> None:
    """401 and 400."""
    assert sandbox.one("POST", "/messages", {"to": [TO], "content": "x"}, "guess") == (
        401,
        {"messages": [], **described(1, ERRORS["001"])},
    )
    assert sandbox.one("POST", "/messages", "{nope") == (400, {"messages": [], **described(100, ERRORS["100"])})


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
