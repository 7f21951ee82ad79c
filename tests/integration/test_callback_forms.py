"""The callback endpoint: every form of every API has its effect, and any other request has its answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPBasicAuthHandler, HTTPPasswordMgrWithDefaultRealm, build_opener, urlopen

import pytest
import redis

from tests.integration.conftest import SECRET, log_of, taken, threelane_child
from tests.integration.test_callbacks import TAKEN, attempted, basic, charged, status_of, taken_by_the_gateway
from tests.servers import RedisServer, stored, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys

ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
OURS = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
NOBODYS = "f" * 32
DATA = Path(__file__).parents[1] / "unit" / "data" / "inbound_callbacks.json"
VECTORS: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))
PATHS = ("status", "mo", "platform", "one")
CHARGE = 800_000
ESTIMATE = 1_000_000  # stands for the charge on the Portal's APIs, which report none


class Answer(NamedTuple):
    """The endpoint's answer."""

    status: int
    text: str


class Endpoint:
    """The endpoint's addresses, with a connection for each request."""

    def __init__(self, url: str, **headers: str) -> None:
        self._url = urlsplit(url)
        self._headers = headers

    def request(self, path: str, method: str = "POST", query: str = "", body: bytes | str | None = None) -> Answer:
        """Send a request to one of the paths beside ``status``."""
        address = self._url.path.replace("/status", f"/{path}") + (f"?{query}" if query else "")
        connection = HTTPConnection(self._url.hostname or "", self._url.port, timeout=20)
        try:
            connection.request(method, address, body.encode() if isinstance(body, str) else body, self._headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def push(self, form: Form) -> Answer:
        """Send a callback."""
        return self.request(form.path, form.method, form.query, form.body)


class Form(NamedTuple):
    """One status callback as a gateway writes it."""

    path: str
    method: str = "POST"
    query: str = ""
    body: str | None = None


def forms(message: str, number: int, name: str, timestamp: str = "1767225600") -> dict[str, Form]:
    """Return a status in all the forms in which it may come: its number, and its name of the One API."""
    # fmt: off
    legacy = {"api_id": "1", "apiMsgId": ITS_ID, "cliMsgId": message, "timestamp": timestamp, "to": "27999500001",
              "from": "", "status": f"{number:03}", "charge": "0.800000"}
    central = {"apiMessageId": ITS_ID, "clientMessageId": message, "messageStatus": f"{number:03}", "charge": 0.8,
               "timestamp": timestamp, "to": "27999500001"}
    platform = {"integrationName": "shop", "messageId": ITS_ID, "requestId": "r", "clientMessageId": message,
                "to": "27999500001", "from": "", "statusCode": number, "timestamp": timestamp}
    # fmt: on
    update = {"channel": "sms", "messageId": ITS_ID, "clientMessageId": message, "timestamp": timestamp}
    events = {"event": {"messageStatusUpdate": [update | {"statusCode": number, "status": name}]}}
    document = "".join(f"<{tag}>{value}</{tag}>" for tag, value in legacy.items())
    xml = f'<?xml version="1.0"?><callback>{document}</callback>'
    return {
        "GET": Form("status", "GET", urlencode(legacy)),
        "form": Form("status", body=urlencode(legacy)),
        "form to the address of replies": Form("mo", body=urlencode(legacy)),
        "XML in a field": Form("status", body=f"data={quote(xml)}"),
        "XML in a query": Form("status", "GET", f"data={quote(xml)}"),
        "raw XML": Form("status", body=xml),
        "JSON": Form("status", body=json.dumps(central)),
        "Platform JSON": Form("platform", body=json.dumps(platform)),
        "Platform GET": Form("platform", "GET", urlencode(platform)),
        "One": Form("one", body=json.dumps(events)),
    }


FORMS = tuple(forms(OURS, 4, "DEVICE_ACK"))
WITH_A_CHARGE = tuple(name for name in FORMS if name != "One" and not name.startswith("Platform"))


@pytest.fixture
def at(endpoint: str, client: redis.Redis) -> Endpoint:
    """The endpoint of an empty Redis."""
    assert client.ping()
    return Endpoint(endpoint)


@pytest.fixture
def sent(producer: Producer, redis_server: RedisServer) -> str:
    """The id of a message that the gateway has."""
    return taken_by_the_gateway(producer, redis_server, 1)[0]


@pytest.fixture(scope="module")
def guarded(
    base_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Child, dict[str, str]]]:
    """A separate endpoint with metrics of its own and basic authentication; and the headers it requires."""
    user = {"THREELANE_CALLBACK_USER": "gateway", "THREELANE_CALLBACK_PASSWORD": "p4ss"}
    child = threelane_child("callbacks", tmp_path_factory.mktemp("guarded"), base_environment | user)
    yield child, basic("gateway", "p4ss")
    child.stop()


