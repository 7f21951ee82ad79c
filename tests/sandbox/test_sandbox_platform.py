"""Platform REST: one content for several, HTTP 202 whatever became of them, the gateway's own codes as numbers."""

from typing import Any

import pytest

from sandbox.codes import ERRORS
from sandbox.running import Running

TO = "27820000001"
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
