"""Replies: what a person texts arrives as Clickatell would push it, octet by octet, and a STOP stops."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from threelane.sandbox.callbacks import CENTRAL_REPLY_RETRIES_AFTER_SECONDS
from threelane.sandbox.keywords import KeywordAction, keyword_action
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

PERSON, OURS = "27820000001", "12025550100"
WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.fixture(autouse=True)
def _short_waits(sandbox: Running, receiver: Any) -> None:
    url = f"http://127.0.0.1:{receiver.port}/hooks/status"
    sandbox.control("POST", "settings", {"callback_url": url, "callback_retry_scale": 0.0001})  # 12, 24, 48 ms


@pytest.fixture
def arrives(sandbox: Running, receiver: Any, wait_until: WaitUntil) -> Callable[..., dict[str, Any]]:
    """Returns a function that texts, waits until every callback is acknowledged, and returns the answer."""

    def text(words: str, **fields: object) -> dict[str, Any]:
        before = sandbox.control("GET", "health")["callbacks"]["acknowledged"]
        answer: dict[str, Any] = sandbox.reply(PERSON, words, **fields)
        due = before + answer["callbacks"]
        wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["acknowledged"] == due)
        return answer

    return text


Arrives = Callable[..., dict[str, Any]]


# --- the forms


def test_a_reply_holds_every_field_of_the_central_form(receiver: Any, arrives: Arrives) -> None:
    """To `/mo` beside `/status`, its time two hours ahead of GMT; without a network there is no such field."""
    [id] = arrives("Yes & no")["moMsgIds"]
    [fields] = receiver.octets()
    told = datetime.strptime(fields.pop("timestamp").decode(), "%Y-%m-%d %H:%M:%S")
    assert abs(told.replace(tzinfo=timezone(timedelta(hours=2))) - datetime.now(UTC)) < timedelta(seconds=30)
    assert fields == {
        "api_id": b"sandbox",
        "moMsgId": id.encode(),
        "from": PERSON.encode(),
        "to": OURS.encode(),
        "text": b"Yes & no",
        "charset": b"ISO-8859-1",
        "udh": b"",
    }
    assert (receiver.paths, receiver.methods) == (["/hooks/mo"], ["POST"])
    assert receiver.content_types == ["application/x-www-form-urlencoded"]


@pytest.mark.parametrize("form", ["GET", "POST"])
@pytest.mark.parametrize(
    ("text", "asked", "charset", "on_the_wire"),
    [
        ("Olé", None, "ISO-8859-1", "Ol%E9"),
        ("5 € +", None, "UTF-8", "5+%E2%82%AC+%2B"),
        ("Да", None, "UTF-16BE", "%04%14%040"),
        ("ç", None, "UTF-16BE", "%00%E7"),
        ("STOP", "UTF-16BE", "UTF-16BE", "%00S%00T%00O%00P"),
        ("é", "UTF-8", "UTF-8", "%C3%A9"),
        ("ç", "ISO-8859-1", "ISO-8859-1", "%E7"),
        ("👍", None, "UTF-16BE", "%D8%3D%DCM"),
        ("", None, "ISO-8859-1", ""),
    ],
)
def test_the_text_is_percent_encoded_in_its_charset(
    receiver: Any, arrives: Arrives, form: str, text: str, asked: str | None, charset: str, on_the_wire: str
) -> None:
    """Octet by octet, in a query as in a body: who decodes it as UTF-8 loses it."""
    arrives(text, charset=asked, form=form)
    [body], [fields] = receiver.bodies, receiver.octets()
    assert f"&text={on_the_wire}&charset={charset}&" in body
    assert fields["text"].decode(charset) == text
    assert receiver.methods == [form]


def test_rest_is_as_http_and_a_network_can_be_named(receiver: Any, arrives: Arrives) -> None:
    """All Central APIs share one callback; an API of XML has its document."""
    arrives("x", api="rest", network="65501")
    assert receiver.octets()[0]["network"] == b"65501"
    arrives("x", api="xml", form="GET")
    assert receiver.methods == ["POST", "GET"]


def test_xml_is_a_document_in_a_form_field(receiver: Any, arrives: Arrives) -> None:
    """UTF-8 unless asked otherwise; then the octets are percent-encoded within."""
    [id] = arrives("<Да> & 5 €", api="xml", network="65501")["moMsgIds"]
    document = fromstring(receiver.octets()[0]["data"])
    fields = {child.tag: child.text for child in document}
    assert (document.tag, list(receiver.octets()[0])) == ("clickmo", ["data"])
    assert len(fields.pop("timestamp") or "") == len("2031-06-30 14:00:00")
    expected = {"api_id": "sandbox", "moMsgId": id, "from": PERSON, "to": OURS, "text": "<Да> & 5 €"}
    assert fields == {**expected, "charset": "UTF-8", "udh": None, "network": "65501"}
    arrives("Да", form="XML", charset="UTF-16BE")
    assert fromstring(receiver.octets()[1]["data"]).findtext("text") == "%04%14%040"


def test_a_central_reply_can_be_json(receiver: Any, arrives: Arrives) -> None:
    """With the names of the form."""
    arrives("Да", form="JSON")
    told = json.loads(receiver.bodies[0])
    assert (told["text"], told["charset"], told["udh"], told["from"]) == ("Да", "UTF-8", "", PERSON)
    assert receiver.content_types == ["application/json"]


def test_platform_rest_names_the_message_that_is_answered(receiver: Any, arrives: Arrives) -> None:
    """Its own names and address, milliseconds; a text that is not UTF-8 is percent-encoded within the JSON."""
    [id] = arrives("Да!", api="platform", related="ab" * 16, network="65501")["moMsgIds"]
    told = json.loads(receiver.bodies[0])
    assert abs(told.pop("timestamp") / 1000 - time.time()) < 30
    assert told == {
        "integrationName": "sandbox",
        "messageId": "ab" * 16,
        "replyMessageId": id,
        "fromNumber": PERSON,
        "toNumber": OURS,
        "text": "Да!",
        "charset": "UTF-8",
        "udh": "",
        "network": "65501",
        "keyword": None,
    }
    arrives("Olé + 1", api="platform", charset="ISO-8859-1")
    second = json.loads(receiver.bodies[1])
    assert (second["text"], second["messageId"]) == ("Ol%E9%20%2B%201", None)
    arrives("Olé", api="platform", charset="ISO-8859-1", form="GET")
    assert "&text=Ol%E9&" in receiver.bodies[2]
    assert (receiver.paths, receiver.methods) == (["/hooks/platform"] * 3, ["POST", "POST", "GET"])


def test_the_one_api_names_the_client_id_of_what_is_answered(
    sandbox: Running, receiver: Any, arrives: Arrives, wait_until: WaitUntil
) -> None:
    """A long text comes whole: there is no header by which parts could be joined."""
    sandbox.control("POST", "settings", {"one_callback_url": f"http://127.0.0.1:{receiver.port}/hooks/mine"})
    sent = {"to": PERSON, "content": "?", "clientMessageId": "c1"}
    [message] = sandbox.one("POST", "/v1/message", {"messages": [sent]})[1]["messages"]
    wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["acknowledged"] == 2)  # its statuses
    [id] = arrives("Да" * 200, api="one", related=message["apiMessageId"], network="65501")["moMsgIds"]
    told = json.loads(receiver.bodies[-1])
    [text] = told.pop("event")["moText"]
    assert told == {"integrationId": "sandbox", "integrationName": "sandbox"}
    assert abs(text.pop("timestamp") / 1000 - time.time()) < 30
    assert text == {
        "channel": "sms",
        "messageId": id,
        "relatedMessageId": message["apiMessageId"],
        "relatedClientMessageId": "c1",
        "from": PERSON,
        "to": OURS,
        "content": "Да" * 200,
        "charset": "UTF-8",
        "sms": {"network": "65501"},
    }
    arrives("x", api="one", related="ab" * 16)
    [stranger] = json.loads(receiver.bodies[-1])["event"]["moText"]
    assert (stranger["relatedMessageId"], stranger["relatedClientMessageId"]) == ("ab" * 16, None)
    assert set(receiver.paths) == {"/hooks/mine"}


# --- parts


def parts(receiver: Any) -> list[tuple[str, str]]:
    """Returns header and text of each callback, in the order of arrival."""
    return [(each["udh"].decode(), each["text"].decode(each["charset"].decode())) for each in receiver.octets()]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a" * 160, ["a" * 160]),
        ("a" * 161, ["a" * 153, "a" * 8]),
        ("a" * 152 + "{" + "a" * 10, ["a" * 152, "{" + "a" * 10]),
        ("Д" * 70, ["Д" * 70]),
        ("Д" * 71, ["Д" * 67, "Д" * 4]),
        ("👍" * 36, ["👍" * 33, "👍" * 3]),
    ],
)
def test_a_long_text_comes_in_parts(receiver: Any, arrives: Arrives, text: str, pieces: list[str]) -> None:
    """Each a callback with an id of its own; no pair is torn apart; a short one has no header."""
    ids = arrives(text, reference=0xA7)["moMsgIds"]
    headers = [f"050003a7{len(pieces):02x}{number:02x}" for number in range(1, len(pieces) + 1)]
    assert parts(receiver) == list(zip(headers if len(pieces) > 1 else [""], pieces, strict=True))
    assert [each["moMsgId"].decode() for each in receiver.octets()] == ids
    assert len(set(ids)) == len(pieces)


def test_a_short_text_can_be_cut_into_parts(receiver: Any, arrives: Arrives) -> None:
    """As many as asked for, joined again to what was texted."""
    arrives("abcdefg", parts=5)
    received = parts(receiver)
    assert "".join(text for _, text in received) == "abcdefg"
    assert [header[-4:] for header, _ in received] == ["0501", "0502", "0503", "0504", "0505"]
    assert len({header[:8] for header, _ in received}) == 1  # the reference that was drawn


def test_parts_come_shuffled_repeated_and_one_never(sandbox: Running, receiver: Any, arrives: Arrives) -> None:
    """Not in the order of the text, each as often as asked; the part left out is no part of the answer."""
    answer = arrives("abcdefgh", parts=4, shuffle=True, repeat=2, drop_part=3)
    received = parts(receiver)
    order = [int(header[-2:], 16) for header, _ in received]
    assert order != sorted(order) == [1, 1, 2, 2, 4, 4]
    assert (answer["callbacks"], len(answer["moMsgIds"])) == (6, 3)
    assert [each["moMsgId"].decode() for each in receiver.octets()].count(answer["moMsgIds"][0]) == 2
    [reply] = sandbox.control("GET", "replies")["replies"]
    assert [part["callbacks"] for part in reply["parts"]] == [2, 2, 0, 2]
    assert [part["acknowledged"] for part in reply["parts"]] == [2, 2, 0, 2]


# --- once more until acknowledged


def test_a_reply_is_made_again_until_it_is_acknowledged(sandbox: Running, receiver: Any, arrives: Arrives) -> None:
    """The same request, and the counts of it by reply."""
    receiver.answers = [500, 302]
    [id] = arrives("Yes")["moMsgIds"]
    assert len(set(receiver.bodies)) == 1
    [reply] = sandbox.control("GET", f"replies?from={PERSON}")["replies"]
    assert abs(reply.pop("at") - time.time()) < 30
    part = {"moMsgId": id, "text": "Yes", "udh": "", "callbacks": 1, "acknowledged": 1, "refused": 2, "given_up": 0}
    assert reply == {
        "api": "http",
        "form": "POST",
        "from": PERSON,
        "to": OURS,
        "text": "Yes",
        "charset": "ISO-8859-1",
        "network": None,
        "related": None,
        "parts": [part],
    }
    assert sandbox.control("GET", "replies?from=1")["replies"] == []


@pytest.mark.parametrize(("api", "requests"), [("http", 6), ("platform", 9), ("one", 9)])
def test_it_is_given_up_after_five_retries_or_eight(
    sandbox: Running, receiver: Any, wait_until: WaitUntil, api: str, requests: int
) -> None:
    """Five of the Central APIs, after 2, 4, 8, 16 and 25 minutes; of the others as many as of a status."""
    assert [each / 60 for each in CENTRAL_REPLY_RETRIES_AFTER_SECONDS] == [2, 4, 8, 16, 25]
    sandbox.control("POST", "settings", {"callback_retry_scale": 0})
    receiver.answers = [503] * 20
    sandbox.reply(PERSON, "Yes", api=api)
    wait_until(lambda: sandbox.control("GET", "health")["callbacks"]["given_up"] == 1)
    assert len(receiver.bodies) == requests


# --- where it goes


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"callback_url": "http://u:p@h/a/status?x=1"}, "http://u:p@h/a/{}?x=1"),
        ({"callback_url": "http://h/receipts"}, None),
        ({}, None),
    ],
)
def test_the_addresses_stand_beside_that_of_statuses(settings: dict[str, str], expected: str | None) -> None:
    """`/mo` and `/platform` for a last `/status`, else nowhere."""
    found = SandboxSettings(**settings)
    addresses = [expected and expected.format(path) for path in ("mo", "platform", "one")]
    assert [found.reply_callback, found.platform_callback, found.one_callback] == addresses


def test_each_address_can_be_set(sandbox: Running, receiver: Any, arrives: Arrives) -> None:
    """Before those beside; user and password as basic auth; without any, the reply is kept and goes nowhere."""
    base = f"http://hook:s3cret@127.0.0.1:{receiver.port}"
    sandbox.control("POST", "settings", {"reply_url": f"{base}/r?a=b", "platform_callback_url": f"{base}/p"})
    arrives("x", form="GET")
    arrives("x", api="platform")
    assert (receiver.paths, set(receiver.authorizations)) == (["/r", "/p"], {"Basic aG9vazpzM2NyZXQ="})
    assert receiver.bodies[0].startswith("a=b&api_id=")
    sandbox.control("POST", "settings", {"reply_url": None, "callback_url": None})
    assert arrives("x")["callbacks"] == 0
    assert len(sandbox.control("GET", "replies")["replies"]) == 3
    sandbox.control("POST", "reset")
    assert sandbox.control("GET", "replies") == {"replies": []}


# --- keywords


@pytest.mark.parametrize("keyword", ["STOP", "end", "Cancel", " unsubscribe. ", "QUIT!", "stop  stop", "Stop\nAll"])
def test_who_texts_a_keyword_gets_no_more(sandbox: Running, keyword: str) -> None:
    """122, and 26 of the One API, until START; another number is not meant."""
    sandbox.reply(PERSON, keyword)
    assert sandbox.send(PERSON) == "ERR: 122, Destination mobile opted out"
    entry = sandbox.one("POST", "/v1/message", {"messages": [{"to": PERSON, "content": "x"}]})[1]["messages"][0]
    assert entry["error"]["code"] == 26
    assert sandbox.send("27820000002").startswith("ID: ")
    sandbox.reply(PERSON, "unstop" if keyword == "STOP" else "Start")
    assert sandbox.send(PERSON).startswith("ID: ")


def test_a_keyword_is_the_whole_text(sandbox: Running) -> None:
    """Nobody is stopped by a sentence; who is barred for another reason stays so."""
    sentences = ("please stop by", "STOPP", "", "!")
    assert [None] * 4 == [keyword_action(text) for text in sentences]
    assert KeywordAction.STOP == keyword_action("Stop.")
    sandbox.control("POST", "optout", {"to": PERSON, "code": "128"})
    sandbox.reply(PERSON, "STOP")
    sandbox.reply(PERSON, "START")
    assert sandbox.control("GET", "account")["barred"] == {PERSON: "128"}


def test_the_sandboxs_own_list_can_be_left_alone(sandbox: Running, receiver: Any, arrives: Arrives) -> None:
    """So that a test can prove that the list of the caller alone stops a message."""
    arrives("STOP", opts_out=False)
    assert sandbox.send(PERSON).startswith("ID: ")
    assert receiver.octets()[0]["text"] == b"STOP"


# --- what cannot be


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"charset": "ISO-8859-1", "text": "Да"}, "charset"),
        ({"charset": "KOI8-R"}, "charset"),
        ({"api": "one", "form": "POST"}, "form"),
        ({"api": "platform", "form": "XML"}, "form"),
        ({"api": "one", "parts": 2}, "parts"),
        ({"text": "a" * 161, "parts": 1}, "parts"),
        ({"text": "ab", "parts": 3}, "parts"),
        ({"text": "a" * 161, "drop_part": 3}, "drop_part"),
        ({"text": "a" * 153 * 256}, "text"),
        ({"from": "+27820000001"}, "from"),
        ({"repeat": 0}, "repeat"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_is_refused(sandbox: Running, fields: dict[str, object], field: str) -> None:
    """With the name of the field, and nothing is kept."""
    body = {"from": PERSON, "to": OURS, "text": "x", **fields}
    assert sandbox.control("POST", "replies", body)["error"]["field"] == field
    assert sandbox.control("GET", "replies") == {"replies": []}