def url_of(child: Child) -> str:
    address: str = child.event("callbacks")["url"]
    return address.replace("<secret>", SECRET)


def outcomes(client: redis.Redis) -> list[tuple[str, str]]:
    """Return the outcomes published to producers: message and status."""
    events = [fields for _, fields in client.xrange(keys.EVENTS)]
    return [(one[b"id"].decode(), one[b"status"].decode()) for one in events if one[b"type"] == b"outcome"]


def replies(client: redis.Redis) -> list[dict[str, str]]:
    events = [fields for stream in (keys.EVENTS, keys.INBOX) for _, fields in client.xrange(stream)]
    decoded = [{name.decode(): value.decode() for name, value in one.items()} for one in events]
    return [one for one in decoded if one["type"] == "reply"]


# What the sandbox pushes.


WAYS = [
    (api, method) for api in ("http", "rest", "xml", "platform", "one") for method in ("GET", "POST", "XML", "JSON")
]
ENDS = {
    "27999500001": Status.DELIVERED,
    "27999200500": Status.UNDELIVERED,
    "27999200900": Status.UNDELIVERED,
    "27999201000": Status.EXPIRED,
}


def handed_over(sandbox: Running, api: str, ids: dict[str, str]) -> None:
    """Put messages to the sandbox by one of its APIs: number -> our id."""
    for to, message in ids.items():
        if api == "http":
            assert sandbox.send(to, climsgid=message, callback="7", deliv_ack="1").startswith("ID")
        elif api == "rest":
            body = {"text": "Hello", "to": [to], "clientMessageId": message, "callback": 7}
            assert 202 == sandbox.rest("POST", "message", body)[0]
        elif api == "xml":
            login = "<api_id>sandbox</api_id><user>sandbox</user><password>sandbox</password>"
            row = f"<to>{to}</to><text>Hello</text><cliMsgId>{message}</cliMsgId><callback>7</callback>"
            assert "apiMsgId" in sandbox.xml(f"<clickAPI><sendMsg>{login}{row}</sendMsg></clickAPI>")
        elif api == "platform":
            body = {"content": "Hello", "to": [to], "clientMessageId": message}
            assert 202 == sandbox.one("POST", "/messages", body)[0]
        else:
            body = {"messages": [{"channel": "sms", "to": to, "content": "Hello", "clientMessageId": message}]}
            assert 202 == sandbox.one("POST", "/v1/message", body)[0]


@pytest.mark.parametrize(("api", "method"), WAYS)
def test_the_gateway_s_callbacks_bring_messages_to_their_end(
    producer: Producer, redis_server: RedisServer, reporting: Running, client: redis.Redis, api: str, method: str
) -> None:
    """By each of its APIs, in each form that it can be configured to push."""
    reporting.control("POST", "settings", {"callback_method": method})
    ids = dict(zip(ENDS, taken_by_the_gateway(producer, redis_server, len(ENDS)), strict=True))
    handed_over(reporting, api, ids)

    def stand() -> dict[str, Status]:
        found = producer.statuses(list(ids.values()))
        return {to: one.status for to, one in zip(ids, found, strict=True) if one}

    wait_until(lambda: stand() == ENDS, what=f"{stand()} to be {ENDS}")
    ledger = taken(reporting)
    entries = {to: ledger[message][0] for to, message in ids.items()}
    gateway_ids = {to: status_of(producer, message).gateway_id for to, message in ids.items()}
    assert {to: entry["id"] for to, entry in entries.items()} == gateway_ids
    with_charge = entries if api in ("http", "rest", "xml") else {}
    charges = {to: round(float(entry["charge"]) * 1_000_000) for to, entry in with_charge.items()}
    assert charges == {to: status_of(producer, ids[to]).charge_millionths for to in charges}
    without_charge = {} if with_charge else ids
    assumed = {to: status_of(producer, message).charge_millionths for to, message in without_charge.items()}
    assert sum(charges.values()) + sum(assumed.values()) == charged(client)
    assert assumed == {to: 0 if ENDS[to] is Status.EXPIRED else ESTIMATE for to in without_charge}


