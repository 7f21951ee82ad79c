"""Message: what is to be sent, parsed once at the door and never checked again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from threelane.contract import fields, lookalike, schedule
from threelane.contract import text as texts
from threelane.contract.phone import Msisdn
from threelane.contract.refusal import Code, Refusal
from threelane.contract.text import Encoding, Size

SCHEMA = 1  # the newest that this code can send; a message that says none is of schema 1


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One SMS to one recipient; also, as JSON, the body of its record in Redis.

    ``id`` is ours and the gateway's client message id; times are milliseconds of Unix time; ``udh`` and
    ``binary`` are hexadecimal; ``units`` are septets, UTF-16 code units or octets, by ``encoding``.
    """

    id: str
    to: Msisdn
    expires_at: int
    text: str = ""
    encoding: Encoding = Encoding.GSM_7
    units: int = 0
    parts: int = 1
    lane: int = 3
    due_at: int = 0  # 0: at once
    at_gateway: bool = False  # the gateway waits until it is due, not we
    own_validity: bool = False  # the caller named it; otherwise it moves with the time of delivery
    sender: str = ""
    client_message_id: str = ""
    callback: int = 7
    escalate: bool = False
    max_credits: str = ""
    flash: bool = False
    channel: str = "sms"
    mo: bool = False
    required_features: int | None = None
    udh: str = ""
    binary: str = ""
    bypass_dnc: bool = False
    cost_centre: str = ""
    producer: str = ""
    tags: tuple[str, ...] = ()
    batch: str = ""
    legal_notice: bool = False  # goes to suppressed recipients, too, if its producer has the right
    on_doubt: str = "resend"
    retry_every: float | None = None
    stop_retrying_after: float | None = None
    schema: int = 1  # what a worker has to know to send it; a field that an older one would pass over raises it


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A message that is fit to be accepted, and what its caller should be told of it."""

    message: Message
    fingerprint: str  # of what the caller said; empty without a client message id
    id_field: str = ""  # how the caller spelt the name of that id's field
    parts_saved: int = 0
    characters_cut: int = 0


def gateway_time(message: Message, now: int) -> int:
    """Return the Unix time, in seconds, until which the gateway is to keep the message; 0: it goes at once."""
    return message.due_at // 1000 if message.at_gateway and message.due_at > now else 0


_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode


_BESIDE_BODY: dict[str, Any] = {"client_message_id": "", "producer": "", "cost_centre": "", "batch": "", "schema": 1}
_beside_body = attrgetter(*_BESIDE_BODY)
_NOTHING_BESIDE = tuple(_BESIDE_BODY.values())


def encode(message: Message) -> bytes:
    """Return the body of a record: what sending needs, without what the record itself says for as long as it lives."""
    if _beside_body(message) != _NOTHING_BESIDE:
        message = msgspec.structs.replace(message, **_BESIDE_BODY)
    return _encode(message)


_spare: list[str] = []  # ids that were drawn together: the system's generator is asked once for a hundred
if hasattr(os, "register_at_fork"):  # where processes fork, two must not go on with the same ids
    os.register_at_fork(after_in_child=_spare.clear)


def new_id() -> str:
    """Return an id that no other message has: 32 hexadecimal digits."""
    try:
        return _spare.pop()
    except IndexError:
        drawn = os.urandom(16 * 100).hex()
        _spare.extend(drawn[start : start + 32] for start in range(32, len(drawn), 32))
        return drawn[:32]


def identify(producer: str, client_message_id: str) -> str:
    """Return the id that a client message id always has: a repeated call finds the message by it."""
    return blake2b(f"{producer}\0{client_message_id}".encode(), digest_size=16).hexdigest()


def not_an_object(raw: object) -> Refusal:
    """Return the refusal of what is no mapping of field names."""
    return fields.invalid("message", f"it is {type(raw).__name__}", "give an object of field names and values")


def parse(raw: Mapping[str, Any], now: int, producer: str = "") -> Draft | Refusal:
    """Parse what a caller said; ``now`` is Unix time in milliseconds, ``producer`` the name it sends under."""
    read = _read(raw)
    if isinstance(read, Refusal):
        return read
    given, spelt = read
    body = _body(given, spelt)
    if isinstance(body, Refusal):
        return body
    text, size, parts_saved, characters_cut = body
    due_at = schedule.due(given.get("deliver_at"), given.get("delay"), now, spelt.get("deliver_at", ""))
    if isinstance(due_at, Refusal):
        return due_at
    if given.get("at_gateway") and not due_at:
        return fields.invalid(
            spelt["at_gateway"], "there is no time to wait for", "give a delivery time or a delay, too, or leave it out"
        )
    expires_at = schedule.expiry(given.get("validity_period"), due_at, now, spelt.get("validity_period", ""))
    if isinstance(expires_at, Refusal):
        return expires_at
    name = given.get("producer", producer)
    client_message_id = given.get("client_message_id", "")
    message = Message(
        id=identify(name, client_message_id) if client_message_id else new_id(),
        to=given["to"],
        expires_at=expires_at,
        text=text,
        encoding=size.encoding,
        units=size.units,
        parts=size.parts,
        due_at=due_at,
        own_validity="validity_period" in given,
        flash=given.get("type") == "flash",
        producer=name,
        **{key: value for key, value in given.items() if key in _COPIED},
    )
    fingerprint = _fingerprint(given) if client_message_id else ""
    return Draft(message, fingerprint, spelt.get("client_message_id", ""), parts_saved, characters_cut)


_COPIED = frozenset(Message.__struct_fields__) & {field.name for field in fields.FIELDS} - {
    "to",
    "text",
    "producer",
}


def _read(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]] | Refusal:
    """Read each field by its table entry, and note how it was spelt; the first that is wrong is the answer."""
    given: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for spelling, value in raw.items():
        field = fields.BY_SPELLING.get(spelling)
        if field is None:
            return fields.invalid(_printable(spelling), "unknown field", "docs/fields.md lists the fields")
        if value is None:
            continue
        if field.name in given:
            return fields.invalid(spelling, f"{field.name} is given twice", "give it once")
        parsed = field.parse(value, spelling)
        if isinstance(parsed, Refusal):
            return parsed
        given[field.name], spelt[field.name] = parsed, spelling
    if "to" not in given:
        return Refusal(
            code=Code.DESTINATION, field="to", problem="no recipient", remedy="give a number, as in 27831234567"
        )
    return given, spelt


def _printable(spelling: object) -> str:
    return str(spelling)[:40].encode("utf-8", "backslashreplace").decode()


def _body(given: Mapping[str, Any], spelt: Mapping[str, str]) -> tuple[str, Size, int, int] | Refusal:
    """Settle what will be sent: the text, its size, the parts that look-alikes saved, the characters cut."""
    binary, text, udh_octets = given.get("binary", ""), given.get("text", ""), len(given.get("udh", "")) // 2
    most = given.get("max_message_parts", 3)
    if binary:
        return _binary_body(given, spelt, binary, udh_octets, most)
    if not text or text.isspace():
        return Refusal(code=Code.EMPTY, field="text", problem="the text is empty", remedy="give it a text")
    try:
        return _text_body(given, text, udh_octets, most)
    except UnicodeEncodeError as broken:
        return Refusal(
            code=Code.UNICODE,
            field="text",
            problem=f"half of a surrogate pair at character {broken.start + 1}",
            remedy="the text was cut or decoded wrongly before it came here: send it whole, as UTF-8",
        )


def _binary_body(
    given: Mapping[str, Any], spelt: Mapping[str, str], binary: str, udh_octets: int, most: int
) -> tuple[str, Size, int, int] | Refusal:
    if given.get("text"):
        return fields.invalid("binary", "binary data together with a text", "give one of the two")
    if not given.get("sender", "0").isdigit():
        return Refusal(
            code=Code.SENDER,
            field=spelt["sender"],
            problem="a name cannot send binary data",
            remedy="give a number as sender",
        )
    size = texts.measure_binary(len(binary) // 2, udh_octets)
    return _too_long("binary", size, most) if size.parts > most else ("", size, 0, 0)


def _text_body(given: Mapping[str, Any], text: str, udh_octets: int, most: int) -> tuple[str, Size, int, int] | Refusal:
    forced = given.get("unicode", False)
    size = texts.measure(text, unicode=forced, udh_octets=udh_octets)
    saved = 0
    if given.get("look_alikes") and not forced:
        plain = lookalike.replace(text)
        plain_size = texts.measure(plain, udh_octets=udh_octets)
        if plain_size.parts <= size.parts:
            saved, text, size = size.parts - plain_size.parts, plain, plain_size
    if size.parts <= most:
        return text, size, saved, 0
    if given.get("on_too_long") != "cut":
        return _too_long("text", size, most)
    beginning = texts.cut(text, most, unicode=forced, udh_octets=udh_octets)
    size = texts.measure(beginning, unicode=forced, udh_octets=udh_octets)
    return beginning, size, saved, len(text) - len(beginning)


def _too_long(field: str, size: Size, most: int) -> Refusal:
    return Refusal(
        code=Code.PARTS,
        field=field,
        problem=f"{size.units} {_UNITS[size.encoding]} make {size.parts} parts, at most {most} are allowed",
        remedy="shorten it, ask for onTooLong=cut, or for lookAlikes if a few letters cost the GSM alphabet",
    )


_UNITS = {Encoding.GSM_7: "septets", Encoding.UCS_2: "UTF-16 units", Encoding.BINARY: "octets"}


# Saying a default is the same content as leaving it out.
# fmt: off
_UNSAID: dict[str, Any] = {
    "lane": 3, "channel": "sms", "callback": 7, "max_message_parts": 3, "type": "text", "delay": 0,
    "escalate": False, "mo": False, "unicode": False, "bypass_dnc": False, "look_alikes": False, "at_gateway": False,
    "legal_notice": False,
    "text": "", "binary": "", "udh": "", "tags": (), "on_doubt": "resend", "on_too_long": "refuse",
}
# fmt: on


_IN_THE_ID = ("client_message_id", "producer")  # however the producer's name was given


def _fingerprint(given: Mapping[str, Any]) -> str:
    said = sorted(
        (key, value)
        for key, value in given.items()
        if key not in _IN_THE_ID and (key not in _UNSAID or value != _UNSAID[key])
    )
    return blake2b(msgspec.json.encode(said), digest_size=9).hexdigest()
