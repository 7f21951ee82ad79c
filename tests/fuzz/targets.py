"""Targets: every parser of untrusted input, each with seeds and a rule that raises when it is broken.

A rule takes octets.  The first octet selects one of the target's parsers; the rest is the input.
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.unit.test_inbound_fuzz import CORPUS, READERS, assert_harmless
from tests.unit.test_vectors_wire import sms
from threelane.contract import message, signature, window
from threelane.contract.reading import Form, Reading
from threelane.contract.refusal import Refusal
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.platform import gateway as platform
from threelane.gateways.rest import gateway as rest
from threelane.gateways.xml import gateway as xml
from threelane.interfaces.command import opt_out_list
from threelane.producer import nudge_redis, task_message
from threelane.producer.files import bulk
from threelane.producer.files.numbers import NumberRules
from threelane.producer.files.row import How, Noticed
from threelane.store import events, keys, readable, registry, status
from threelane.worker.fetch import nudge
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.inbound.sieve import LONGEST_ESCAPE, Sieve
from threelane.worker.reply import words

NOW = int(time.time() * 1000)
DATA = Path(__file__).parents[1] / "unit" / "data"
MOST_CHARACTERS = 2000  # of a refusal
OURS = sms()
STATUSES = (200, 202, 207, 400, 401, 404, 429, 500, 503)
ANSWERS: tuple[Callable[[HttpReply], Any], ...] = (
    lambda reply: http.read_send(reply, OURS.to),
    http.read_auth,
    http.read_look_up,
    http.read_charge,
    http.read_cancel,
    http.read_coverage,
    http.read_payment,
    http.read_balance,
    lambda reply: rest.read_send(reply, OURS.to, OURS.id),
    lambda reply: rest.read_look_up(reply, "104", message_id=OURS.id),
    rest.read_cancel,
    rest.read_coverage,
    rest.read_balance,
    lambda reply: xml.read_send(reply, [(OURS.to, OURS.id)]),
    xml.read_auth,
    lambda reply: xml.read_look_up(reply, "104"),
    xml.read_charge,
    xml.read_cancel,
    xml.read_coverage,
    xml.read_balance,
    lambda reply: one.read_send(reply, [OURS]),
    lambda reply: one.read_status(reply, OURS.id),
    one.read_balance,
    lambda reply: platform.read_send(reply, OURS.to, OURS.id),
    platform.read_balance,
)


class FuzzTarget(NamedTuple):
    """One parser or group of parsers: its rule, and known inputs."""

    rule: Callable[[bytes], None]
    seeds: Sequence[bytes]


def callbacks(octets: bytes) -> None:
    """Callbacks: parsed to a refusal or to values that can be stored."""
    readers = list(READERS.values())
    query, _, body = octets[1:].partition(b"\0\n") if octets[:1] >= b"\x80" else (b"", b"", octets[1:])
    read = readers[octets[0] % len(readers) if octets else 0]
    assert_harmless(read, query, body)
    kept = Sieve(most_kept=200, least_dropped=40)
    try:
        for start in range(0, len(body), 1 + len(query)):
            kept.add(body[start : start + 1 + len(query)])
    except ValueError:
        return
    assert len(kept.body()) <= 200 + LONGEST_ESCAPE
    assert len(body) > 200 or kept.body() == body
    assert_harmless(read, query, kept.body())


def answers(octets: bytes) -> None:
    """Any response of a gateway: parsed to a value, never an exception."""
    kind, status, body = octets[:1], octets[1:2], octets[2:]
    reply = HttpReply(STATUSES[(status or b"\0")[0] % len(STATUSES)], body)
    ANSWERS[(kind or b"\0")[0] % len(ANSWERS)](reply)


def rows(octets: bytes) -> None:
    """Rows of a bulk file or of an import of suppressed numbers: each is accepted, or refused with a sentence."""
    if octets[:1] >= b"\x80":
        _suppressed(octets[1:])
        return
    _only(bulk.InvalidFile, lambda: _bulk(io.BytesIO(octets[1:])))


def messages(octets: bytes) -> None:
    """A caller's message as JSON: an accepted one can be encoded and decoded again."""
    try:
        fields = json.loads(octets[1:])
    except (ValueError, RecursionError):
        _records(octets[1:])
        return
    if not isinstance(fields, dict):
        return
    draft = message.parse(fields, NOW, "shop")
    if _sentence(draft):
        return
    assert not isinstance(draft, Refusal)
    again = message.decode(message.encode(draft.message))
    assert (again.id, again.to, again.text, again.parts) == (
        draft.message.id,
        draft.message.to,
        draft.message.text,
        draft.message.parts,
    )
    assert 1 <= again.parts <= 3


