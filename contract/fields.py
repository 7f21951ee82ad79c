"""Fields: the name, type and range of every field of a message, as one table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from threelane.contract import kinds, phone, quantity, reading, schedule, senders, template_fields
from threelane.contract.refusal import Code, Refusal, invalid

Parsed = Any  # the result of a field's parser: a value of the field's type, or Refusal
Parser = Callable[[Any, str], Parsed]

LANES = (1, 2, 3)
MAX_TEXT = 100_000  # characters; longer ones, some 600 parts, are refused without parsing
MAX_OCTETS = 10_000  # of binary data and headers; longer ones are refused without parsing
MAX_TAGS = 10
CREDIT_LIMITS = ("0.8", "1", "1.5", "2", "2.5", "3")
FEATURE_BITS = 1 | 2 | 4 | 8 | 16 | 32 | 512 | 8192 | 16384
WEEK_SECONDS = 7 * 24 * 3600
LEAST_RETRY_SECONDS = 1.0  # between two attempts: faster ones would use up the fleet for one message
MAX_HEADER = 130  # octets; the text needs the rest of the SMS

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}")
"""The name of a producer, a cost centre or a tag."""
MAX_BATCH_NAME = 255  # characters, as in the name of a file
BATCH_NAME = rf"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{{1,{MAX_BATCH_NAME}}}"
"""The name of a batch, as far as a pattern describes it; ``batch_name`` checks the rest."""

WHOLE, NUMBER, WORD = ("integer", "string"), ("number", "string"), ("string",)
SWITCH, NAME = ("integer", "boolean", "string"), ("string", "integer")
ON = "1"  # of ``binary``: the octets are in the text or in ``data``; no octets are written with one digit
UCS_2 = "ucs-2"  # of ``charset``

_CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_NOT_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # Persian, Hindi and emojis need them
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


class Form(NamedTuple):
    """A name under which the gateway writes the values of a field in another form."""

    name: str
    parse: Parser
    json_types: tuple[str, ...]
    example: Any
    meaning: str  # Markdown


class FieldSpec(NamedTuple):
    """One field of a message: its names, its parser and its documentation."""

    name: str
    gateway_name: str
    parse: Parser
    aliases: tuple[str, ...]
    json_types: tuple[str, ...]
    example: Any
    codes: str  # of a refusal
    meaning: str  # Markdown
    forms: tuple[Form, ...] = ()


def whole(low: int, high: int) -> Parser:
    """Return a parser of whole numbers in a range."""

    def parse(raw: Any, field: str) -> Parsed:
        value = _integer(raw)
        if value is None or not low <= value <= high:
            return invalid(field, f"{_shown(raw)} is not a whole number from {low} to {high}", "correct it")
        return value

    return parse


def one_of(*values: str, also: dict[str, str] | None = None) -> Parser:
    """Return a parser of a closed set of words; ``also`` maps other spellings to them."""
    spellings = {value: value for value in values} | (also or {})

    def parse(raw: Any, field: str) -> Parsed:
        value = spellings.get(str(raw).strip().lower()) if isinstance(raw, str) else None
        if value is None:
            return invalid(field, f"{_shown(raw)} is not known", f"give {' or '.join(values)}")
        return value

    return parse


def seconds(raw: Any, field: str) -> Parsed:
    """Parse a positive number of seconds, up to a week."""
    value = quantity.number(raw)
    if value is None or not 0 < value <= WEEK_SECONDS:
        return invalid(field, f"{_shown(raw)} is not a number of seconds", "give more than 0, up to a week")
    return value


def retry_seconds(raw: Any, field: str) -> Parsed:
    """Parse the seconds between two attempts: at least one, up to a week."""
    value = seconds(raw, field)
    if not isinstance(value, Refusal) and value < LEAST_RETRY_SECONDS:
        return invalid(field, f"{_shown(raw)} is too often", "give 1 second or more, up to a week")
    return value


def text(raw: Any, field: str) -> Parsed:
    """Parse the text; line ends become LF, which takes one septet."""
    if not isinstance(raw, str):
        return invalid(field, f"expected a string, got {type(raw).__name__}", "give a string")
    if len(raw) > MAX_TEXT:
        return Refusal(
            code=Code.PARTS,
            field=field,
            problem=f"{len(raw):,} characters",
            remedy="three parts hold at most 459 characters, 201 outside the GSM alphabet",
        )
    body = raw.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in body:
        return Refusal(
            code=Code.UNICODE,
            field=field,
            problem="the text contains a NUL character",
            remedy="remove the character U+0000",
        )
    return body


def client_id(raw: Any, field: str) -> Parsed:
    """Parse the client message id: letters and digits only, as the gateway requires."""
    if not isinstance(raw, str) or not _CLIENT_ID.fullmatch(raw):
        return Refusal(
            code=Code.TIME_OR_CLIENT_ID,
            field=field,
            problem=f"{_shown(raw)} is not a valid client message id",
            remedy="use 1 to 32 letters and digits; a UUID without dashes fits",
        )
    return raw


def octets(code: Code) -> Parser:
    """Return a parser of octets, given as bytes or as pairs of hexadecimal digits, that returns hexadecimal."""

    def parse(raw: Any, field: str) -> Parsed:
        if isinstance(raw, str | bytes | bytearray) and len(raw) > (2 if isinstance(raw, str) else 1) * MAX_OCTETS:
            return Refusal(
                code=Code.UDH if code is Code.UDH else Code.PARTS,
                field=field,
                problem=f"more than {MAX_OCTETS:,} octets",
                remedy="three parts hold at most 420 octets, including the header",
            )
        value = bytes(raw).hex() if isinstance(raw, bytes | bytearray) else raw
        if isinstance(value, str) and not value:
            return ""
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            return Refusal(
                code=code,
                field=field,
                problem="not pairs of hexadecimal digits",
                remedy="write pairs of digits, as in 06050415810000",
            )
        return value.lower()

    return parse


def binary(raw: Any, field: str) -> Parsed:
    """Parse 8-bit data, or the gateway's switch: 0 means none, and 1 that the text or ``data`` has the octets."""
    if isinstance(raw, bool | int | str) and (known := _BINARY_SWITCH.get(str(raw).strip().lower())) is not None:
        return known
    return octets(Code.INVALID)(raw, field)


