"""Doors: every parser that reads what strangers write, each with seeds and a rule that raises when it is broken.

A rule takes octets.  Its first one chooses among what stands behind the door; the rest is the input.
"""

from __future__ import annotations

import csv
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
from threelane.contract.refusal import Refusal
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.rest import gateway as rest
from threelane.gateways.xml import gateway as xml
from threelane.interfaces.command import suppress as cli_suppress
from threelane.producer.files import bulk
from threelane.store import events, registry
from threelane.worker.gateway.wire import Reply
from threelane.worker.reply import words

NOW = int(time.time() * 1000)
DATA = Path(__file__).parents[1] / "unit" / "data"
MOST_SAID = 2000  # letters of a refusal
OURS = sms()
STATUSES = (200, 202, 207, 400, 401, 404, 429, 500, 503)
ANSWERS: tuple[Callable[[Reply], Any], ...] = (
    lambda reply: http.read_send(reply.body),
    lambda reply: http.read_auth(reply.body),
    lambda reply: http.read_look_up(reply.body),
    lambda reply: http.read_charge(reply.body),
    lambda reply: http.read_cancel(reply.body),
    lambda reply: http.read_coverage(reply.body),
    lambda reply: http.read_payment(reply.body),
    lambda reply: http.read_balance(reply.body),
    lambda reply: rest.read_send(reply, OURS.to),
    lambda reply: rest.read_look_up(reply, "104", OURS.id),
    rest.read_cancel,
    rest.read_coverage,
    rest.read_balance,
    lambda reply: xml.read_send(reply, [OURS.to]),
    xml.read_auth,
    lambda reply: xml.read_look_up(reply, "104"),
    xml.read_charge,
    xml.read_cancel,
    xml.read_coverage,
    xml.read_balance,
    lambda reply: one.read_send(reply, [OURS]),
    lambda reply: one.read_status(reply, OURS.id),
    one.read_balance,
)


class Door(NamedTuple):
    """One way in: its rule, and what is known to come by it."""

    rule: Callable[[bytes], None]
    seeds: Sequence[bytes]


def callbacks(octets: bytes) -> None:
    """The door of callbacks: a sentence, or what can be written down."""
    readers = list(READERS.values())
    query, _, body = octets[1:].partition(b"\0\n") if octets[:1] >= b"\x80" else (b"", b"", octets[1:])
    assert_harmless(readers[octets[0] % len(readers) if octets else 0], query, body)


def answers(octets: bytes) -> None:
    """Whatever a gateway answers: a value, never an exception."""
    kind, status, body = octets[:1], octets[1:2], octets[2:]
    reply = Reply(STATUSES[(status or b"\0")[0] % len(STATUSES)], body)
    ANSWERS[(kind or b"\0")[0] % len(ANSWERS)](reply)


def rows(octets: bytes) -> None:
    """The rows of a bulk, and those of an import of suppressed numbers: each is taken or told of in words."""
    if octets[:1] >= b"\x80":
        _suppressed(octets[1:])
        return
    _only(bulk.WrongFile, lambda: _bulk(io.BytesIO(octets[1:])))


def messages(octets: bytes) -> None:
    """What a caller says, as JSON; what is taken can be written down and read again."""
    try:
        said = json.loads(octets[1:])
    except (ValueError, RecursionError):
        _records(octets[1:])
        return
    if not isinstance(said, dict):
        return
    draft = message.parse(said, NOW, "shop")
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
    """What operators and producers write besides: windows, addresses of webhooks, names, signatures; words of STOP."""
    text = octets[1:].decode("utf-8", "replace")
    match octets[:1]:
        case b"w":
            _only(ValueError, lambda: window.parse(text))
        case b"h":
            _only(ValueError, lambda: registry.check_webhook(text))
        case b"n":
            _only(ValueError, lambda: registry.check_name(text))
        case b"s":
            timestamp, _, given = text.partition("\n")
            signature.verify("a-secret-of-a-webhook", timestamp, b"{}", given, NOW // 1000)
        case _:
            words.build({}).meaning(text)


def _bulk(file: io.BytesIO) -> None:
    for row in bulk.read_csv(file):  # type: ignore[arg-type]
        _sentence(row.said if isinstance(row.said, Refusal) else message.parse(row.said, NOW))


def _suppressed(octets: bytes) -> None:
    def read() -> None:
        for _, row in cli_suppress._rows(csv.reader(io.StringIO(text, newline=""), strict=True)):
            _only(ValueError, lambda row=row: cli_suppress._entry(row, NOW))  # type: ignore[misc]

    text = octets.decode("utf-8", "replace")
    _only(ValueError, read)


def _records(octets: bytes) -> None:
    """A record's body and a webhook's event that are none are told by one exception, which callers expect."""
    _only((msgspec.DecodeError, UnicodeDecodeError), lambda: message.decode(octets))
    _only(msgspec.DecodeError, lambda: events.from_json(octets))


def _sentence(answer: object) -> bool:
    if isinstance(answer, Refusal):
        said = str(answer)
        assert 5 <= len(said) <= MOST_SAID
        said.encode()  # it can be printed
        return True
    return False


def _only(expected: type[Exception] | tuple[type[Exception], ...], work: Callable[[], object]) -> None:
    try:
        work()
    except expected as told:
        said = str(told)
    else:
        return
    assert len(said) <= MOST_SAID


def _bodies(name: str) -> list[bytes]:
    found = json.loads((DATA / name).read_text(encoding="utf-8"))
    told = [one.get("answered", one).get("body", "") for one in found]
    return [(one if isinstance(one, str) else json.dumps(one)).encode() for one in told]


_ANSWERS = _bodies("gateway_exchanges.json") + _bodies("other_answers.json")
_ROWS = (
    b"to,text\n27831234567,Hello\n",
    b'to,text,lane,tags\n27831234567,"a ""b"", c",1,promo\n4915112345678,\xc3\x84,3,\n',
    b"\xef\xbb\xbfto,text,userPriorityQueue,scheduledDeliveryTime\n+27 83 123 4567,Hi,2,2031-06-30T14:00:00Z\n",
    b'to,binary,udh\n27831234567,00FF,0605040B8423F0\n"',
)
_MESSAGES = (
    b'{"to":"27831234567","text":"Hello","lane":1,"clientMessageId":"a1","tags":["promo"],"delay":3}',
    b'{"to":"+27 83 123 4567","text":"\\u20ac {} \\ud83d\\udc4d","unicode":1,"onTooLong":"cut","lookAlikes":1}',
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

DOORS = {
    "callbacks": Door(callbacks, [bytes([kind]) + one for kind in (0, 1, 2) for one in CORPUS]),
    "answers": Door(answers, [bytes([at % 256, 0]) + one for one in _ANSWERS for at in range(0, len(ANSWERS), 4)]),
    "rows": Door(rows, [b"\0" + one for one in _ROWS] + [b"\xffnumber,scope\n27831234567,all\n"]),
    "messages": Door(messages, [b"\0" + one for one in _MESSAGES]),
    "words": Door(words_and_names, _WORDS),
}