# What others have had from the gateway.


@pytest.fixture
def theirs(producer: Producer, redis_server: RedisServer) -> str:
    """A message with the id that the recorded callbacks name, which the gateway has."""
    with mock.patch("threelane.contract.message.new_id", return_value=OURS):
        message = producer.send("27999500001", "Hello").id
    assert OURS == message
    attempted(redis_server.url, [message], TAKEN)
    return message


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_a_recorded_callback_has_its_effect_through_the_endpoint(
    at: Endpoint, producer: Producer, client: redis.Redis, theirs: str, vector: dict[str, Any]
) -> None:
    """Statuses move the message, replies become events, the rest is answered as it deserves."""
    body, expected = vector["body"] or "", vector["becomes"]
    if not isinstance(body, str):
        body = urlencode(body) if vector["as_form"] else json.dumps(body)
    before = client.hgetall(keys.record(theirs))
    path = {"central": "status"}.get(vector["reads"], vector["reads"])
    answer = at.request(path, "POST" if body else "GET", urlencode(vector["query"]), body or None)

    if "wrong" in expected:
        assert (400, True) == (answer.status, expected["wrong"] in answer.text)
        assert before == client.hgetall(keys.record(theirs))
        return
    assert Answer(200, "ok\n") == answer
    for report in expected.get("reports", ()):
        found = status_of(producer, theirs)
        becomes = report.get("to") or Status.SENT
        moves = report["id"] == theirs
        assert (becomes if moves else Status.SENT) == found.status
        assumed = ESTIMATE if vector["reads"] == "platform" and found.status is not Status.SENT else 0
        assert (report.get("charge_millionths") or assumed) == found.charge_millionths == charged(client)
        if moves and report.get("to"):
            assert report["network_status"] == found.network_status
    whole = [one for one in expected.get("replies", ()) if not one.get("part")]
    assert [(one["from_"], one["text"]) for one in whole] == [(one["from"], one["text"]) for one in replies(client)]
    if not expected.get("reports"):
        assert before == client.hgetall(keys.record(theirs))


# Every form, again and again.


@pytest.mark.parametrize("name", FORMS)
def test_a_callback_that_comes_eight_times_has_one_effect(
    at: Endpoint, producer: Producer, client: redis.Redis, sent: str, name: str
) -> None:
    """The gateway repeats what it did not hear acknowledged: one move, one charge, one outcome."""
    on_its_way, end = (
        forms(sent, 3, "SENT_TO_SUPPLIER")[name],
        forms(sent, 5 if name == "One" else 4, "DEVICE_ACK")[name],
    )
    assert [200] * 9 == [at.push(on_its_way).status] + [at.push(end).status for _ in range(8)]
    found = status_of(producer, sent)
    charge = CHARGE if name in WITH_A_CHARGE else ESTIMATE
    assert (Status.DELIVERED, charge, charge) == (found.status, found.charge_millionths, charged(client))
    assert [(sent, "delivered")] == outcomes(client)
    assert b"1" == client.hget(keys.TALLY, "to:3:delivered")
    assert 9 == len((client.hget(keys.record(sent), "reports") or b"").splitlines())
    assert 200 == at.push(on_its_way).status  # it was late
    assert Status.DELIVERED is status_of(producer, sent).status


@pytest.mark.parametrize("timestamp", ["4102444800", "4102444800000", "9" * 18, "-1", "0", "tomorrow"])
@pytest.mark.parametrize("name", ["form", "JSON", "Platform JSON", "One"])
def test_the_time_that_a_callback_names_is_not_our_clock(
    at: Endpoint, producer: Producer, client: redis.Redis, sent: str, name: str, timestamp: str
) -> None:
    """A gateway whose clock is years ahead makes no message end, or expire, in years."""
    assert 200 == at.push(forms(sent, 7, "DELIVERY_FAILURE", timestamp)[name]).status
    found, now = status_of(producer, sent), client.time()[0] * 1000
    assert Status.UNDELIVERED is found.status
    assert abs(found.ended_at - now) < 60_000
    assert 7.9 < client.pttl(keys.record(sent)) / 86_400_000 <= 8


# Callbacks without a message, or unreadable.


