"""Outages, pages, resets and answers that nobody requested: each does the same on every API."""

import re
import socket
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.sandbox.conftest import Receiver
from tests.sandbox.test_sandbox_faults import CUT, TO, arm, taken
from tests.sandbox.test_sandbox_faults_by_api import APIS, element, outcome, send
from threelane.sandbox.apis import FORM_TYPE
from threelane.sandbox.faults import NOT_TAKEN, TRANSPORT
from threelane.sandbox.running import Running
from threelane.sandbox.transport import _SPOIL

WaitUntil = Callable[[Callable[[], Any]], Any]
CREDENTIALS = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}
PAGES = (200, 302, 401, 404, 429, 500, 503)


def ledger(sandbox: Running) -> list[dict[str, Any]]:
    """Returns the messages of the ledger."""
    return list(sandbox.control("GET", "ledger")["messages"])


def connect(sandbox: Running) -> HTTPConnection:
    """Returns a connection that is kept between requests."""
    address = urlsplit(sandbox.url)
    return HTTPConnection(address.hostname or "", address.port, timeout=8)


def ask(connection: HTTPConnection, command: str, **parameters: str) -> HTTPResponse:
    """Returns the response of an HTTP API command, with its headers."""
    body = urlencode({**CREDENTIALS, **parameters})
    connection.request("POST", f"/http/{command}", body, {"Content-Type": FORM_TYPE})
    return connection.getresponse()


def test_every_transport_fault_has_its_effect() -> None:
    """A kind without one would fail in the middle of a test of something else."""
    assert set(_SPOIL) == TRANSPORT
    assert NOT_TAKEN < TRANSPORT


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("http", PAGES)
def test_a_page_has_its_status_and_takes_nothing(sandbox: Running, api: str, http: int) -> None:
    """As from a proxy or another site; the next request is answered."""
    arm(sandbox, do="page", http=http)
    status, body = send(sandbox, api, (TO, "c1"))
    assert (status, b"<html>" in body, taken(sandbox)) == (http, True, 0)
    assert [each["fault"] for each in sandbox.control("GET", "attempts")["attempts"]] == ["page"]
    arm(sandbox, do="page_after", http=http)
    assert (send(sandbox, api, (TO, "c1"))[0], taken(sandbox)) == (http, 1)
    assert outcome(sandbox, api) == "+"


def test_a_page_has_a_retry_after_in_both_forms(sandbox: Running) -> None:
    """Seconds or a date; none unless set, and only a page has it."""
    connection = connect(sandbox)
    headers = []
    for more in ({"retry_after_seconds": 7}, {"retry_after_seconds": 7, "retry_after": "date"}, {}):
        arm(sandbox, do="page", http=429, **more)
        response = ask(connection, "sendmsg", to=TO, text="x")
        response.read()
        headers.append(response.headers["Retry-After"])
    until: datetime = parsedate_to_datetime(headers.pop(1))
    assert headers == ["7", None]
    assert 5 <= until.timestamp() - time.time() <= 8
    arm(sandbox, do="page", http=302)
    response = ask(connection, "sendmsg", to=TO, text="x")
    assert (response.status, response.headers["Location"], bool(response.read())) == (302, "/login", True)
    answer = sandbox.control("POST", "faults", {"do": "reset", "retry_after_seconds": 1})
    assert answer["error"]["field"] == "retry_after_seconds"


def test_an_outage_ends_on_its_own(sandbox: Running, wait_until: WaitUntil) -> None:
    """Every command fails until then, and the fault is listed with its end."""
    arm(sandbox, do="page", http=503, command="*", times=None, lasts_seconds=0.4)
    [fault] = sandbox.control("GET", "faults")["faults"]
    assert 0 < fault["until"] - time.time() <= 0.4
    assert "503" in sandbox.command("getbalance")
    assert "503" in sandbox.send(TO)
    wait_until(lambda: sandbox.command("getbalance").startswith("Credit: "))
    assert outcome(sandbox, "http") == "+"
    arm(sandbox, do="page", http=503, command="*", times=None)
    assert "503" in sandbox.command("ping")
    sandbox.control("DELETE", "faults")
    assert sandbox.command("ping") == "OK: "


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("do", "count"), [("reset", 0), ("reset_after", 1)])
def test_a_reset_takes_or_does_not(sandbox: Running, api: str, do: str, count: int) -> None:
    """From outside both look alike: a RST, not the end of the stream."""
    arm(sandbox, do=do)
    with pytest.raises(ConnectionResetError) as reset:
        send(sandbox, api, (TO, "c1"))
    assert not isinstance(reset.value, RemoteDisconnected)
    assert taken(sandbox) == count