_BINARY_SWITCH = {"0": "", "false": "", "1": ON, "true": ON}


def is_hexadecimal(text: str) -> bool:
    """Return whether a text is pairs of hexadecimal digits."""
    return _HEX.fullmatch(text) is not None


def charset(raw: Any, field: str) -> Parsed:
    """Parse the name of a charset; a text is Unicode here, so only UCS-2 has an effect."""
    known = _CHARSETS.get(raw.strip().lower().replace("_", "-")) if isinstance(raw, str) else None
    if known is None:
        return invalid(field, f"{_shown(raw)} is not a known charset", "leave it out: the text is Unicode")
    return known


_CHARSETS = {
    **dict.fromkeys(("ascii", "us-ascii", "utf-8", "utf8", "iso-8859-1", "latin1", "windows-1252", "cp1252"), "text"),
    **dict.fromkeys(("ucs-2", "ucs2", "ucs2-be", "ucs-2be", "utf-16be", "utf-16"), UCS_2),
}


def header(raw: Any, field: str) -> Parsed:
    """Parse a user data header, whose first octet is the length of the rest."""
    value = octets(Code.UDH)(raw, field)
    if isinstance(value, Refusal) or not value:
        return value
    length = len(value) // 2
    if length > MAX_HEADER:
        return Refusal(
            code=Code.UDH,
            field=field,
            problem=f"{length} octets",
            remedy=f"give at most {MAX_HEADER}: header and text share the 140 octets of an SMS",
        )
    if int(value[:2], 16) != length - 1:
        return Refusal(
            code=Code.UDH,
            field=field,
            problem=f"the first octet is {int(value[:2], 16)}, but {length - 1} octets follow",
            remedy="set the first octet to the length of the rest",
        )
    return value


def credit_limit(raw: Any, field: str) -> Parsed:
    """Parse the credit limit of the message, one of the gateway's steps."""
    credits = quantity.number(raw)
    value = "" if credits is None else f"{credits:g}"
    if value not in CREDIT_LIMITS:
        return invalid(field, f"{_shown(raw)} is not a valid limit", f"give one of {', '.join(CREDIT_LIMITS)}")
    return value


def features(raw: Any, field: str) -> Parsed:
    """Parse the bit mask of features that a route must have."""
    value = _integer(raw)
    if value is None or value < 0 or value & ~FEATURE_BITS:
        return invalid(field, f"{_shown(raw)} has unknown bits", "give a sum of 1 2 4 8 16 32 512 8192 16384")
    return value


def country(raw: Any, field: str) -> Parsed:
    """Parse a country; returns how its national numbers are read, or None for an empty value."""
    if raw == "":
        return None
    if not isinstance(raw, str):
        problem = f"{_shown(raw)} is not a country"
        return Refusal(code=Code.DESTINATION, field=field, problem=problem, remedy="write two letters, as in ZA")
    try:
        return reading.national_of(raw)
    except ValueError as wrong:
        problem, remedy = re.split("[:;] ", str(wrong), maxsplit=1)
        return Refusal(code=Code.DESTINATION, field=field, problem=problem, remedy=remedy)