@pytest.mark.parametrize("name", FORMS)
def test_an_unknown_id_is_acknowledged_and_creates_nothing(
    at: Endpoint, client: redis.Redis, sent: str, name: str
) -> None:
    """Another application of the same account, or a message that is forgotten: no key comes of it, or goes."""
    before = {key: client.dump(key) for key in client.keys("*") if key != keys.HEARD.encode()}
    pushed = [*(forms(NOBODYS, n, "DEVICE_ACK")[name] for n in (3, 4, 7)), forms("0" * 32, 4, "READ")[name]]
    assert [200] * 4 == [at.push(one).status for one in pushed]
    after = {key: client.dump(key) for key in client.keys("*") if key != keys.HEARD.encode()}
    assert before == after


TENFOLD = "".join(f'<!ENTITY {one} "{f"&{before};" * 10}">' for before, one in pairwise("abcdefgh"))
BOMB = f'<!DOCTYPE a [<!ENTITY a "{"lol" * 10}">{TENFOLD}]><callback><status>&h;</status></callback>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><callback><status>004</status><text>&x;</text></callback>'
ADDRESS = '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/"> %x;]><callback><status>004</status></callback>'
DOCTYPE = f"<!DOCTYPE callback><callback><cliMsgId>{OURS}</cliMsgId><status>004</status></callback>"
# fmt: off
BROKEN = {
    "JSON cut off": '{"clientMessageId": "' + OURS,
    "JSON that is a list": "[1, 2]",
    "JSON nested deeply": "[" * 30_000,
    "JSON with NaN": '{"charge": NaN}',
    "JSON in octets": b'{"a": "\xff\xfe"',
    "JSON of an event": '{"event": 5}',
    "XML cut off": f"<callback><cliMsgId>{OURS}</cliMsgId>",
    "XML with a document type": DOCTYPE,
    "XML of UTF-16": DOCTYPE.encode("utf-16"),
    "XML in a field": f"data={quote(DOCTYPE)}",
    "XML with an entity": f"<callback><cliMsgId>{OURS}</cliMsgId><status>&four;</status></callback>",
    "XML with a bomb": BOMB,
    "XML with a bomb in a field": f"data={quote(BOMB)}",
    "XML with a file": FILE,
    "XML with an address": ADDRESS,
    "XML nested deeply": "<a>" * 9_000,
    "a form of something else": "a=1&b=2",
    "too many fields": "&".join(f"f{n}=1" for n in range(200)),
    "octets": bytes(range(256)),
    "no id": "cliMsgId=&status=004",
    "a status that is none": f"cliMsgId={OURS}&status=delivered",
    "two statuses": f"cliMsgId={OURS}&status=004&status=007",
}
# fmt: on


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("path", PATHS)
def test_an_unreadable_callback_is_answered_400_with_a_sentence(
    at: Endpoint, client: redis.Redis, theirs: str, path: str, body: bytes | str
) -> None:
    """One line that names the error and repeats nothing of the body; nothing is resolved, and nothing changes."""
    before = client.hgetall(keys.record(theirs))
    answer = at.request(path, body=body)
    assert 400 == answer.status
    assert (1, True) == (answer.text.count("\n"), answer.text.endswith("\n") and " " in answer.text)
    assert [False] * 5 == [part in answer.text for part in (OURS, "lol", "root:", "<", "delivered")]
    assert before == client.hgetall(keys.record(theirs))
    assert 200 == at.request(path, "GET").status  # the endpoint still answers


@pytest.mark.parametrize("path", PATHS)
def test_a_body_of_ten_megabytes_is_answered_413_and_the_next_one_is_served(
    at: Endpoint, producer: Producer, sent: str, path: str
) -> None:
    """It is not read into memory, with any beginning."""
    start = json.dumps({"clientMessageId": sent, "statusCode": 4})[:-1].encode()
    assert [413, 413] == [at.request(path, body=begin + b" " * 10_000_000).status for begin in (start, b"cliMsgId=")]
    assert Status.SENT is status_of(producer, sent).status
    assert 200 == at.push(forms(sent, 4, "DEVICE_ACK")["form"]).status
    assert Status.DELIVERED is status_of(producer, sent).status


