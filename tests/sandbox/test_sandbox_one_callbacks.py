"""Status callbacks of the One API: JSON to an address of its own; those of REST and XML are as ever."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from threelane.sandbox import one_codes
from threelane.sandbox.codes import STATUSES
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO = "27820000001"
WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.fixture(autouse=True)
def _short_waits(sandbox: Running, receiver: Any) -> None:
    sandbox.control(
        "POST",
        "settings",
        {
            "callback_url": f"http://127.0.0.1:{receiver.port}/hooks/status",
            "gateway_after_seconds": 0.005,
            "handset_after_seconds": 0.05,
            "callback_retry_scale": 0.0001,  # 12, 24, 48 ms
        },
    )


def send(sandbox: Running, *to: str, **fields: object) -> list[str]:
    """Returns the ids of messages whose client ids are their numbers."""
    messages = [{"to": number, "content": "x", "clientMessageId": number, **fields} for number in to]
    answer = sandbox.one("POST", "/v1/message", {"messages": messages})[1]
    return [entry["apiMessageId"] for entry in answer["messages"]]


def acknowledged(sandbox: Running, wait_until: WaitUntil, count: int) -> None:
    """Waits for so many acknowledged callbacks."""
    wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["acknowledged"] >= count)


def names(receiver: Any, client_id: str) -> list[str]:
    """Returns the statuses that arrived for a client id, in order."""
    return [update["status"] for update in receiver.updates() if update["clientMessageId"] == client_id]


def test_every_status_is_pushed_as_json(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """One event a request, to `/one` beside `/status`; no charge in it, and by POST whatever the method is."""
    sandbox.control("POST", "settings", {"callback_method": "GET"})
    [id] = send(sandbox, TO)
    acknowledged(sandbox, wait_until, 2)
    updates = receiver.updates()
    for update in updates:
        assert abs(update.pop("timestamp") / 1000 - time.time()) < 30
    common = {"channel": "sms", "messageId": id, "clientMessageId": TO}
    assert updates == [
        {**common, "statusCode": 4, "status": "SENT_TO_SUPPLIER"},
        {**common, "statusCode": 5, "status": "DEVICE_ACK"},
    ]
    assert (set(receiver.paths), set(receiver.methods)) == ({"/hooks/one"}, {"POST"})
    prefix = '{"integrationId":"sandbox","integrationName":"sandbox","event":{"messageStatusUpdate":[{'
    assert all(body.startswith(prefix) for body in receiver.bodies)


def test_each_end_has_its_word(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """Every status that a message can end in, the failures too; 008 is where it is, so nothing comes."""
    numbers = {status: f"279992{status}00" for status in STATUSES}
    send(sandbox, *numbers.values())
    after_network = ("004", "005", "007")
    ends = {status: one_codes.STATUSES[status].name for status in STATUSES}
    expected = {
        status: (["SENT_TO_SUPPLIER"] if status in after_network else []) + ([name] if status != "008" else [])
        for status, name in ends.items()
    }
    acknowledged(sandbox, wait_until, sum(map(len, expected.values())))
    assert {status: names(receiver, numbers[status]) for status in STATUSES} == expected
    assert (ends["007"], ends["010"], ends["009"]) == ("DELIVERY_FAILURE", "EXPIRED", "ROUTING_ERROR")
    codes = {update["status"]: update["statusCode"] for update in receiver.updates()}
    assert codes["DELIVERY_FAILURE"] == 23
    assert codes["INSUFFICIENT_ACCOUNT_BALANCE"] == 25


def test_a_whatsapp_message_names_its_channel_and_no_client_id_is_null(
    sandbox: Running, receiver: Any, wait_until: WaitUntil
) -> None:
    """The channel is that of the message."""
    send(sandbox, TO, channel="whatsapp", clientMessageId=None)
    acknowledged(sandbox, wait_until, 2)
    assert {(update["channel"], update["clientMessageId"]) for update in receiver.updates()} == {("whatsapp", None)}


def test_its_address_can_be_set_and_is_never_guessed(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """Before the other; without both nothing is pushed."""
    url = f"http://hook:s3cret@127.0.0.1:{receiver.port}/elsewhere"
    sandbox.control("POST", "settings", {"one_callback_url": url, "callback_url": None})
    send(sandbox, TO)
    sandbox.send(TO, callback="7")
    acknowledged(sandbox, wait_until, 2)
    assert (receiver.paths, set(receiver.authorizations)) == (["/elsewhere"] * 2, {"Basic aG9vazpzM2NyZXQ="})


@pytest.mark.parametrize(
    ("central", "one", "expected"),
    [
        ("http://u:p@h:1/a/status", None, "http://u:p@h:1/a/one"),
        ("http://h/status?x=/status", None, "http://h/one?x=/status"),
        ("http://h/receipts", None, None),
        ("http://h/mystatus", None, None),
        (None, None, None),
        ("http://h/status", "http://other/x", "http://other/x"),
    ],
)
def test_the_address_stands_beside_that_of_the_others(central: str | None, one: str | None, expected: str) -> None:
    """Only the last segment `/status` is replaced."""
    assert SandboxSettings(callback_url=central, one_callback_url=one).one_callback == expected


def test_it_is_made_again_until_it_is_acknowledged(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """As the others."""
    receiver.answers = [500, 404]
    send(sandbox, "27999200900")
    acknowledged(sandbox, wait_until, 1)
    assert names(receiver, "27999200900") == ["ROUTING_ERROR"] * 3


def test_faults_of_receipts_hold_for_it(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> None:
    """Doubled, out of order, lost."""
    send(sandbox, "27999400200", "27999400300", "27999400400")
    acknowledged(sandbox, wait_until, 6)
    both = ["SENT_TO_SUPPLIER", "DEVICE_ACK"]
    assert names(receiver, "27999400200") == [each for each in both for _ in range(2)]
    assert names(receiver, "27999400300") == both[::-1]
    assert names(receiver, "27999400400") == []


def test_rest_and_xml_messages_are_pushed_as_forms_by_their_mask(
    sandbox: Running, receiver: Any, wait_until: WaitUntil
) -> None:
    """The Central form, with its charge, to the Central address."""
    sandbox.rest("POST", "message", {"to": [TO], "text": "x", "clientMessageId": "r", "callback": 7})
    sandbox.rest("POST", "message", {"to": [TO], "text": "x", "clientMessageId": "r0"})
    credentials = "<api_id>sandbox</api_id><user>sandbox</user><password>sandbox</password>"
    children = f"<to>{TO}</to><text>x</text><cliMsgId>x</cliMsgId><callback>2</callback>"
    sandbox.xml(f"<clickAPI><sendMsg>{credentials}{children}</sendMsg></clickAPI>")
    acknowledged(sandbox, wait_until, 3)
    assert [receiver.statuses(client_id) for client_id in ("r", "r0", "x")] == [["003", "004"], [], ["004"]]
    assert {each["charge"] for each in receiver.received} == {"0.800000"}
    assert set(receiver.paths) == {"/hooks/status"}
