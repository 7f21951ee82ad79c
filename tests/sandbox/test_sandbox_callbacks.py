"""Status callbacks: by mask, by clock, again until acknowledged."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from threelane.sandbox.callbacks import RETRIES_AFTER_SECONDS
from threelane.sandbox.codes import MASKS, STATUSES
from threelane.sandbox.running import Running

TO = "27820000001"
WaitUntil = Callable[[Callable[[], Any]], Any]

PUSHED = {
    0: "",
    1: "003",
    2: "004 005 007 009 010 012",
    3: "003 004 005 007 009 010 012",
    4: "005 007 009 010 012",
    5: "003 005 007 009 010 012",
    6: "004 005 007 009 010 012",
    7: "003 004 005 007 009 010 012",
}


@pytest.fixture(autouse=True)
def _short_waits(sandbox: Running, receiver: Any) -> None:
    sandbox.control(
        "POST",
        "settings",
        {
            "callback_url": receiver.url,
            "gateway_after_seconds": 0.005,
            "handset_after_seconds": 0.01,
            "callback_retry_scale": 0.0001,  # 12, 24, 48 ms
        },
    )


def settle(sandbox: Running, wait_until: WaitUntil, count: int) -> None:
    """Waits for so many acknowledged callbacks."""
    wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["acknowledged"] >= count)


def test_each_mask_pushes_its_statuses_and_no_other(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """The whole table: eight masks, every status a message can end in."""
    for mask in PUSHED:
        for status in STATUSES:
            sandbox.send(f"279992{status}00", callback=str(mask), climsgid=f"{mask}x{status}")
    reaches_network = ("004", "005", "007")
    expected = {
        f"{mask}x{end}": [
            status for status in (("003", end) if end in reaches_network else (end,)) if status in pushed.split()
        ]
        for mask, pushed in PUSHED.items()
        for end in STATUSES
    }
    settle(sandbox, wait_until, sum(map(len, expected.values())))
    assert {client_id: sorted(receiver.statuses(client_id)) for client_id in expected} == expected
    assert len(receiver.received) == sum(map(len, expected.values()))
    assert {mask: " ".join(sorted(statuses)) for mask, statuses in MASKS.items()} == PUSHED


def test_a_callback_holds_every_field(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """By POST form; the charge has six decimals and is there from 003 on."""
    id = sandbox.send(TO, "a" * 161, callback="7", climsgid="c1", **{"from": "Acme"}).removeprefix("ID: ")
    settle(sandbox, wait_until, 2)
    first = next(one for one in receiver.received if one["status"] == "003")
    assert abs(int(first.pop("timestamp")) - time.time()) < 30
    assert first == {
        "api_id": "sandbox",
        "apiMsgId": id,
        "cliMsgId": "c1",
        "to": TO,
        "from": "Acme",
        "status": "003",
        "charge": "1.600000",
    }
    assert set(receiver.methods) == {"POST"}


def test_a_callback_can_be_a_get_with_basic_auth(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """User and password of the URL go in a header; empty fields are sent."""
    url = f"http://hook:s3cret@127.0.0.1:{receiver.port}/receipts"
    sandbox.control("POST", "settings", {"callback_url": url, "callback_method": "GET"})
    sandbox.send(TO, callback="1")
    settle(sandbox, wait_until, 1)
    assert receiver.methods == ["GET"]
    assert receiver.authorizations == [f"Basic {base64.b64encode(b'hook:s3cret').decode()}"]
    assert (receiver.received[0]["from"], receiver.received[0]["cliMsgId"]) == ("", "")


def test_a_callback_can_be_xml_in_a_form_field(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """The fields of the form, as elements; those without a value are there too."""
    sandbox.control("POST", "settings", {"callback_method": "XML"})
    id = sandbox.send(TO, callback="1", climsgid="a&b").removeprefix("ID: ")
    settle(sandbox, wait_until, 1)
    fields = {child.tag: child.text for child in fromstring(receiver.received[0]["data"])}
    assert abs(int(fields.pop("timestamp") or 0) - time.time()) < 30
    expected = {"api_id": "sandbox", "apiMsgId": id, "cliMsgId": "a&b", "to": TO, "from": None}
    assert fields == {**expected, "status": "003", "charge": "0.800000"}
    assert (receiver.methods, receiver.content_types) == (["POST"], ["application/x-www-form-urlencoded"])


def test_a_callback_can_be_json(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """With the names of Central REST, and made again like any other."""
    sandbox.control("POST", "settings", {"callback_method": "JSON"})
    receiver.answers = [500]
    answer = sandbox.rest("POST", "message", {"to": [TO], "text": "x", "clientMessageId": "c1", "callback": 1})[1]
    settle(sandbox, wait_until, 1)
    first, second = map(json.loads, receiver.bodies)
    assert abs(first["timestamp"] - time.time()) < 30
    assert (
        first
        == second
        == {
            "apiMessageId": answer["data"]["message"][0]["apiMessageId"],
            "clientMessageId": "c1",
            "messageStatus": "003",
            "charge": 0.8,
            "timestamp": first["timestamp"],
            "to": TO,
        }
    )
    assert set(receiver.content_types) == {"application/json"}


def test_another_method_is_refused(sandbox: Running) -> None:
    """SOAP was offered once; nobody knows its shape."""
    assert sandbox.control("POST", "settings", {"callback_method": "SOAP"})["error"]["field"] == "callback_method"


def test_a_callback_is_made_again_until_it_is_acknowledged(
    sandbox: Running, receiver: Any, wait_until: WaitUntil
) -> None:
    """Anything but 2xx is refused, redirects too, and each wait doubles."""
    receiver.answers = [500, 302, 404]
    sandbox.send(TO, callback="1", climsgid="c1")
    settle(sandbox, wait_until, 1)
    assert receiver.statuses("c1") == ["003"] * 4
    assert sandbox.control("GET", "health")["callbacks"] == {
        "waiting": 0,
        "acknowledged": 1,
        "refused": 3,
        "given_up": 0,
    }


def test_a_callback_is_given_up_after_eight_retries(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """Nine requests in all, then never again: after 2, 4, 8 ... 128 minutes and 3 days."""
    assert [*(2**power for power in range(1, 8)), 3 * 24 * 60] == [each / 60 for each in RETRIES_AFTER_SECONDS]
    sandbox.control("POST", "settings", {"callback_retry_scale": 0})
    receiver.answers = [503] * 20
    sandbox.send(TO, callback="1", climsgid="c1")
    wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["given_up"] == 1)
    assert receiver.statuses("c1") == ["003"] * 9


@pytest.mark.parametrize(
    ("do", "magic", "statuses"),
    [
        ("receipts_doubled", "27999400200", ["003", "003", "004", "004"]),
        ("receipts_out_of_order", "27999400300", ["004", "003"]),
    ],
)
def test_receipts_come_doubled_or_out_of_order(
    sandbox: Running, receiver: Any, wait_until: WaitUntil, do: str, magic: str, statuses: list[str]
) -> None:
    """By a fault and by a magic number; the look-up keeps the true order."""
    sandbox.control("POST", "faults", {"do": do})
    sandbox.control("POST", "settings", {"handset_after_seconds": 0.1})
    sandbox.send(TO, callback="7", climsgid="c1")
    sandbox.send(magic, callback="7", climsgid="c2")
    sandbox.send(TO, callback="7", climsgid="c3")
    settle(sandbox, wait_until, 2 * len(statuses) + 2)
    assert [receiver.statuses(id) for id in ("c1", "c2", "c3")] == [statuses, statuses, ["003", "004"]]
    for message in sandbox.control("GET", "ledger")["messages"]:
        assert [each["status"] for each in message["history"]] == ["008", "003", "004"]


def test_receipts_are_lost_or_late(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """The look-up knows the status meanwhile."""
    sandbox.control("POST", "faults", [{"do": "receipts_late", "seconds": 0.3, "to": TO}])
    sandbox.control("POST", "faults", {"do": "receipts_lost", "to": "27820000002"})
    for to in (TO, "27820000002", "27999400400", "27999400160"):
        sandbox.send(to, callback="7", climsgid=to)
    wait_until(lambda: sandbox.control("GET", "ledger?summary=1")["summary"]["by_status"] == {"004": 4})
    assert receiver.received == []
    settle(sandbox, wait_until, 2)
    assert sorted(receiver.statuses(TO)) == ["003", "004"]  # late ones may overtake each other
    assert len(receiver.received) == 2


def test_without_a_url_nothing_is_pushed_but_statuses_move(
    sandbox: Running, receiver: Any, wait_until: WaitUntil
) -> None:
    """As with the real gateway when no URL is set."""
    sandbox.control("POST", "settings", {"callback_url": None})
    sandbox.send(TO, callback="7")
    wait_until(lambda: sandbox.control("GET", "ledger?summary=1")["summary"]["by_status"] == {"004": 1})
    assert receiver.received == []
