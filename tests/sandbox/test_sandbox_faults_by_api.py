"""Faults and magic recipients do the same on every API; on those that take many messages at once, each to its own."""

import json
import re
from collections.abc import Callable
from http.client import HTTPException, IncompleteRead
from typing import Any
from urllib.parse import urlencode

import pytest

from threelane.sandbox.apis import FORM_TYPE, JSON_TYPE
from threelane.sandbox.running import Running

TO = "27820000001"
WaitUntil = Callable[[Callable[[], Any]], Any]

REST_HEADERS = {"Authorization": "Bearer sandbox", "X-Version": "1", "Accept": JSON_TYPE}
MANY = ("xml", "one")  # a client id for each message of a request
APIS = ("http", "rest", "xml", "one", "platform")


def xml(*elements: str) -> bytes:
    """Returns the form with a document of these elements."""
    return urlencode({"data": f"<clickAPI>{''.join(elements)}</clickAPI>"}).encode()


def element(tag: str, children: str = "") -> str:
    """Returns an element with good credentials."""
    credentials = "<api_id>sandbox</api_id><user>sandbox</user><password>sandbox</password>"
    return f"<{tag}>{credentials}{children}</{tag}>"


def send(sandbox: Running, api: str, *sends: tuple[str, str]) -> tuple[int, bytes]:
    """Sends to numbers with client ids in one request; where they share one, the first counts."""
    numbers, client_id = [to for to, _ in sends], sends[0][1]
    if api == "http":
        form = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox", "text": "x"}
        body = urlencode({**form, "to": ",".join(numbers), "climsgid": client_id}).encode()
        return sandbox.request("POST", "/http/sendmsg", body, FORM_TYPE)
    if api == "xml":
        children = "<to>{}</to><text>x</text><cliMsgId>{}</cliMsgId>"
        body = xml(*(element("sendMsg", children.format(*each)) for each in sends))
        return sandbox.request("POST", "/xml/xml", body, FORM_TYPE)
    if api == "one":
        messages = [{"to": to, "content": "x", "clientMessageId": id} for to, id in sends]
        body = json.dumps({"messages": messages}).encode()
        return sandbox.request("POST", "/v1/message", body, JSON_TYPE, {"Authorization": "sandbox"})
    content = {"to": numbers, "text": "x", "content": "x", "clientMessageId": client_id}
    path, headers = ("/rest/message", REST_HEADERS) if api == "rest" else ("/messages", {"Authorization": "sandbox"})
    return sandbox.request("POST", path, json.dumps(content).encode(), JSON_TYPE, headers)


def outcome(sandbox: Running, api: str, *sends: tuple[str, str]) -> str:
    """Returns what a client sees of a request: the places of its entries taken, html, garbage, cut or half."""
    try:
        status, body = send(sandbox, api, *(sends or ((TO, "c1"),)))
    except IncompleteRead:
        return "half"
    except (HTTPException, ConnectionError):
        return "cut"
    if b"\xff" in body:
        return "garbage"
    if status == 502:
        return "html"
    found = re.findall(r"ID: |ERR: |<apiMsgId>|<fault>|\"accepted\": ?(?:true|false)", body.decode("latin-1"))
    return "".join("+" if each in ("ID: ", "<apiMsgId>") or each.endswith("true") else "-" for each in found)


def arm(sandbox: Running, **fault: Any) -> None:
    """Arms one fault."""
    assert "error" not in sandbox.control("POST", "faults", fault)


def taken(sandbox: Running) -> int:
    """Returns how many messages were taken."""
    return int(sandbox.control("GET", "ledger?summary=1")["summary"]["messages"])