@pytest.mark.parametrize("path", PATHS)
def test_a_probe_changes_nothing_and_is_acknowledged(at: Endpoint, client: redis.Redis, path: str) -> None:
    """The gateway tries an address before it registers it."""
    assert [Answer(200, "ok\n")] * 3 == [at.request(path, "GET"), at.request(path), at.request(path, body=b"")]
    assert 0 == stored(client)


NO_HTTP = {
    "octets in the address": b"GET /%s/status?cliMsgId=\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long address": b"GET /%s/status?cliMsgId=" + b"0" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length below nothing": b"POST /%s/status HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "a field without an end": b"POST /%s/status HTTP/1.1\r\nHost: x\r\nX: " + b"0" * 20_000 + b"\r\n\r\n",
    "a body that is not compressed": (
        b"POST /%s/status HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    ),
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP)
def test_invalid_http_is_answered_400_and_the_secret_stays_out_of_the_log(
    guarded: tuple[Child, dict[str, str]], client: redis.Redis, raw: bytes
) -> None:
    """Anyone who finds the port can send anything; each request has a line in the log, and no traceback."""
    child, right = guarded
    url = url_of(child)
    before = len(log_of(child))
    authorized = raw.replace(b"Host: x\r\n", f"Host: x\r\nAuthorization: {right['Authorization']}\r\n".encode(), 1)
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=20) as connection:
        connection.sendall(authorized.replace(b"%s", SECRET.encode()))
        answer = connection.recv(65_536)
    assert (True, False) == (b" 400 " in answer[:64], SECRET.encode() in answer)
    assert 200 == Endpoint(url, **right).request("status", "GET").status
    assert ["callback_refused"] == [line["event"] for line in log_of(child)[before:]]
    log = child.log.read_text()
    assert (False, False) == (SECRET in log, "Traceback" in log)


def test_a_caller_who_leaves_in_the_middle_disturbs_nobody(
    guarded: tuple[Child, dict[str, str]], producer: Producer, client: redis.Redis, sent: str
) -> None:
    """Half a callback is none."""
    child, right = guarded
    url = url_of(child)
    end = forms(sent, 4, "DEVICE_ACK")["form"]
    head = f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\nAuthorization: {right['Authorization']}\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: 5000\r\n\r\n{end.body}".encode())
    wait_until(lambda: any("truncated" in line.get("reason", "") for line in log_of(child)), what="the refusal")
    assert Status.SENT is status_of(producer, sent).status
    assert 200 == Endpoint(url, **right).push(end).status
    assert "Traceback" not in child.log.read_text()


# Who is let in.


@pytest.mark.parametrize("path", PATHS)
def test_without_the_secret_and_by_other_methods_there_is_nothing_here(
    endpoint: str, producer: Producer, sent: str, path: str
) -> None:
    """404, as for any address; HTTP methods that no callback uses find as little."""
    end = forms(sent, 4, "DEVICE_ACK")["One" if path == "one" else "Platform JSON" if path == "platform" else "form"]
    for wrong in (SECRET[:-1], SECRET + "0", SECRET.upper(), "x", "%2e%2e"):
        assert 404 == Endpoint(endpoint.replace(SECRET, wrong)).request(path, body=end.body).status
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        assert 404 == Endpoint(endpoint).request(path, method, body=end.body).status
    assert Status.SENT is status_of(producer, sent).status


def test_a_guarded_endpoint_needs_user_and_password(
    guarded: tuple[Child, dict[str, str]], producer: Producer, client: redis.Redis, sent: str
) -> None:
    """At every address; with both, a callback has its effect."""
    child, right = guarded
    url = url_of(child)
    wrong: Sequence[dict[str, str]] = ({}, basic("gateway", "x"), basic("x", "p4ss"), {"Authorization": "Basic Og=="})
    forms_of = forms(sent, 4, "DEVICE_ACK")
    for name in FORMS:
        assert [401] * 4 == [Endpoint(url, **headers).push(forms_of[name]).status for headers in wrong]
    assert Status.SENT is status_of(producer, sent).status
    two_spaces = {"Authorization": right["Authorization"].replace(" ", "  ")}  # RFC 9110, 11.4: one or more
    assert 200 == Endpoint(url, **two_spaces).push(forms_of["form"]).status
    assert Status.DELIVERED is status_of(producer, sent).status