def label(raw: Any, field: str) -> Parsed:
    """Parse the name of a cost centre or a producer."""
    value = raw.strip() if isinstance(raw, str) else ""
    if not LABEL.fullmatch(value):
        return invalid(field, f"{_shown(raw)} is not a valid name", "up to 64 letters, digits, spaces and . _ : / -")
    return value


def batch_name(raw: Any, field: str) -> Parsed:
    """Parse the name of a batch: 1 to 255 characters of any script, in NFC, as names of files are."""
    if not isinstance(raw, str):
        return invalid(field, f"{_shown(raw)} is not a name", "give 1 to 255 characters")
    value = unicodedata.normalize("NFC", raw[: 4 * MAX_BATCH_NAME]).strip()
    if not 0 < len(value) <= MAX_BATCH_NAME or len(raw) > 4 * MAX_BATCH_NAME:
        return invalid(field, f"{len(raw):,} characters", "give 1 to 255 characters")
    hidden = next((one for one in value if unicodedata.category(one) in _NOT_IN_NAMES and one not in _JOINERS), "")
    if hidden:
        return invalid(field, f"the name has the invisible character U+{ord(hidden):04X}", "leave it out")
    return value


def known_batch_name(raw: str) -> str:
    """Return the name of a batch as it is stored; raises ValueError with the problem and the remedy."""
    name = batch_name(raw, "name")
    if isinstance(name, Refusal):
        raise ValueError(f"{name.problem}; {name.remedy}")
    return str(name)


def tags(raw: Any, field: str) -> Parsed:
    """Parse up to 10 tags, given as a list or as one comma-separated string."""
    given = raw.split(",", 2 * MAX_TAGS) if isinstance(raw, str) else raw
    if not isinstance(given, Iterable) or isinstance(given, Mapping | bytes | bytearray):
        return invalid(field, f"{_shown(raw)} is not a list", "give a list of names")
    ordered = sorted(given, key=str) if isinstance(given, set | frozenset) else given
    parsed = [label(tag, field) for tag in islice(ordered, 2 * MAX_TAGS + 1) if tag != ""]
    if len(parsed) > MAX_TAGS:
        return invalid(field, f"more than {MAX_TAGS} tags", f"give at most {MAX_TAGS}")
    return next((tag for tag in parsed if isinstance(tag, Refusal)), tuple(parsed))


def yes_or_no(raw: Any, field: str) -> Parsed:
    """Parse a switch: 0 or 1, false or true."""
    value = {"0": False, "1": True, "false": False, "true": True}.get(str(raw).strip().lower())
    if value is None:
        return invalid(field, f"{_shown(raw)} is neither 0 nor 1", "give 0 or 1")
    return value


def _integer(raw: Any) -> int | None:
    if isinstance(raw, str):
        text = raw.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _shown(raw: Any) -> str:
    try:
        shown = repr(raw)
    except ValueError:  # more digits than Python converts
        shown = "a number with thousands of digits"
    return shown if len(shown) <= 40 else shown[:37] + "..."