@pytest.mark.parametrize(("do", "count"), [("hang", 0), ("hang_after", 1)])
def test_a_hang_lasts_until_the_client_leaves(sandbox: Running, do: str, count: int, wait_until: WaitUntil) -> None:
    """It is under way all that time."""
    arm(sandbox, do=do)
    connection = connect(sandbox)
    connection.timeout = 0.3
    with pytest.raises(TimeoutError):
        ask(connection, "sendmsg", to=TO, text="x", climsgid="c1")
    [request] = sandbox.control("GET", "requests?command=sendmsg")["requests"]
    assert (request["sent"], request["ended_at"], taken(sandbox)) == (["c1"], None, count)
    connection.close()
    wait_until(lambda: sandbox.control("GET", "requests")["requests"][0]["ended_at"])


@pytest.mark.parametrize("api", APIS)
def test_an_answer_is_cut_at_each_octet(sandbox: Running, api: str) -> None:
    """With a length the client can see it; without one the rest looks complete."""
    whole = send(sandbox, api, (TO, "c0"))[1]
    for octets in range(len(whole)):
        arm(sandbox, do="cut_at", octets=octets)
        with pytest.raises(IncompleteRead) as cut:
            send(sandbox, api, (TO, "c1"))
        assert len(cut.value.partial) == octets
        arm(sandbox, do="cut_at", octets=octets, announced=False)
        assert len(send(sandbox, api, (TO, "c1"))[1]) == octets
    assert taken(sandbox) == 1 + 2 * len(whole)
    arm(sandbox, do="cut_at", announced=False)
    assert len(send(sandbox, api, (TO, "c1"))[1]) < len(whole)


def ids_received(sandbox: Running, request: bytes) -> list[str]:
    """Returns the two ids that arrive on a connection after one request."""
    address, received = urlsplit(sandbox.url), b""
    with socket.create_connection((address.hostname, address.port), timeout=8) as connection:
        connection.sendall(request)
        while len(ids := re.findall(rb"ID: ([0-9a-f]{32})", received)) < 2:
            received += connection.recv(65536)
    return [id.decode() for id in ids]


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_an_unasked_answer_follows_the_proper_one(sandbox: Running, seconds: float) -> None:
    """On the same connection, with another id; the gateway took one message."""
    arm(sandbox, do="unasked", seconds=seconds)
    body = urlencode({**CREDENTIALS, "to": TO, "text": "x", "climsgid": "c1"})
    head = f"POST /http/sendmsg HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    first, second = ids_received(sandbox, (head + body).encode())
    assert [first] == [each["id"] for each in ledger(sandbox)]
    assert first != second
    assert sandbox.command("querymsg", apimsgid=second) == "ERR: 103, Unknown API message ID"


@pytest.mark.parametrize("api", APIS)
def test_a_connection_survives_an_unasked_answer(sandbox: Running, api: str) -> None:
    """The client reads it as the answer to its next request: that is the fault. A refusal is sent once."""
    arm(sandbox, do="unasked")
    assert outcome(sandbox, api) == "+"
    arm(sandbox, do="unasked")
    arm(sandbox, do="code", code="901", to=TO)
    assert outcome(sandbox, api) == "-"
    assert taken(sandbox) == 1


@pytest.mark.parametrize("api", APIS)
def test_a_hidden_message_is_taken_and_never_found(sandbox: Running, api: str) -> None:
    """The answer is lost, look-ups by client id answer 104; a copy that is not hidden is found."""
    arm(sandbox, do="hide")
    assert (outcome(sandbox, api), taken(sandbox)) == ("cut", 1)
    assert sandbox.command("querymsg", climsgid="c1") == "ERR: 104, Unknown client message ID"
    assert outcome(sandbox, api) == "+"
    assert sandbox.command("querymsg", climsgid="c1").startswith("ID: ")
    arm(sandbox, do="hide")
    assert outcome(sandbox, api) == "cut"
    first, second, third = ledger(sandbox)
    assert sandbox.command("querymsg", climsgid="c1").startswith(f"ID: {second['id']}")
    assert [each["faults"] for each in (first, second, third)] == [["hide"], [], ["hide"]]


def test_a_hidden_message_has_no_receipts(sandbox: Running, receiver: Receiver, wait_until: WaitUntil) -> None:
    """A receipt would reveal it."""
    sandbox.control("POST", "settings", {"callback_url": receiver.url})
    arm(sandbox, do="hide")
    with pytest.raises(CUT):
        sandbox.send(TO, climsgid="hidden", callback="7")
    sandbox.send(TO, climsgid="seen", callback="7")
    wait_until(lambda: "004" in receiver.statuses("seen") and {each["status"] for each in ledger(sandbox)} == {"004"})
    assert receiver.statuses("hidden") == []


