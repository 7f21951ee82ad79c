"""Message: an SMS, parsed once at accept and not checked again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from threelane.contract import body, fields, kinds, message_id, no_field, phone, schedule, words
from threelane.contract.message_id import Ids, WireIds
from threelane.contract.opt_out_line import OptOutLine
from threelane.contract.phone import Msisdn
from threelane.contract.reading import INTERNATIONAL, Reading
from threelane.contract.refusal import Code, Refusal, invalid
from threelane.contract.subscriber import spellings
from threelane.contract.text import GSM_7, Alphabet, Encoding, Size, composed, decomposed
from threelane.contract.why_parts import WhyParts, explain
from threelane.contract.wording import PLAIN, Filled, Wording

SCHEMA = 3  # the newest schema that this code can send; a message without one has schema 1
OF_WORDS = 2  # the schema of a message with a field that a worker of schema 1 would leave out
OF_ACCOUNT = 3  # of one for an account that workers of schema 2 do not know


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One SMS to one recipient; also, as JSON, the body of its record in Redis.

    ``id`` is Threelane's id (message_id.py), sent to the gateway as its client message id; times are milliseconds of
    Unix time; ``udh`` and ``binary`` are hexadecimal; ``units`` are septets, UTF-16 code units or octets, by
    ``encoding``.
    """

    id: str
    to: Msisdn
    expires_at: int
    text: str = ""
    encoding: Encoding = Encoding.GSM_7
    units: int = 0
    parts: int = 1
    lane: int = 3
    due_at: int = 0  # 0: send immediately
    at_gateway: bool = False  # the gateway holds it until it is due, not Threelane
    own_validity: bool = False  # given by the caller; otherwise the validity moves with the delivery time
    sender: str = ""
    client_message_id: str = ""
    callback: int = 7
    escalate: bool = False
    max_credits: str = ""
    flash: bool = False
    old_type: str = ""  # of 8-bit data, by the gateway's name
    channel: str = "sms"
    mo: bool = False
    required_features: int | None = None
    udh: str = ""
    binary: str = ""
    message_class: int | None = None
    handset_receipt: bool | None = None  # None: as the callback
    bypass_dnc: bool = False
    cost_centre: str = ""
    producer: str = ""
    tags: tuple[str, ...] = ()
    batch: str = ""
    legal_notice: bool = False  # also to suppressed recipients, if the producer has the right to
    on_doubt: str = "resend"
    retry_every: float | None = None
    stop_retrying_after: float | None = None
    schema: int = 1  # raised by a field that an older worker would ignore

    @property
    def header_octets(self) -> int:
        """The octets of the user data header, which the text or the data cannot use."""
        return len(self.udh) // 2 if self.udh else kinds.HEADER_OCTETS if self.old_type else 0

    @property
    def bypasses(self) -> str:
        """The field that bypasses an opt-out, for which key and producer need the right to bypass; "" if none does."""
        return "legal_notice" if self.legal_notice else "bypass_dnc" if self.bypass_dnc else ""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A valid message, and the details that its caller gets back."""

    message: Message
    fingerprint: str  # of the content; empty without a client message id
    id_field: str = ""  # the name of the client message id as the caller spelt it
    parts_saved: int = 0
    characters_cut: int = 0
    text_cut: str = ""  # the beginning of what was cut off
    former_fingerprints: tuple[str, ...] = ()  # those that earlier versions gave it, by number and text as then read
    repeats: bool = False  # on purpose: the limit of the same text does not apply
    template: str = ""  # the name and version that the text is from
    opt_out: str = ""  # the scope whose opt-out line was added to the text
    opt_out_parts: int = 0  # how many parts the line costs
    is_ucs2_requested: bool = False
    other_id: str = ""  # that the message would have in the other form; empty without a client message id
    alphabet: Alphabet = GSM_7  # the letters that the gateway gets without Unicode

    @property
    def why_parts(self) -> WhyParts | None:
        """Why the message takes several parts; None for one part."""
        sms = self.message
        if sms.parts == 1:
            return None
        size = Size(sms.encoding, sms.units, sms.parts)
        requested = self.is_ucs2_requested
        return explain(sms.text, size, sms.header_octets, is_ucs2_requested=requested, alphabet=self.alphabet)


def gateway_time(message: Message, now: int) -> int:
    """Return the Unix time, in seconds, until which the gateway holds the message; 0: it does not."""
    return message.due_at // 1000 if message.at_gateway and message.due_at > now else 0


_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode


_BESIDE_BODY: dict[str, Any] = {"client_message_id": "", "producer": "", "cost_centre": "", "batch": "", "schema": 1}
_beside_body = attrgetter(*_BESIDE_BODY)
_NOTHING_BESIDE = tuple(_BESIDE_BODY.values())


def encode(message: Message) -> bytes:
    """Return the body of a record: what sending needs, without the values that the record has as fields."""
    if _beside_body(message) != _NOTHING_BESIDE:
        message = msgspec.structs.replace(message, **_BESIDE_BODY)
    return _encode(message)


_spare: list[str] = []  # unused ids: os.urandom is called once per hundred
if hasattr(os, "register_at_fork"):  # a forked child must not reuse the parent's ids
    os.register_at_fork(after_in_child=_spare.clear)


def new_id() -> str:
    """Return a unique id: 32 hexadecimal digits."""
    try:
        return _spare.pop()
    except IndexError:
        drawn = os.urandom(16 * 100).hex()
        _spare.extend(drawn[start : start + 32] for start in range(32, len(drawn), 32))
        return drawn[:32]


def not_an_object(raw: object) -> Refusal:
    """Return the refusal of a value that is not a mapping."""
    return invalid("message", f"expected an object, got {type(raw).__name__}", "give field names and values")


def parse(
    raw: Mapping[str, Any],
    now: int,
    producer: str = "",
    reading: Reading = INTERNATIONAL,
    wording: Wording = PLAIN,
    wire_ids: WireIds = WireIds.OURS,
    alphabet: Alphabet = GSM_7,
) -> Draft | Refusal:
    """Parse a message; ``now`` is Unix time in milliseconds, ``producer`` the default for the field.

    ``reading`` is how digits without + or 00 are read if the message names no country; ``wording`` has the templates
    and opt-out lines, ``wire_ids`` is the form of an id that follows from the caller's, ``alphabet`` has the letters
    that the gateway gets without Unicode.  The fingerprint is of what the caller gave: neither a newer version of a
    template nor another opt-out line makes a repeated call a different message.
    """
    read = _read(raw, reading)
    if isinstance(read, Refusal):
        return read
    given, spelt = read
    text_as_given = _compose(given)
    with_text, template = given, ""
    if "template" in given or "values" in given:
        filled = _filled(given, spelt, wording)
        if isinstance(filled, Refusal):
            return filled
        with_text, template = {**given, "text": filled.text}, filled.template
    line = _line(given, wording) if wording.has_lines else None
    if isinstance(line, Refusal):
        return line
    content = body.read(with_text, spelt, line, alphabet)
    if isinstance(content, Refusal):
        return content
    due_at = schedule.due(given.get("deliver_at"), given.get("delay"), now, spelt.get("deliver_at", ""))
    if isinstance(due_at, Refusal):
        return due_at
    at_gateway = given.get("at_gateway", False)
    if at_gateway and not due_at:
        return invalid(
            spelt["at_gateway"], "there is no delivery time", "also give a delivery time or a delay, or leave it out"
        )
    validity, spelling = given.get("validity_period"), spelt.get("validity_period", "")
    expires_at = schedule.expiry(validity, due_at, now, spelling, at_gateway=at_gateway)
    if isinstance(expires_at, Refusal):
        return expires_at
    name = given.get("producer", producer)
    client_message_id, kind = given.get("client_message_id", ""), given.get("type", kinds.TEXT)
    # an older worker would send a long validity whole, which the gateway refuses, and does not know the new fields
    is_newer = schedule.is_long(due_at, expires_at, now, at_gateway=at_gateway)
    is_newer = is_newer or kind in kinds.OLD or not _NEWER.isdisjoint(given)
    has_own_id = client_message_id != ""
    ids = message_id.both(name, client_message_id, wire_ids, given["to"]) if has_own_id else Ids(new_id(), "")
    message = Message(
        id=ids.own,
        to=given["to"],
        expires_at=expires_at,
        text=content.text,
        encoding=content.size.encoding,
        units=content.size.units,
        parts=content.size.parts,
        due_at=due_at,
        own_validity="validity_period" in given,
        flash=kind == kinds.FLASH,
        old_type=kind if kind in kinds.OLD else "",
        schema=OF_WORDS if is_newer else 1,
        producer=name,
        **{key: value for key, value in given.items() if key in _COPIED},
    )
    fingerprint, *former = _fingerprints(given, text_as_given) if client_message_id else ("",)
    return Draft(
        message,
        fingerprint,
        spelt.get("client_message_id", ""),
        content.parts_saved,
        content.characters_cut,
        content.text_cut,
        tuple(former),
        given.get("repeat", False),
        template=template,
        opt_out=line.scope if line and content.line_parts is not None else "",
        opt_out_parts=content.line_parts or 0,
        is_ucs2_requested=given.get("unicode", False),
        other_id=ids.other,
        alphabet=alphabet,
    )


_TO = fields.BY_SPELLING["to"]
_NEWER = frozenset({"message_class", "handset_receipt"})  # fields that a worker of schema 1 would leave out
_COPIED = frozenset(Message.__struct_fields__) & {field.name for field in fields.FIELDS} - {
    "to",
    "text",
    "producer",
}


def _read(raw: Mapping[str, Any], reading: Reading) -> tuple[dict[str, Any], dict[str, str]] | Refusal:
    """Parse each field; return the values and the spellings by field, or the first refusal."""
    given: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    if "country" in raw:
        own = None if raw["country"] is None else fields.country(raw["country"], "country")
        if isinstance(own, Refusal):
            return own
        reading, raw = own or reading, {name: value for name, value in raw.items() if name != "country"}
    for spelling, value in raw.items():
        field = fields.BY_SPELLING.get(spelling) or fields.named(spelling)
        if field is None:
            return no_field.refuse(spelling)
        if value is None:
            continue
        if field.name in given:
            return invalid(spelling, f"{field.name} is given twice", "give it once")
        parsed = field.parse(value, spelling) if field is not _TO else phone.parse(value, spelling, reading)
        if isinstance(parsed, Refusal):
            return parsed
        given[field.name], spelt[field.name] = parsed, spelling
    if "to" not in given:
        return Refusal(
            code=Code.DESTINATION,
            field="to",
            problem="the recipient is missing",
            remedy="give a number, as in 27831234567",
        )
    return words.settle(given, spelt) or (given, spelt)


def _compose(given: dict[str, Any]) -> str:
    """Put the text of a message into NFC; returns it as it was given."""
    as_given: str = given.get("text", "")
    if as_given:
        given["text"] = composed(as_given)
    return as_given


def _filled(given: Mapping[str, Any], spelt: Mapping[str, str], wording: Wording) -> Filled | Refusal:
    """Return the text of the template that a message names, with its values."""
    if both := next((name for name in ("text", "binary") if given.get(name)), None):
        named = spelt.get("template") or spelt["values"]
        return invalid(named, f"a template and a {both}", "give one of the two")
    if "template" not in given:
        return invalid(spelt["values"], "values, and no template", "also give the name of its template")
    filled = wording.fill(given["template"], given.get("values", {}), spelt)
    if isinstance(filled, Refusal):
        return filled
    text = fields.text(filled.text, spelt["template"])
    return text if isinstance(text, Refusal) else filled._replace(text=composed(text))


def _line(given: Mapping[str, Any], wording: Wording) -> OptOutLine | Refusal | None:
    """Return the opt-out line of a message; binary data has none."""
    return None if given.get("binary") else wording.line(given.get("lane", 3), given.get("tags", ()))


# A field with its default value is the same content as an absent one.
# fmt: off
_DEFAULTS: dict[str, Any] = {
    "lane": 3, "channel": "sms", "callback": 7, "max_message_parts": 3, "type": "text", "delay": 0,
    "escalate": False, "mo": False, "unicode": False, "bypass_dnc": False, "look_alikes": False, "at_gateway": False,
    "legal_notice": False, "plain_accents": False,
    "text": "", "binary": "", "udh": "", "tags": (), "values": {}, "on_doubt": "resend", "on_too_long": "refuse",
}
# fmt: on


_NO_CONTENT = ("client_message_id", "producer", "repeat")  # part of the id, or not of the message


def _fingerprints(given: Mapping[str, Any], text_as_given: str) -> list[str]:
    """Return the fingerprint of the content, and those of earlier versions.

    They had a former spelling of the number, and the text before its normalisation: as it is given now, or decomposed.
    """
    numbers, text = spellings(given["to"]), given.get("text", "")
    former = [{**given, "to": number} for number in numbers[1:]]
    for other in {text_as_given, text if text.isascii() else decomposed(text)} - {text}:
        former += [{**given, "to": number, "text": other} for number in numbers]
    return [_fingerprint(one) for one in (given, *former)]


def former_fingerprints(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """Return the fingerprints that this and earlier versions give a message with these fields; None removes a field.

    Empty for an invalid message; digits without + are read as an international number.
    """
    read = _read(raw, INTERNATIONAL)
    if isinstance(read, Refusal):
        return []
    given = {name: value for name, value in {**read[0], **changes}.items() if value is not None}
    return _fingerprints(given, _compose(given))


def _fingerprint(given: Mapping[str, Any]) -> str:
    content = sorted(
        (key, value)
        for key, value in given.items()
        if key not in _NO_CONTENT and (key not in _DEFAULTS or value != _DEFAULTS[key])
    )
    return blake2b(msgspec.json.encode(content), digest_size=9).hexdigest()