# fmt: off
TRANSPORT = [
    ("lose_answer", "001", "cut", 1),
    ("cut_before", "002", "cut", 0),
    ("cut_middle", "003", "half", 1),
    ("html_502", "004", "html", 0),
    ("html_502_after", "005", "html", 1),
    ("garbage", "007", "garbage", 1),
]
# fmt: on


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("do", "magic", "seen", "count"), TRANSPORT)
def test_a_transport_fault_of_one_message_hits_the_whole_request(
    sandbox: Running, api: str, do: str, magic: str, seen: str, count: int
) -> None:
    """All were taken or none, and nobody hears of any."""
    arm(sandbox, do=do, to="27820000002")
    sends = ((TO, "c1"), ("27820000002", "c2"), ("27820000003", "c3"))
    assert (outcome(sandbox, api, *sends), taken(sandbox)) == (seen, 3 * count)
    assert outcome(sandbox, api, *sends) == "+++"
    sends = ((TO, "m1"), (f"279993{magic}01", "m2"))
    assert (outcome(sandbox, api, *sends), taken(sandbox)) == (seen, 3 + 5 * count)
    assert outcome(sandbox, api, *sends) == "++"
    attempts = sandbox.control("GET", "attempts")["attempts"]
    assert [each["fault"] for each in attempts] == [do] * 3 + [None] * 3 + [do] * 2 + [None] * 2
    assert {each["api"] for each in attempts} == {api}


@pytest.mark.parametrize("api", APIS)
def test_a_code_of_a_number_hits_its_entry_alone(sandbox: Running, api: str) -> None:
    """By a fault and by magic; the neighbours go."""
    arm(sandbox, do="code", code="901", to="2783", times=2)
    sends = ((TO, "c1"), ("27830000001", "c2"), ("27999130101", "c3"))
    assert [outcome(sandbox, api, *sends) for _ in range(3)] == ["+--", "+-+", "+++"]
    assert taken(sandbox) == 6


@pytest.mark.parametrize("api", MANY)
def test_a_number_twice_in_a_request_is_two_messages(sandbox: Running, api: str) -> None:
    """Magic numbers count for each client id, and faults for each message."""
    sends = (("27999190101", "a"), ("27999190101", "b"), ("27999190101", "a"))
    assert outcome(sandbox, api, *sends) == "--+"
    assert outcome(sandbox, api, *sends) == "+++"
    arm(sandbox, do="code", code="901", to=TO, times=1)
    assert outcome(sandbox, api, (TO, "c"), (TO, "d")) == "-+"


def test_a_code_without_a_number_is_one_answer_for_all_or_for_an_element(sandbox: Running) -> None:
    """Elements of the XML API are requests of their own; the others have a global error."""
    sends = ((TO, "c1"), ("27820000002", "c2"))
    for api in APIS:
        arm(sandbox, do="code", code="301")
        status, body = send(sandbox, api, *sends)
        if api == "xml":
            assert body.count(b"<fault>301, No Credit Left</fault>") == body.count(b"<apiMsgId>") == 1
        elif api == "http":
            assert body == b"ERR: 301, No Credit Left"
        else:
            assert (status, b"accepted" in body) == ({"rest": 402, "one": 402, "platform": 400}[api], False)
    arm(sandbox, do="code", code="043")
    status, body = send(sandbox, "one", *sends)
    assert (status, json.loads(body)) == (400, {"error": {"code": 43, "description": "Rate limit exceeded"}})


@pytest.mark.parametrize("api", APIS)
def test_a_fault_of_an_api_leaves_the_others_alone(sandbox: Running, api: str) -> None:
    """It waits for its own."""
    arm(sandbox, do="code", code="901", api=api)
    arm(sandbox, do="lose_answer", api=api, skip=1)
    for other in APIS:
        if other != api:
            assert outcome(sandbox, other) == "+"
    assert outcome(sandbox, api) != "+"
    assert outcome(sandbox, api) == "cut"
    assert outcome(sandbox, api) == "+"


def test_a_fault_of_an_unknown_api_is_refused(sandbox: Running) -> None:
    """By its field."""
    answer = sandbox.control("POST", "faults", {"do": "lose_answer", "api": "soap"})
    assert answer["error"]["field"] == "api"
    arm(sandbox, do="lose_answer", api="one")
    assert [each["api"] for each in sandbox.control("GET", "faults")["faults"]] == ["one"]


def test_a_fault_on_the_wire_strikes_a_document_once(sandbox: Running) -> None:
    """However many elements it has."""
    arm(sandbox, do="lose_answer", times=2)
    sends = tuple((f"2782000000{index}", f"c{index}") for index in range(5))
    assert [outcome(sandbox, "xml", *sends) for _ in range(3)] == ["cut", "cut", "+++++"]
    assert [outcome(sandbox, "one", *sends) for _ in range(1)] == ["+++++"]


