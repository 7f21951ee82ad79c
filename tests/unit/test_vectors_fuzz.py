"""No parser raises on any answer, and none reads a yes or a "not known" into an answer that is not exactly that.

Each parser has a second one here, written another way, that defines exactly what a yes is.  THREELANE_FUZZ=1 runs
100,000 answers through each.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.unit.test_vectors import EXCHANGES, OTHERS, encoded
from tests.unit.test_vectors_wire import ITS_ID, OUR_ID, TO, sms
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.platform import gateway as platform
from threelane.gateways.rest import gateway as rest
from threelane.gateways.xml import gateway as xml
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.gateway.wire import HttpReply

OUR_2, TO_2 = "5c2e1d3f908b4f6fab4c7d8e9f0a1b2c", "2799900002"
TWO = [sms(), sms(id=OUR_2, to=TO_2)]
IDS = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
ANSWERED = (OutcomeKind.ACCEPTED, OutcomeKind.REFUSED)
STATUSES = (200, 200, 200, 202, 202, 207, 207, 400, 401, 402, 404, 410, 429, 500, 503, 302)


class Parser(NamedTuple):
    """One parser, and what exactly the answers are that mean something for good."""

    name: str
    read: Callable[[HttpReply], Any]
    yes: Callable[[HttpReply], Any]  # what the parser has to give if, and only if, the answer is exact


def obj(reply: HttpReply) -> dict[str, Any]:
    """Return the answer as the standard library reads it."""
    try:
        found = json.loads(reply.body.decode("utf-8"), parse_constant=lambda _: 1 / 0)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is not text
    except (ValueError, RecursionError, ZeroDivisionError):
        return {}
    return found if isinstance(found, dict) else {}


def entry_is_yes(entry: Any, to: str, status: int, message_id: str, *, must_name: bool = False) -> str | None:
    """Return the id of an entry that is exactly an acceptance."""
    if not isinstance(entry, dict) or not 200 <= status <= 299:
        return None
    named = entry.get("to")
    number = "" if named is None or isinstance(named, bool | float | dict | list) else str(named).removeprefix("+")
    fits = number == to or (not number and not must_name)
    fits = fits and entry.get("clientMessageId") in (None, "", message_id)
    gateway_id = entry.get("apiMessageId")
    exact = entry.get("accepted") is True and isinstance(gateway_id, str) and IDS.fullmatch(gateway_id)
    return gateway_id if exact and fits and not entry.get("error") and entry.get("errorCode") is None else None


def http_yes(reply: HttpReply) -> list[str | None]:
    line = rb"[ \t\r\n]*(?:apimsg)?id:[ \t]*([0-9a-f]{32})(?:[ \t]+to:[ \t]*%b)?[ \t\r\n]*" % TO.encode()
    found = re.fullmatch(line, reply.body, re.IGNORECASE) if reply.status == 200 else None
    return [found[1].decode() if found else None]


def rest_yes(reply: HttpReply) -> list[str | None]:
    answer = obj(reply)
    data = answer.get("data")
    found = data.get("message") if isinstance(data, dict) else None
    if not isinstance(found, list) or len(found) != 1 or answer.get("error") or answer.get("errorCode") is not None:
        return [None]
    return [entry_is_yes(found[0], TO, reply.status, OUR_ID)]


def platform_yes(reply: HttpReply) -> list[str | None]:
    answer = obj(reply)
    found = answer.get("messages")
    if not isinstance(found, list) or len(found) != 1 or answer.get("error") or answer.get("errorCode") is not None:
        return [None]
    return [entry_is_yes(found[0], TO, reply.status, OUR_ID)]


def one_yes(reply: HttpReply) -> list[str | None]:
    answer, nothing = obj(reply), [None] * len(TWO)
    found = answer.get("messages")
    if not isinstance(found, list) or answer.get("error") or answer.get("errorCode") is not None:
        return nothing
    if not all(isinstance(entry, dict) for entry in found):
        return nothing
    if any("clientMessageId" in entry for entry in found):
        named = [[entry for entry in found if entry.get("clientMessageId") == each.id] for each in TWO]
        pairs = zip(TWO, named, strict=True)
        return [entry_is_yes(of[0], each.to, reply.status, each.id) if len(of) == 1 else None for each, of in pairs]
    if len(found) != len(TWO):
        return nothing
    named_numbers = [str(entry.get("to")).removeprefix("+") for entry in found]
    if any(number != each.to and number in (TO, TO_2) for number, each in zip(named_numbers, TWO, strict=True)):
        return nothing
    return [
        entry_is_yes(entry, each.to, reply.status, each.id, must_name=True)
        for entry, each in zip(found, TWO, strict=True)
    ]


def xml_rows(reply: HttpReply) -> list[ElementTree.Element]:
    text = reply.body.decode("utf-8", errors="replace")
    if reply.status != 200 or "<!DOCTYPE" in text:
        return []
    try:
        root = ElementTree.fromstring(text.encode(), ElementTree.XMLParser(encoding="utf-8"))
    except (ElementTree.ParseError, ValueError):
        return []
    return list(root) if root.tag.lower() == "clickapi" else []


def xml_yes(reply: HttpReply) -> list[str | None]:
    rows, ids = xml_rows(reply), []
    for number, each in enumerate(TWO, 1):
        mine = [
            row
            for row in rows
            if [str(leaf.text).strip() for leaf in row if leaf.tag.lower() == "sequence_no"] == [str(number)]
            and row.tag.lower() == "sendmsgresp"
        ]
        leaves = [(leaf.tag.lower(), (leaf.text or "").strip()) for leaf in mine[0]] if len(mine) == 1 else []
        texts = [text for tag, text in leaves if tag == "apimsgid"]
        found = re.fullmatch(rf"([0-9A-Fa-f]{{32}})(?:[ \t]+(?i:to):[ \t]*{each.to})?", texts[0]) if texts else None
        marks = all(dict(leaves).get(tag, "") in ("", mark) for tag, mark in (("to", each.to), ("climsgid", each.id)))
        exact = len(texts) == 1 and found and "fault" not in dict(leaves) and marks
        ids.append(found[1] if exact and found else None)
    return ids


def code_104(text: str) -> bool:
    return re.search(r"(?<!\d)0*104(?!\d)", text) is not None


def no_104_is_not_known(read: Callable[[HttpReply], LookUp]) -> Callable[[HttpReply], Any]:
    """Return a check that only an answer with a 104 in it is read as "not known", and only one with an id as found."""

    def check(reply: HttpReply) -> Any:
        found, text = read(reply), reply.body.decode("utf-8", errors="replace")
        if found.known is Known.NOT_FOUND:
            assert code_104(text)
            assert not re.search(r"<apimsgid|^\s*apimsgid|^\s*id:", text, re.IGNORECASE)
        if found.known in (Known.FOUND, Known.NO_STATUS):
            assert found.gateway_id
            assert found.gateway_id in text or "&#" in text
            assert found.status
        assert found.charge_millionths is None or found.charge_millionths >= 0
        return found

    return check


def gives(
    read: Callable[[HttpReply], Any], is_for_good: Callable[[Any], bool], needs: str
) -> Callable[[HttpReply], Any]:
    """Return a check that an answer is accepted only if it contains these characters."""

    def check(reply: HttpReply) -> Any:
        found = read(reply)
        if is_for_good(found):
            assert re.search(needs, reply.body.decode("utf-8", errors="replace"), re.IGNORECASE)
        return found

    return check


def ids(outcomes: Sequence[AttemptOutcome]) -> list[str | None]:
    for outcome in outcomes:
        json.dumps(outcome)
        outcome.text.encode()  # goes to Redis and to the log
        assert outcome.kind in (*ANSWERED, OutcomeKind.UNREADABLE, OutcomeKind.WRONG_ADDRESS)
        assert (outcome.kind is OutcomeKind.REFUSED) == bool(outcome.code)
        assert not outcome.code or re.fullmatch(r"none|[0-9]{1,4}", outcome.code)
    return [outcome.gateway_id if outcome.kind is OutcomeKind.ACCEPTED else None for outcome in outcomes]


def sends(name: str, read: Callable[[HttpReply], list[AttemptOutcome]], yes: Callable[[HttpReply], Any]) -> Parser:
    return Parser(name, lambda reply: ids(read(reply)), yes)


def checked(name: str, check: Callable[[HttpReply], Any]) -> Parser:
    return Parser(name, check, check)


PARSERS = [
    sends("http send", lambda reply: [http.read_send(reply, TO)], http_yes),
    sends("rest send", lambda reply: [rest.read_send(reply, TO, OUR_ID)], rest_yes),
    sends("one send", lambda reply: one.read_send(reply, TWO), one_yes),
    sends("platform send", lambda reply: [platform.read_send(reply, TO, OUR_ID)], platform_yes),
    sends("xml send", lambda reply: xml.read_send(reply, [(one.to, one.id) for one in TWO]), xml_yes),
    checked("http look-up", no_104_is_not_known(lambda reply: http.read_look_up(reply))),
    checked("rest look-up", no_104_is_not_known(lambda reply: rest.read_look_up(reply, "104", message_id=OUR_ID))),
    checked("xml look-up", no_104_is_not_known(lambda reply: xml.read_look_up(reply, "104"))),
    checked("http cancel", gives(http.read_cancel, lambda it: it.stopped, "6")),
    checked("rest cancel", gives(rest.read_cancel, lambda it: it.stopped, "6")),
    checked("xml cancel", gives(xml.read_cancel, lambda it: it.stopped, "6")),
    checked("http coverage", gives(http.read_coverage, lambda it: it.routable, "ok:|charge:")),
    checked("rest coverage", gives(rest.read_coverage, lambda it: it.routable, "true")),
    checked("xml coverage", gives(xml.read_coverage, lambda it: it.routable, "<ok")),
    checked("http voucher", gives(http.read_payment, lambda it: it.paid, "605")),
    checked("http balance", gives(http.read_balance, lambda it: isinstance(it, float), "credit:")),
    checked("rest balance", gives(rest.read_balance, lambda it: isinstance(it, float), "balance")),
    checked("xml balance", gives(xml.read_balance, lambda it: isinstance(it, float), "ok")),
    checked("one balance", gives(one.read_balance, lambda it: isinstance(it, float), "balance")),
    checked("platform balance", gives(platform.read_balance, lambda it: isinstance(it, float), "balance")),
    checked("one status", gives(lambda it: one.read_status(it, ITS_ID), lambda it: it.known is Known.FOUND, "status")),
    checked("http charge", gives(http.read_charge, lambda it: it is not None, "charge:")),
    checked("xml charge", gives(xml.read_charge, lambda it: it is not None, "<charge>")),
]
# fmt: off
MORE = [
    '{"data":{"message":[{"accepted":true,"to":"2799900001","apiMessageId":"7e1c40b2a9d84f3f8a5b6c7d8e9f0011"}]}}',
    '{"data":{"message":[{"accepted":false,"to":"2799900001","error":{"code":"105","description":"Invalid"}}]}}',
    '{"data":{"apiMessageId":"7e1c40b2a9d84f3f8a5b6c7d8e9f0011","messageStatus":"003","charge":0.8}}',
    '{"error":{"code":"104","description":"Unknown client message id","documentation":"http://example.org"}}',
    '{"messages":[{"apiMessageId":"7e1c40b2a9d84f3f8a5b6c7d8e9f0011","accepted":true,"to":"2799900001",'
    '"clientMessageId":"4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"},{"apiMessageId":"7e1c40b2a9d84f3f8a5b6c7d8e9f0012",'
    '"accepted":true,"to":"2799900002","clientMessageId":"5c2e1d3f908b4f6fab4c7d8e9f0a1b2c"}],"error":null}',
    '{"sms":{"status":"QUEUED","timestamp":1767225600000}}', '{"error":{"code":18,"description":"internal"}}',
    '<?xml version="1.0"?><clickAPI><sendMsgResp><apiMsgId>7e1c40b2a9d84f3f8a5b6c7d8e9f0011 To:2799900001</apiMsgId>'
    '<sequence_no>1</sequence_no></sendMsgResp><sendMsgResp><fault>105, Invalid &amp; wrong</fault>'
    '<sequence_no>2</sequence_no></sendMsgResp></clickAPI>',
    "<clickAPI><queryMsgResp><fault>104, Unknown client message id</fault></queryMsgResp></clickAPI>",
    "<clickAPI><getMsgChargeResp><charge>0.8</charge><status>004</status></getMsgChargeResp></clickAPI>",
    "<clickAPI><delMsgResp><apiMsgId>7e1c40b2a9d84f3f8a5b6c7d8e9f0011</apiMsgId><status>006</status></delMsgResp>"
    "</clickAPI>",
    "<clickAPI><xmlErrorResp><fault>001, Authentication failed</fault></xmlErrorResp></clickAPI>",
    '<!DOCTYPE a [<!ENTITY b "b">]><clickAPI><sendMsgResp><apiMsgId>&b;</apiMsgId></sendMsgResp></clickAPI>',
    "OK: 605", "Credit: 250.40", "OK: This prefix is currently supported. Charge: 1", "",
]
PIECES = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"false", b"<", b">", b"</", b"&", b"\x00", b"\n",
          b"ID: ", b"ERR: ", b"To: 1", b"104", b"001", b'"accepted":true', b'"error":null', b'"to":"2799900002"',
          b"\xff", b"\xe2\x80\xa8", b"<!DOCTYPE x>", b"<sequence_no>1</sequence_no>", b"&#x41;", b"]]>", b"<![CDATA[",
          b'"clientMessageId":"4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b",', b"1e999", b"-1", b"9" * 30, b"\\ud800"]
# fmt: on
CORPUS = [encoded(each["answered"]["body"]) for each in EXCHANGES]
CORPUS += [encoded(each["body"]) for each in OTHERS]
CORPUS += [each.encode() for each in MORE]


def assert_exact(parser: Parser, reply: HttpReply) -> None:
    """The parser does not raise, and returns yes exactly where the second one does."""
    found = parser.read(reply)
    if parser.read is not parser.yes:
        expected = parser.yes(reply)
        assert found == expected, (parser.name, reply)


@some.composite
def mutated(draw: some.DrawFn) -> bytes:
    """A real answer with pieces cut out, put in, or doubled."""
    body = draw(some.sampled_from(CORPUS))
    for _ in range(draw(some.integers(1, 4))):
        at, length = draw(some.integers(0, len(body))), draw(some.integers(0, 12))
        put = draw(some.sampled_from(PIECES) | some.binary(max_size=4) | some.just(body[at : at + 2 * length]))
        body = body[:at] + put + body[at + length :]
    return body


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20) | some.just(ITS_ID),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                ["data", "message", "messages", "error", "code", "accepted", "apiMessageId", "to", "status"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("parser", PARSERS, ids=lambda one: one.name)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    body=mutated() | some.binary(max_size=200) | some.sampled_from(CORPUS) | JSON, status=some.sampled_from(STATUSES)
)
def test_no_answer_raises_and_only_an_exact_yes_is_a_yes(parser: Parser, body: bytes, status: int) -> None:
    """A message whose answer was wrongly read as a yes is never looked up."""
    assert_exact(parser, HttpReply(status, body))


@pytest.mark.parametrize("parser", PARSERS, ids=lambda one: one.name)
def test_a_real_answer_cut_anywhere_never_means_more(parser: Parser) -> None:
    """At every octet; half a document is none."""
    for body in CORPUS:
        for end in range(len(body) + 1):
            assert_exact(parser, HttpReply(200, body[:end]))
        if parser.name in ("rest send", "one send", "platform send", "xml send"):
            for end in range(len(body.rstrip())):
                assert not any(parser.read(HttpReply(200, body[:end]))), body[:end]


# fmt: off
BOMBS = [
    b"[" * 500_000, b'{"a":' * 200_000, b"<clickAPI>" * 100_000, b"9" * 500_000,
    b'{"error":{"code":' + b"9" * 6000 + b"}}",
    b'{"error":{"code":' + b"9" * 4000 + b"}}", b'{"data":{"balance":' + b"9" * 4000 + b"}}", b"\x00" * 1_000_000,
    b'{"data":{"apiMessageId":"7e1c40b2a9d84f3f8a5b6c7d8e9f0011","messageStatus":' + b"9" * 4000 + b"}}",
    b"<clickAPI><a>" + b"<b/>" * 100_000 + b"</a></clickAPI>", b"<clickAPI><a>" + b"x" * 900_000 + b"</a></clickAPI>",
    b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "' % (98 + n) + b"&%c;" % (97 + n) * 10 + b'">' for n in range(9))
    + b"]><clickAPI>&j;</clickAPI>",
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><clickAPI/>',
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><clickAPI><sendMsgResp><fault>&x;</fault></sendMsgResp>'
    b"</clickAPI>",
    b'<?xml version="1.0" encoding="utf-16"?><clickAPI/>', b'<?xml version="1.0" encoding="no-such"?><clickAPI/>',
    b'<?xml version="1.0" encoding="cp037"?><clickAPI/>', b'<?php echo 1 ?><clickAPI/>', b"\xff\xfe<\x00c\x00",
]
# fmt: on


@pytest.mark.parametrize("parser", PARSERS, ids=lambda one: one.name)
def test_an_answer_made_to_hurt_is_unreadable_like_any_other(parser: Parser) -> None:
    """Deep nesting, endless digits, entities that multiply or read files, encodings that are none."""
    for bomb in BOMBS:
        found = parser.read(HttpReply(200, bomb))
        if isinstance(found, list):
            assert not any(found)


ANSWERS = 100_000


@pytest.mark.skipif(os.environ.get("THREELANE_FUZZ") != "1", reason="THREELANE_FUZZ=1 runs 100,000 answers a parser")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("parser", PARSERS, ids=lambda one: one.name)
def test_a_hundred_thousand_random_answers(parser: Parser) -> None:
    """The same promise, for longer."""
    dice = Random(20_311)
    for _ in range(ANSWERS):
        assert_exact(parser, HttpReply(dice.choice(STATUSES), _random_answer(dice)))


def _random_answer(dice: Random) -> bytes:
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(200))
    body = dice.choice(CORPUS)
    for _ in range(dice.randint(1, 4)):
        at, length = dice.randint(0, len(body)), dice.randrange(13)
        put = dice.choice((dice.choice(PIECES), dice.randbytes(dice.randrange(4)), dice.choice(CORPUS)[:length], b""))
        body = body[:at] + put + body[at + length :]
    return body if dice.random() < 0.9 else body[: dice.randint(0, len(body))]