def test_a_client_that_waits_for_the_challenge_is_served(
    guarded: tuple[Child, dict[str, str]], producer: Producer, client: redis.Redis, sent: str
) -> None:
    """Many HTTP clients send credentials only after a 401 that names the scheme; a 404 ends their attempt."""
    child, _ = guarded
    url = url_of(child)
    passwords = HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, "gateway", "p4ss")
    end = forms(sent, 4, "DEVICE_ACK")["form"]
    with build_opener(HTTPBasicAuthHandler(passwords)).open(url, (end.body or "").encode()) as answer:
        assert 200 == answer.status
    assert Status.DELIVERED is status_of(producer, sent).status


@pytest.mark.parametrize("path", PATHS)
def test_only_who_knows_the_secret_is_challenged(guarded: tuple[Child, dict[str, str]], path: str) -> None:
    """At any other address the response is that of an address which does not exist, with or without credentials."""
    child, right = guarded
    url = urlsplit(url_of(child))

    def response(secret: str, method: str = "POST", **headers: str) -> tuple[int, str | None, bytes]:
        connection = HTTPConnection(url.hostname or "", url.port, timeout=20)
        connection.request(method, f"/{secret}/{path}", b"", headers)
        got = connection.getresponse()
        return got.status, got.headers["WWW-Authenticate"], got.read()

    assert (401, 'Basic realm="callbacks", charset="UTF-8"') == response(SECRET)[:2]
    assert (401, 'Basic realm="callbacks", charset="UTF-8"') == response(SECRET, **basic("gateway", "x"))[:2]
    nothing = response("nothing")
    assert (404, None) == nothing[:2]
    assert [nothing] * 3 == [
        response("nothing", **right),
        response(SECRET[:-1], **basic("gateway", "x")),
        response(SECRET, "PUT"),
    ]


def test_a_wrong_and_a_missing_password_are_counted_and_logged_once_a_minute(
    base_environment: dict[str, str], tmp_path: Path, client: redis.Redis
) -> None:
    """Whoever sets them here and not in Clickatell's console gets no receipt, and sees why."""
    user = {"THREELANE_CALLBACK_USER": "gateway", "THREELANE_CALLBACK_PASSWORD": "p4ss"}
    child = threelane_child("callbacks", tmp_path, base_environment | user)
    try:
        url = url_of(child)
        assert [401] * 3 == [Endpoint(url).request("status").status for _ in range(3)]
        assert [401] * 3 == [Endpoint(url, **basic("gateway", "s3cr")).request("status").status for _ in range(3)]
        logged = [(line["event"], line["times"]) for line in log_of(child) if "times" in line]
        assert [("callback_password_missing", 1), ("callback_password_wrong", 1)] == logged
        assert {"default,missing": 3.0, "default,wrong": 3.0} == counted(child, "callback_passwords_refused")
        assert "s3cr" not in child.log.read_text()
    finally:
        child.stop()


def test_head_is_answered_as_get_and_changes_nothing(
    guarded: tuple[Child, dict[str, str]], client: redis.Redis, sent: str
) -> None:
    """Monitoring tools probe with HEAD (RFC 9110, 9.1), maybe with the address of a status in their list."""
    child, right = guarded
    url = url_of(child)
    (end,) = [one for name, one in forms(sent, 4, "DEVICE_ACK").items() if name == "GET"]
    before = {key: client.dump(key) for key in client.keys("*")}
    used = counted(child, "callback_credentials")
    for path in PATHS:
        assert Answer(200, "") == Endpoint(url, **right).request(path, "HEAD", end.query)
        assert Answer(401, "") == Endpoint(url).request(path, "HEAD", end.query)
        assert 404 == Endpoint(url.replace(SECRET, "nothing"), **right).request(path, "HEAD").status
    assert (before, used) == (
        {key: client.dump(key) for key in client.keys("*")},
        counted(child, "callback_credentials"),
    )


# Statuses of messages that are not ours.


def counted(child: Child, metric: str) -> dict[str, float]:
    """Return the counter of the endpoint by the values of its labels."""
    page = urlopen(child.event("metrics")["url"]).read().decode()
    series = [line.split() for line in page.splitlines() if line.startswith(f"threelane_{metric}_total{{")]
    return {",".join(name.split('"')[1::2]): float(value) for name, value in series}