def words_and_names(octets: bytes) -> None:
    """Other input of operators and producers: windows, webhook URLs, names, signatures; STOP keywords."""
    text = octets[1:].decode("utf-8", "replace")
    match octets[:1]:
        case b"w":
            _only(ValueError, lambda: window.parse(text))
        case b"h":
            _only(ValueError, lambda: registry.check_webhook(text))
        case b"n":
            _only(ValueError, lambda: registry.check_name(text))
        case b"s":
            timestamp, _, presented = text.partition("\n")
            signature.verify("a-secret-of-a-webhook", timestamp, b"{}", presented, NOW // 1000)
        case _:
            words.build({}).meaning(text)


def nudges(octets: bytes) -> None:
    """An entry of a lane's queue, on Redis or RabbitMQ: a nudge, or dropped with a problem of the closed list."""

    def read() -> None:
        if octets[:1] >= b"\x80":
            nudge.from_amqp({"task": keys.TASK}, octets[1:])
            return
        envelope = nudge.from_list(octets[1:], "sms.1")
        lane, ids = nudge.read(base64.b64decode(envelope["body"]))
        assert lane in keys.LANES
        assert len(ids) <= nudge.MOST_IDS

    _only(nudge.NoNudge, read)


def stored_records(octets: bytes) -> None:
    """A stored record, field by field: what is readable becomes a status, and its body a message of that id."""
    lines = (line.partition(b"=") for line in octets[1:].split(b"\n"))
    record = {name: value for name, _, value in lines}
    found = readable.readable(record) or {}
    if found:
        status._status(OURS.id, found)
    _only(readable.UnreadableBody, lambda: readable.body_of(record.get(b"body", b""), OURS.id))


def _bulk(file: io.BytesIO) -> None:
    for row in bulk.read_file(file, How(), None, Noticed()):  # type: ignore[arg-type]
        _sentence(row.content if isinstance(row.content, Refusal) else message.parse(row.content, NOW))


def _suppressed(octets: bytes) -> None:
    rules = NumberRules(Reading(Form.NATIONAL, "ZA"))

    def read() -> None:
        for row in opt_out_list.rows(io.BytesIO(octets)):  # type: ignore[arg-type]
            _only(ValueError, lambda row=row: opt_out_list.entry(row, rules, NOW))  # type: ignore[misc]

    _only(bulk.InvalidFile, read)


def _records(octets: bytes) -> None:
    """An invalid record body or webhook event raises the one exception that callers expect."""
    _only((msgspec.DecodeError, UnicodeDecodeError), lambda: message.decode(octets))
    _only(msgspec.DecodeError, lambda: events.from_json(octets))


def _sentence(result: object) -> bool:
    if isinstance(result, Refusal):
        sentence = str(result)
        assert 5 <= len(sentence) <= MOST_CHARACTERS
        sentence.encode()  # it can be printed
        return True
    return False


def _only(expected: type[Exception] | tuple[type[Exception], ...], work: Callable[[], object]) -> None:
    try:
        work()
    except expected as error:
        sentence = str(error)
    else:
        return
    assert len(sentence) <= MOST_CHARACTERS


def _bodies(name: str) -> list[bytes]:
    found = json.loads((DATA / name).read_text(encoding="utf-8"))
    contents = [one.get("answered", one).get("body", "") for one in found]
    return [(one if isinstance(one, str) else json.dumps(one)).encode() for one in contents]


_ANSWERS = _bodies("gateway_exchanges.json") + _bodies("other_answers.json")
_ROWS = (
    b"to,text\n27831234567,Hello\n",
    b'to,text,lane,tags\n27831234567,"a ""b"", c",1,promo\n4915112345678,\xc3\x84,3,\n',
    b"\xef\xbb\xbfto,text,userPriorityQueue,scheduledDeliveryTime\n+27 83 123 4567,Hi,2,2031-06-30T14:00:00Z\n",
    b'to,binary,udh\n27831234567,00FF,0605040B8423F0\n"',
)
_MESSAGES = (
    b'{"to":"27831234567","text":"Hello","lane":1,"clientMessageId":"a1","tags":["promo"],"delay":3}',
    b'{"to":"+27 83 123 4567","text":"\\u20ac {} \\ud83d\\udc4d","onTooLong":"cut","lookAlikes":1,"plainAccents":1}',
    b'{"to":"27831234567","binary":"00FF","udh":"050003CC0201","validityPeriod":60,"retryEvery":1.5}',
    b'{"id":"0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c","to":"27831234567","expires_at":1,"text":"a"}',
)
_WORDS = (
    b"wmon-fri 08:00-20:00; sat 09:00-13:00 recipient",
    b"wdaily 10:00-18:00 Europe/Berlin",
    b"hhttps://shop.example:8443/sms?key=1",
    b"nshop/eu-1",
    b"s1700000000\nv1=00",
    b"mSTOP ALL",
)

_NUDGES = (
    b"\0" + nudge_redis._envelope(1, task_message.body(1, [OURS.id])),
    b"\xff" + task_message.body(3, [OURS.id]),
)
_STORED = (
    b"\0status=queued\nlane=1\nto=27831234567\nparts=1\naccepted=1\nexpires=2\nbody=" + message.encode(OURS),
    b"\0status=dead\nlane=3\nparts=1\naccepted=1\nexpires=2\nwaits=0.500 2\nwaiting=3:retry:1\nreports=1 x\ncharge=-1",
)

TARGETS = {
    "callbacks": FuzzTarget(callbacks, [bytes([kind]) + one for kind in (0, 1, 2) for one in CORPUS]),
    "answers": FuzzTarget(
        answers, [bytes([at % 256, 0]) + one for one in _ANSWERS for at in range(0, len(ANSWERS), 4)]
    ),
    "rows": FuzzTarget(rows, [b"\0" + one for one in _ROWS] + [b"\xffnumber,scope\n27831234567,all\n"]),
    "messages": FuzzTarget(messages, [b"\0" + one for one in _MESSAGES]),
    "words": FuzzTarget(words_and_names, _WORDS),
    "nudges": FuzzTarget(nudges, _NUDGES),
    "records": FuzzTarget(stored_records, _STORED),
}