# fmt: off
GATEWAY_FIELDS = (  # with the gateway's names, from its documents
    FieldSpec("to", "to", phone.parse, (), (*NUMBER, "array"), "+27 83 123 4567", "105",
              "recipient: an international number, or a national one of `country` or of the setting "
               "[numbers](numbers.md); spaces, dashes and digits of any script are normalised; a list of one number, "
               "too"),
    FieldSpec("text", "text", text, ("content",), WORD, "Your code is 4711", "101, 107, 113, 116",
              "any text; hexadecimal only with `binary`=1, not with `unicode`=1; parts are counted as for concatenated "
               "SMS, in GSM-7 or UCS-2"),
    FieldSpec("sender", "from", senders.parse, ("from_",), NAME, "ACME", "106",
              "sender ID: an international number or a short code, up to 16 digits without a leading 0, or a "
               "registered name of 2 to 11 characters with a letter"),
    FieldSpec("client_message_id", "clientMessageId", client_id, ("cliMsgId", "climsgid", "client_id"), WORD,
              "login4711", "120",
              "your own id, up to 32 letters and digits; repeating a call with the same id never sends the message "
               "twice"),
    FieldSpec("max_message_parts", "maxMessageParts", whole(1, 3), ("concat", "max_parts"), WHOLE, 3, "101",
              "maximum number of parts, 1 to 3; default 3"),
    FieldSpec("lane", "userPriorityQueue", whole(1, 3), ("user_priority_queue", "queue"), WHOLE, 1, "101",
              "1 (first), 2 or 3; default 3"),
    FieldSpec("callback", "callback", whole(0, 7), (), WHOLE, 7, "101",
              "which statuses the gateway reports, 0 to 7; default 7 (all)"),
    FieldSpec("escalate", "escalate", yes_or_no, (), SWITCH, 0, "101",
              "1: use a more expensive route when the cheap one is slow"),
    FieldSpec("max_credits", "maxCredits", credit_limit, (), NUMBER, 1, "101",
              "limit for the gateway on the cost: 0.8, 1, 1.5, 2, 2.5 or 3 credits; whether of a message or of a part "
               "is [not documented](credits.md#a-limit-on-the-cost), and estimates are not compared with it"),
    FieldSpec("type", "type", kinds.parse, ("msg_type",), WORD, "text", "107, 112",
              "`text`, `flash`, or an [old type](texts.md#old-types) of 8-bit data: " +
               ", ".join(f"`{name}`" for name in kinds.OLD)),
    FieldSpec("channel", "channel", one_of("sms", "whatsapp"), (), WORD, "sms", "101",
              "`sms` or [`whatsapp`](texts.md#whatsapp); the latter on the One API only"),
    FieldSpec("mo", "mo", yes_or_no, (), SWITCH, 0, "101", "1: only routes on which the recipient can reply"),
    FieldSpec("required_features", "requiredFeatures", features, ("req_feat",), WHOLE, 1, "101",
              "features the route must have, as a bit mask: the sum of any of 1, 2, 4, 8, 16, 32, 512, 8192, 16384"),
    FieldSpec("deliver_at", "scheduledDeliveryTime", schedule.instant, ("scheduled_delivery_time",), WORD,
              "2031-06-30T14:00:00Z", "120",
               "a timezone-aware datetime, or ISO 8601 with an offset, at most 7 days ahead",
               (Form("scheduled_time", schedule.unix_seconds, WHOLE, 1940596200, "the same as Unix time in seconds"),)),
    FieldSpec("unicode", "unicode", yes_or_no, (), SWITCH, 0, "101", "1: always UCS-2; 0: GSM-7 if the text allows it"),
    FieldSpec("udh", "udh", header, ("userDataHeader",), WORD, "06050415810000", "102",
              "user data header, hexadecimal"),
    FieldSpec("binary", "binary", binary, (), (*NAME, "boolean"), "4a3b", "101, 113",
              "8-bit data instead of text, hexadecimal; in Python, `bytes` also works; or the gateway's switch: with 1 "
               "the text, or `data`, is the data, hexadecimal"),
    FieldSpec("message_class", "mclass", whole(0, 3), (), WHOLE, 1, "101",
              "class of 8-bit data on the handset, 0 to 3; HTTP API only"),
    FieldSpec("handset_receipt", "deliv_ack", yes_or_no, (), SWITCH, 1, "101",
              "1: the networks report the handset's receipt; default 1 with a `callback`, 0 without one"),
    FieldSpec("validity_period", "validityPeriod", whole(1, schedule.MAX_VALIDITY_MINUTES), ("validity",), WHOLE, 60,
              "101, 120",
               "how many minutes from now the message stays valid; it is not sent later; default: until one day after "
               "its delivery time"),
    FieldSpec("bypass_dnc", "bypassDNCCheck", yes_or_no, ("bypass_dnc_check",), SWITCH, 0, "101",
              "1: skip the gateway's do-not-contact check; the producer needs the bypass right; REST API only"),
)
OWN_FIELDS = (  # of Threelane
    FieldSpec("country", "country", country, (), WORD, "ZA", "105",
              "country of a national number in `to`, two letters of ISO 3166; a number with `+` or `00` ignores it"),
    FieldSpec("template", "template", template_fields.parse_reference, (), WORD, "order-shipped@2", "101",
              "name of a stored [template](templates.md), instead of a text: `order-shipped@2` is its version 2, "
               "`order-shipped` the newest"),
    FieldSpec("values", "values", template_fields.parse_values, (), ("object", "string"), {"name": "Ana"}, "101",
              "a value for each placeholder of the template, or the same as JSON text"),
    FieldSpec("delay", "delay", schedule.wait, (), NUMBER, 90, "120", "seconds to wait, instead of a delivery time",
              (Form("deliv_time", schedule.wait_minutes, WHOLE, 15, "the same in minutes, 0 to 10080"),)),
    FieldSpec("at_gateway", "atGateway", yes_or_no, (), SWITCH, 0, "101",
              "1: submit now; Clickatell delivers within 5 minutes of the delivery time"),
    FieldSpec("cost_centre", "costCentre", label, ("cost_center", "costCenter"), WORD, "logins", "101",
              "cost centre: up to 64 letters, digits, spaces and . _ : / -"),
    FieldSpec("producer", "producer", label, (), WORD, "shop", "101",
              "name of the sending service, same characters and length as `cost_centre`; an API key can use only its "
               "own producer"),
    FieldSpec("tags", "tags", tags, (), ("array", "string"), ["login"], "101",
              "up to 10 names, for sending windows, suppression and cancelling"),
    FieldSpec("batch", "batch", batch_name, (), WORD, "newsletter-7", "101",
              "name of a job, to count, report or cancel its messages: 1 to 255 characters of any script; see "
               "[batches](batches.md)"),
    FieldSpec("legal_notice", "legalNotice", yes_or_no, (), SWITCH, 0, "101",
              "1: also send to suppressed recipients; the producer needs the bypass right"),
    FieldSpec("on_doubt", "onDoubt", one_of("resend", "hold", "drop"), (), WORD, "resend", "101",
              "what to do if no look-up finds a message in doubt: `resend`, `hold` or `drop`"),
    FieldSpec("on_too_long", "onTooLong", one_of("refuse", "cut"), (), WORD, "refuse", "101",
              "what to do if the text is too long: `refuse` or [`cut`](texts.md#too-long)"),
    FieldSpec("look_alikes", "lookAlikes", yes_or_no, (), SWITCH, 0, "101",
              "1: replace quotes, dashes, spaces and what else [reads the same](texts.md#look-alikes) if that keeps "
              "the text in GSM-7"),
    FieldSpec("plain_accents", "plainAccents", yes_or_no, (), SWITCH, 0, "101",
              "1: also write letters without the accents that GSM-7 lacks (ã as a; é stays) if that keeps the text in "
              "GSM-7"),
    FieldSpec("repeat", "repeat", yes_or_no, (), SWITCH, 0, "101",
              "1: the same text goes to the same number again on purpose, so the limit `same-text` does not apply"),
    FieldSpec("retry_every", "retryEvery", retry_seconds, (), NUMBER, 60, "101",
              "seconds between attempts, 1 or more, instead of the policy's back-off"),
    FieldSpec("stop_retrying_after", "stopRetryingAfter", seconds, (), NUMBER, 3600, "101",
              "seconds after the first attempt without a further one; the policy's number of attempts still applies"),
)
WORDS = (  # of the gateway, for what fields above say; words.py brings them into their form
    FieldSpec("data", "data", octets(Code.INVALID), (), WORD, "4a3b", "101, 113",
              "8-bit data instead of text, hexadecimal: the same as `binary`"),
    FieldSpec("charset", "charset", charset, (), WORD, "UTF-8", "101",
              "charset of the text; it is Unicode here, so only `UCS2-BE` and `UTF-16BE` have an effect: that of "
               "`unicode`=1"),
)
# fmt: on
FIELDS = (*GATEWAY_FIELDS, *OWN_FIELDS)
"""Every field of a message: source of the parsers, the OpenAPI description and docs/fields.md."""

BY_SPELLING: dict[str, FieldSpec] = {
    spelling: field for field in (*FIELDS, *WORDS) for spelling in (field.name, field.gateway_name, *field.aliases)
} | {
    form.name: field._replace(parse=form.parse, json_types=form.json_types, example=form.example, meaning=form.meaning)
    for field in FIELDS
    for form in field.forms
}
"""Each field by each of its names; under the name of another form, with the parser of that form."""

OF_GATEWAY = frozenset(
    spelling for field in (*GATEWAY_FIELDS, *WORDS) for spelling in (field.gateway_name, *field.aliases)
) | {form.name for field in FIELDS for form in field.forms}
"""The names by which the gateway knows the fields; they match in any case."""

_BY_ANY_CASE = {spelling.lower(): BY_SPELLING[spelling] for spelling in OF_GATEWAY}


def named(spelling: Any) -> FieldSpec | None:
    """Return the field of a name: ours as it is, the gateway's in any case; None for an unknown one."""
    if found := BY_SPELLING.get(spelling):
        return found
    return _BY_ANY_CASE.get(spelling.lower()) if isinstance(spelling, str) and len(spelling) <= 40 else None