def test_statuses_of_another_application_are_acknowledged_counted_and_seldom_logged(
    base_environment: dict[str, str], tmp_path: Path, client: redis.Redis, theirs: str
) -> None:
    """A refused status is repeated for 3 days, and another application may send all day: a line a minute and path."""
    child = threelane_child("callbacks", tmp_path, base_environment)
    try:
        at = Endpoint(url_of(child))
        before = {key: client.dump(key) for key in client.keys("*")}
        reasons = ("other_application", "other_account")
        assert {f"{path},{why}": 0.0 for path in PATHS for why in reasons} == counted(child, "foreign_statuses")
        for message in ("order-4711", ""):
            pushed = {name: form for name, form in forms(message, 4, "DEVICE_ACK").items() if name != "XML in a query"}
            assert {name: Answer(200, "ok\n") for name in pushed} == {name: at.push(pushed[name]) for name in pushed}
        expected = {"status": 2 * 5.0, "mo": 2.0, "platform": 2 * 2.0, "one": 2.0}
        both = {f"{path},{why}": times * (why == reasons[0]) for path, times in expected.items() for why in reasons}
        assert both == counted(child, "foreign_statuses")
        assert before == {key: client.dump(key) for key in client.keys("*")}
        lines = [line for line in log_of(child) if line["event"] in ("statuses_foreign", "callback_refused")]
        logged = sorted((one["event"], one["times"], one["path"]) for one in lines)
        assert [("statuses_foreign", 1, path) for path in sorted(PATHS)] == logged
        assert "order-4711" not in child.log.read_text()
    finally:
        child.stop()


# Callbacks that need an operator.


def alarms(child: Child) -> float:
    page = urlopen(child.event("metrics")["url"]).read().decode()
    lines = [line for line in page.splitlines() if line.startswith('threelane_alarms_total{code="status",')]
    return sum(float(line.split()[-1]) for line in lines)


@pytest.mark.parametrize("name", FORMS)
def test_a_status_that_no_table_lists_is_acknowledged_and_raises_an_alarm(
    guarded: tuple[Child, dict[str, str]], producer: Producer, client: redis.Redis, sent: str, name: str
) -> None:
    """The vendor may add one any day: the message keeps its status, the report is kept, and there is an alarm."""
    child, right = guarded
    before = alarms(child)
    assert 200 == Endpoint(url_of(child), **right).push(forms(sent, 15, "NEW_KIND")[name]).status
    found = status_of(producer, sent)
    assert (Status.SENT, "", before + 1) == (found.status, found.network_status, alarms(child))
    assert b"status=" in (client.hget(keys.record(sent), "reports") or b"")
    assert [sent.encode()] == client.zrange(keys.AWAITING[3], 0, -1)


# When Redis is away.


def test_a_callback_that_cannot_be_stored_is_not_acknowledged_and_counts_when_repeated(
    base_environment: dict[str, str], tmp_path: Path
) -> None:
    """503 in every form, known id or not; probes are answered all the while."""
    server = RedisServer(tmp_path).start()
    environment = base_environment | {"THREELANE_REDIS_URL": server.url, "THREELANE_REDIS_TIMEOUT_SECONDS": "0.5"}
    child = threelane_child("callbacks", tmp_path, environment)
    try:
        at = Endpoint(url_of(child))
        with Producer(ProducerSettings(redis_url=server.url)) as producer:
            messages = dict(zip(FORMS, taken_by_the_gateway(producer, server, len(FORMS)), strict=True))
            pushed = [forms(one, 5 if name == "One" else 4, "DEVICE_ACK")[name] for name, one in messages.items()]
            mo = Form("mo", body=urlencode({"moMsgId": "m1", "from": "27831234567", "to": "1", "text": "Hello"}))
            assert 200 == at.push(forms(NOBODYS, 4, "READ")["form"]).status  # it had a connection
            server.stop()
            assert [503] * (len(pushed) + 1) == [at.push(one).status for one in (*pushed, mo)]
            assert 200 == at.request("status", "GET").status
            server.start()
            assert [200] * (len(pushed) + 1) == [at.push(one).status for one in (*pushed, mo)]
            found = producer.statuses(list(messages.values()))
            assert {Status.DELIVERED} == {one.status for one in found if one}
            with redis.Redis(port=server.port) as again:
                without = len(FORMS) - len(WITH_A_CHARGE)
                assert len(WITH_A_CHARGE) * CHARGE + without * ESTIMATE == charged(again)
                assert ["Hello"] == [one["text"] for one in replies(again)]
    finally:
        child.stop()
        server.stop()