def test_faults_of_look_ups_and_balances_are_named_as_on_the_http_api(sandbox: Running) -> None:
    """querymsg, delmsg, getbalance, routecoverage; auth, ping and getmsgcharge too where there are such."""
    rest = (("querymsg", "GET", "message/x"), ("delmsg", "DELETE", "message/x"))
    for command, method, path in (
        *rest,
        ("querymsg", "GET", "message?clientMessageId=x"),
        ("getbalance", "GET", "account/balance"),
        ("routecoverage", "GET", "coverage/27820000001"),
    ):
        arm(sandbox, do="code", code="901", command=command)
        assert sandbox.rest(method, path)[0] == 503
    for command, path in (("querymsg", "/v1/message/x"), ("getbalance", "/v1/balance")):
        arm(sandbox, do="code", code="901", command=command)
        assert sandbox.one("GET", path)[0] == 500
    for tag in ("auth", "ping", "queryMsg", "getMsgCharge", "delMsg", "getBalance", "routeCoverage"):
        arm(sandbox, do="code", code="901", command=tag.lower())
        assert "<fault>901, " in sandbox.xml(f"<clickAPI>{element(tag)}</clickAPI>")
    assert all(fault["hits"] == 1 for fault in sandbox.control("GET", "faults")["faults"])


def test_a_fault_of_a_look_up_hits_its_element_and_no_send(sandbox: Running) -> None:
    """In a mixed document; on the wire it takes all of it down."""
    elements = (element("queryMsg"), element("sendMsg", f"<to>{TO}</to><text>x</text>"), element("getBalance"))
    document = f"<clickAPI>{''.join(elements)}</clickAPI>"
    arm(sandbox, do="code", code="901", command="querymsg")
    answer = sandbox.xml(document)
    assert (answer.count("<fault>901"), answer.count("<apiMsgId>"), answer.count("<ok>")) == (1, 1, 1)
    arm(sandbox, do="lose_answer", command="getbalance")
    with pytest.raises((HTTPException, ConnectionError)):
        sandbox.xml(document)
    assert taken(sandbox) == 2


@pytest.mark.parametrize("api", APIS)
def test_a_status_and_a_look_up_lag_belong_to_their_message(sandbox: Running, api: str, wait_until: WaitUntil) -> None:
    """By fault and by magic number."""
    arm(sandbox, do="status", code="007", to=TO)
    arm(sandbox, do="lookup_lag", seconds=60, to="27820000002")
    sends = ((TO, "c1"), ("27820000002", "c2"), ("27999200900", "c3"))
    assert outcome(sandbox, api, *sends) == "+++"

    def statuses() -> list[str]:
        return [each["status"] for each in sandbox.control("GET", "ledger")["messages"]]

    wait_until(lambda: statuses() == ["007", "004", "009"])
    ids = [each["id"] for each in sandbox.control("GET", "ledger")["messages"]]
    seen = [sandbox.rest("GET", f"message/{id}")[1]["data"]["messageStatus"] for id in ids]
    assert seen == ["007", "001", "009"]


def test_one_account_pays_for_all_and_one_opt_out_holds_for_all(sandbox: Running) -> None:
    """Whichever way a message came; the ledger says which."""
    for api in APIS:
        assert outcome(sandbox, api) == "+"
    assert [each["api"] for each in sandbox.control("GET", "ledger")["messages"]] == list(APIS)
    assert sandbox.command("getbalance") == "Credit: 99996.000"
    sandbox.control("POST", "optout", {"to": TO})
    assert [outcome(sandbox, api) for api in APIS] == ["-"] * 5
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["refused"] == {"122": 5}


def test_ids_depend_on_the_seed_and_the_order_alone() -> None:
    """The same for the HTTP API as ever, and the next ones for whichever API comes next."""
    with Running.start("--seed", "3") as running:
        ids = [running.send(TO), running.command("auth"), running.send(TO)]
    assert ids == [
        "ID: e4db4e2a53c9e5aa21f89329e71f6134",
        "OK: 938910e367ef77251bb65d28fd681206",
        "ID: 8bea564eacc9e1619b25b06e2d95a8be",
    ]
    with Running.start("--seed", "3") as running:
        for api in ("one", "xml", "rest"):
            send(running, api, (TO, "c1"))
        found = [each["id"] for each in running.control("GET", "ledger")["messages"]]
    assert found == [each[4:] for each in ids]