def test_the_ledger_counts_copies(sandbox: Running) -> None:
    """Of one client id to one recipient."""
    for client_id in ("a", "b", "a", "a", "b"):
        sandbox.send(TO, climsgid=client_id)
    sandbox.send("27820000002", climsgid="a")
    assert [each["copy"] for each in ledger(sandbox)] == [1, 1, 2, 3, 2, 1]
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert (summary["duplicates"], summary["copies"]) == (2, {"2": 2, "3": 1})


@pytest.mark.parametrize("api", APIS)
def test_a_code_after_taking_costs_and_sends(sandbox: Running, api: str) -> None:
    """The client sees a refusal of a message that exists."""
    arm(sandbox, do="code_after", code="901", to=TO)
    assert outcome(sandbox, api, (TO, "c1"), ("27820000002", "c2")) == "-+"
    assert sorted(each["faults"] for each in ledger(sandbox)) == [[], ["code_after"]]
    attempt = sandbox.control("GET", f"attempts?to={TO}")["attempts"][0]
    assert (attempt["code"], bool(attempt["id"]), attempt["fault"]) == ("901", True, "code_after")
    assert "error" in sandbox.control("POST", "faults", {"do": "code_after", "code": "9"})


def test_an_id_can_become_unknown(sandbox: Running) -> None:
    """103 by gateway id; by client id it is found, unless it is hidden too."""
    arm(sandbox, do="unknown_id", times=2)
    arm(sandbox, do="lookup_lag", seconds=60, skip=1)
    for client_id in ("found", "hidden"):
        sandbox.send(TO, climsgid=client_id)
    for message in ledger(sandbox):
        assert sandbox.command("querymsg", apimsgid=message["id"]) == "ERR: 103, Unknown API message ID"
    assert sandbox.command("querymsg", climsgid="found").startswith("ID: ")
    assert sandbox.command("querymsg", climsgid="hidden") == "ERR: 104, Unknown client message ID"


def test_a_lag_hides_what_was_taken_from_every_look_up(sandbox: Running) -> None:
    """By client id 104 on each API and command; by gateway id no status."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 60})
    id = sandbox.send(TO, climsgid="c1")[4:]
    for command in ("querymsg", "getmsgcharge", "delmsg"):
        assert sandbox.command(command, climsgid="c1") == "ERR: 104, Unknown client message ID"
    for tag in ("queryMsg", "getMsgCharge", "delMsg"):
        document = f"<clickAPI>{element(tag, '<cliMsgId>c1</cliMsgId>')}</clickAPI>"
        assert "<fault>104," in sandbox.xml(document)
    assert sandbox.rest("GET", "message?clientMessageId=c1")[1]["error"]["code"] == "104"
    assert sandbox.command("querymsg", apimsgid=id) == f"ID: {id} Status: 001"
    assert sandbox.one("GET", f"/v1/message/{id}")[1]["status"] == "UNKNOWN"


def test_connections_are_refused_for_a_while(sandbox: Running, wait_until: WaitUntil) -> None:
    """Kept ones are reset, new ones refused; then all is as before."""
    kept = connect(sandbox)
    ask(kept, "ping").read()
    assert sandbox.control("POST", "refuse", {"seconds": 0.5}) == {"seconds": 0.5}
    with pytest.raises(ConnectionRefusedError):
        sandbox.command("ping")
    kept.auto_open = 0
    with pytest.raises((ConnectionError, OSError)):
        ask(kept, "ping")

    def answers() -> bool:
        try:
            return sandbox.command("ping") == "OK: "
        except ConnectionError:
            return False

    wait_until(answers)
    assert taken(sandbox) == 0


def test_requests_are_listed_with_what_they_sent_and_looked_up(sandbox: Running) -> None:
    """In the order they came, control requests excepted."""
    id = sandbox.send(TO, climsgid="c1")[4:]
    sandbox.command("querymsg", climsgid="c1")
    sandbox.xml(f"<clickAPI>{element('queryMsg', f'<apiMsgId>{id}</apiMsgId>')}{element('ping')}</clickAPI>")
    requests = sandbox.control("GET", "requests")["requests"]
    assert [(each["commands"], each["sent"], each["looked_up"], each["http"]) for each in requests] == [
        (["sendmsg"], ["c1"], [], 200),
        (["querymsg"], [], ["c1"], 200),
        (["querymsg", "ping"], [], [id], 200),
    ]
    assert all(each["at"] <= each["ended_at"] for each in requests)
    assert len(sandbox.control("GET", "requests?command=ping")["requests"]) == 1
    assert sandbox.control("GET", f"requests?since={time.time() + 9}")["requests"] == []
    assert sandbox.control("GET", "requests?since=x")["error"]["field"] == "since"
