"""A message is parsed once at accept: every field by every name, every range, and the way into Redis and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.contract import fields, message
from threelane.contract.fields import BY_SPELLING, FIELDS
from threelane.contract.message import Draft, Message
from threelane.contract.message_id import identify
from threelane.contract.phone import Msisdn
from threelane.contract.refusal import Code, Refusal
from threelane.contract.schedule import DAY, HORIZON
from threelane.contract.text import Encoding
from threelane.contract.wording import Filled, Wording

NOW = 1_900_000_000_000
TO = "27831234567"
AT = datetime.fromtimestamp(NOW / 1000 + 3600, UTC)
HEADER = "06050415810000"

# a value for each field of the table, and what the message then has
# fmt: off
EXAMPLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "to":                  ("+27 83 123 4567", {"to": TO}),
    "text":                ("Hi\r\nthere", {"text": "Hi\nthere", "units": 8}),
    "country":             ("za", {"to": TO}),
    "sender":              (" +27 831-000 ", {"sender": "27831000"}),
    "client_message_id":   ("order4711", {"client_message_id": "order4711", "id": identify("", "order4711")}),
    "max_message_parts":   ("2", {"parts": 1}),
    "lane":                ("1", {"lane": 1}),
    "callback":            ("3", {"callback": 3}),
    "escalate":            ("1", {"escalate": True}),
    "max_credits":         ("1.50", {"max_credits": "1.5"}),
    "type":                (" Flash ", {"flash": True}),
    "channel":             ("whatsapp", {"channel": "whatsapp"}),
    "mo":                  (1, {"mo": True}),
    "required_features":   ("48", {"required_features": 48}),
    "deliver_at":          (AT, {"due_at": NOW + 3_600_000, "expires_at": NOW + 3_600_000 + DAY}),
    "unicode":             ("1", {"encoding": Encoding.UCS_2}),
    "udh":                 (HEADER.upper().lower(), {"udh": HEADER}),
    "message_class":       ("2", {"message_class": 2, "binary": "00ff", "schema": 2}),
    "handset_receipt":     ("0", {"handset_receipt": False, "schema": 2}),
    "binary":              ("00FF", {"binary": "00ff", "encoding": Encoding.BINARY, "units": 2, "text": ""}),
    "validity_period":     ("5", {"expires_at": NOW + 300_000}),
    "bypass_dnc":          ("true", {"bypass_dnc": True}),
    "delay":               (60, {"due_at": NOW + 60_000}),
    "cost_centre":         (" Billing/EU ", {"cost_centre": "Billing/EU"}),
    "producer":            ("shop", {"producer": "shop"}),
    "at_gateway":          ("1", {"at_gateway": True}),
    "batch":               ("May/7", {"batch": "May/7"}),
    "legal_notice":        (1, {"legal_notice": True}),
    "tags":                ("otp, login", {"tags": ("otp", "login")}),
    "on_doubt":            ("hold", {"on_doubt": "hold"}),
    "on_too_long":         ("cut", {"parts": 1}),
    "look_alikes":         ("1", {"text": "Hello"}),
    "plain_accents":       ("1", {"text": "Hello"}),
    "repeat":              ("1", {"text": "Hello"}),
    "template":            (" order-shipped@2 ", {"text": "Dear Ana, it comes"}),
    "values":              ('{"name": "Ana"}', {"text": "Dear Ana, it comes"}),
    "retry_every":         ("2.5", {"retry_every": 2.5}),
    "stop_retrying_after": (3600, {"stop_retrying_after": 3600.0}),
}
# under a name with a form of its own, or a word of the gateway
WORDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scheduled_time":      (str(NOW // 1000 + 3600), {"due_at": NOW + 3_600_000}),
    "deliv_time":          ("15", {"due_at": NOW + 900_000}),
    "data":                ("00FF", {"binary": "00ff", "encoding": Encoding.BINARY, "units": 2, "text": ""}),
    "charset":             ("UCS2-BE", {"text": "Hello", "encoding": Encoding.UCS_2}),
}
# fmt: on


NAMED = {"template": "order-shipped@2", "values": {"name": "Ana"}}


class OneTemplate(Wording):
    """The template order-shipped@2."""

    def fill(self, reference: str, values: Mapping[str, str], spelt: Mapping[str, str]) -> Filled | Refusal:
        if reference != NAMED["template"]:
            return super().fill(reference, values, spelt)
        return Filled(f"Dear {values['name']}, it comes", reference)


def parsed(**fields: Any) -> Draft | Refusal:
    """Parse a message that is valid except for these fields."""
    plain: dict[str, Any] = {} if {"binary", "data", "content", *NAMED} & fields.keys() else {"text": "Hello"}
    if NAMED.keys() & fields.keys():
        plain |= NAMED
    if {"message_class", "mclass"} & fields.keys():
        plain = {"binary": "00ff"}
    if {"at_gateway", "atGateway"} & fields.keys():
        plain["delay"] = 600
    to = f"+{TO}" if "country" in fields else TO  # a plus needs no country
    return message.parse({"to": to} | plain | fields, NOW, wording=OneTemplate())


def accepted(**fields: Any) -> Message:
    draft = parsed(**fields)
    assert isinstance(draft, Draft), draft
    return draft.message


def refused(**fields: Any) -> Refusal:
    answer = parsed(**fields)
    assert isinstance(answer, Refusal)
    assert answer.problem
    assert answer.remedy
    return answer


def test_no_field_of_the_table_is_left_out_here() -> None:
    """A field that is added to the product is added to these tests."""
    assert {field.name for field in FIELDS} == EXAMPLES.keys()


@pytest.mark.parametrize(("spelling", "name"), [(spelling, field.name) for spelling, field in BY_SPELLING.items()])
def test_every_field_is_understood_by_each_of_its_names(spelling: str, name: str) -> None:
    """Ours, the gateway's, and the names of other clients: all mean the same."""
    value, expected = WORDS.get(spelling) or EXAMPLES[name]
    sms = accepted(**{spelling: value})

    assert expected == {key: getattr(sms, key) for key in expected}


def test_no_two_fields_share_a_name() -> None:
    """Otherwise one of them could never be set."""
    spellings = {
        (spelling, field.name)
        for field in (*FIELDS, *fields.WORDS)
        for spelling in (field.name, field.gateway_name, *field.aliases, *(form.name for form in field.forms))
    }

    assert len(spellings) == len(BY_SPELLING)


@pytest.mark.parametrize("spelling", BY_SPELLING)
def test_a_refusal_names_the_field_as_its_caller_wrote_it(spelling: str) -> None:
    """People search for the name that is in their own code."""
    answer = refused(**{spelling: object()})

    assert spelling == answer.field


# fmt: off
AT_BOTH_ENDS = [
    ("lane", (1, 3), (0, 4), Code.INVALID), ("max_message_parts", (1, 3), (0, 4), Code.INVALID),
    ("callback", (0, 7), (-1, 8), Code.INVALID), ("validity_period", (1, 11_520), (0, 11_521), Code.INVALID),
    ("max_credits", (0.8, 3), (0.7, 3.5), Code.INVALID),
    ("required_features", (0, 25_151), (-1, 25_152), Code.INVALID),
    ("required_features", (1, 512), (64, 256), Code.INVALID),
    ("delay", (0, 604_800), (-1, 604_801), Code.TIME_OR_CLIENT_ID),
    ("retry_every", (1, 604_800), (0, 0.0001, 0.999, 604_801), Code.INVALID),
    ("stop_retrying_after", (1, 604_800), (-1, 10**400), Code.INVALID),
    ("client_message_id", ("a", "a" * 32), ("", "a" * 33), Code.TIME_OR_CLIENT_ID),
    ("sender", ("1", "1" * 16), ("", "1" * 17), Code.SENDER),
    ("sender", ("ab", "Eleven Char"), ("Twelve chars", "Café"), Code.SENDER),
    ("sender", ("1A", "O2 and Co"), ("...", "O-2 & Co."), Code.SENDER),
    ("sender", ("27820", 27820.0), ("00000", 0), Code.SENDER),
    ("sender", ("44770090012", "27820.0"), ("0044770090012", "0825551234"), Code.SENDER),
    ("sender", ('="27820"', "'27820"), ("1 - 2 .", "27820.5"), Code.SENDER),
    ("country", (" gb ", ""), ("UK", "South Africa"), Code.DESTINATION),
    ("country", ("AC", "XK"), (27, "27"), Code.DESTINATION),
    ("cost_centre", ("a", "a" * 64), ("", "a" * 65), Code.INVALID),
    ("producer", ("a", "a" * 64), ("-a", "a" * 65), Code.INVALID),
    ("tags", ([], ["a"] * 10), (["a"] * 11, 5), Code.INVALID),
    ("tags", ("a,b", ("a",)), ("a,-b", {"": 1, "-": 2}), Code.INVALID),
    ("escalate", (0, 1), (2, "yes"), Code.INVALID), ("escalate", (False, "TRUE"), (-1, "on"), Code.INVALID),
    ("type", ("text", "SMS_FLASH"), ("mms", 1), Code.TYPE),
    ("scheduled_time", (NOW // 1000, NOW // 1000 + 604_800), (NOW // 1000 - 2, NOW // 1000 + 604_801),
     Code.TIME_OR_CLIENT_ID),
    ("scheduled_time", (f"{NOW // 1000}", NOW // 1000 + 60), ("1e9", 10**20), Code.TIME_OR_CLIENT_ID),
    ("deliv_time", (0, "10080"), (-1, 10_081), Code.TIME_OR_CLIENT_ID),
    ("deliv_time", ("0", 15), ("1.5", True), Code.TIME_OR_CLIENT_ID),
    ("mclass", (0, "3"), (-1, 4), Code.INVALID), ("deliv_ack", (0, "1"), (2, "yes"), Code.INVALID),
    ("charset", ("utf-8", "ISO-8859-1"), ("klingon", 8), Code.INVALID),
    ("data", ("00", "FF" * 402), ("0", "xy"), Code.INVALID),
    ("on_doubt", ("resend", "drop"), ("retry", True), Code.INVALID),
    ("on_too_long", ("refuse", "CUT"), ("split", 0), Code.INVALID),
    ("udh", ("", "00"), ("0", "0605041581000"), Code.UDH), ("udh", ("0101", b"\x00"), ("0201", "zz"), Code.UDH),
    ("udh", ("00", "81" + "00" * 129), ("05", "82" + "00" * 130), Code.UDH),
    ("binary", ("00", b"\x00" * 402), ("000", "xy"), Code.INVALID),
]
# fmt: on


@pytest.mark.parametrize(("name", "inside", "outside", "code"), AT_BOTH_ENDS)
def test_a_range_holds_at_both_ends(name: str, inside: tuple[Any, Any], outside: tuple[Any, Any], code: Code) -> None:
    """The last value that is fine is accepted, the first that is not is refused with the gateway's code."""
    for value in inside:
        short = {"text": "a"} if name == "udh" else {}
        accepted(**{name: value} | short)
    for value in outside:
        assert (code, name) == ((answer := refused(**{name: value})).code, answer.field)


def test_a_whole_number_is_neither_a_fraction_nor_a_switch() -> None:
    """1.0 and True are mistakes of the caller's program, and are refused as such."""
    for value in (1.0, True, "1.0", "", " ", "²", "١"):
        assert Code.INVALID == refused(lane=value).code


def test_a_schedule_in_text_is_a_time_of_the_gateway() -> None:
    """ISO 8601, as JSON and CSV carry it."""
    assert NOW + HORIZON == accepted(scheduledDeliveryTime=(AT + timedelta(days=7, hours=-1)).isoformat()).due_at


def test_none_is_as_good_as_leaving_a_field_out() -> None:
    """Programs pass what they have; None means not given."""
    assert accepted(lane=None, sender=None, delay=None).lane == accepted().lane


@pytest.mark.parametrize(
    "spelling", [spelling for spelling in BY_SPELLING if spelling not in ("to", "text", "content")]
)
def test_null_is_as_good_as_leaving_any_field_out(spelling: str) -> None:
    """Programs write null for what they do not have; the API's description allows it for each field."""
    assert isinstance(message.parse({"to": "27831234567", "text": "x", spelling: None}, 1_900_000_000_000), Draft)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"to": None}, Code.DESTINATION, "to"),
        ({"text": None}, Code.EMPTY, "text"),
        ({"text": "\u00a0\n"}, Code.EMPTY, "text"),
        ({"text": 4711}, Code.INVALID, "text"),
        ({"text": "a" * 161, "concat": 1}, Code.PARTS, "text"),
        ({"text": "a" * 153, "udh": HEADER, "concat": 1}, Code.PARTS, "text"),
        ({"text": "a" * 71, "unicode": 1, "concat": 1}, Code.PARTS, "text"),
        ({"binary": "00" * 403}, Code.PARTS, "binary"),
        ({"binary": "00", "text": "a"}, Code.INVALID, "binary"),
        ({"data": "00", "text": "a"}, Code.INVALID, "data"),
        ({"data": "00", "binary": "00"}, Code.INVALID, "data"),
        ({"data": "00", "binary": 1, "text": "00"}, Code.INVALID, "binary"),
        ({"binary": 1, "text": "Hello"}, Code.INVALID, "text"),
        ({"binary": 1, "content": "000"}, Code.INVALID, "content"),
        ({"binary": 1, "text": ""}, Code.EMPTY, "text"),
        ({"binary": 1, "text": "00" * 403}, Code.PARTS, "text"),
        ({"data": "00" * 403}, Code.PARTS, "data"),
        ({"data": "00", "from": "Shop"}, Code.SENDER, "from"),
        ({"type": "SMS_NOKIA_OLOGO", "text": "Hello"}, Code.INVALID, "text"),
        ({"msg_type": "SMS_NOKIA_CLEAN", "text": None}, Code.EMPTY, "msg_type"),
        ({"type": "SMS_NOKIA_RTTL", "text": "Zoë:d=4"}, Code.INVALID, "text"),
        ({"type": "SMS_NOKIA_OLOGO", "data": "00", "udh": HEADER}, Code.INVALID, "udh"),
        ({"type": "SMS_NOKIA_OLOGO", "data": "00" * 385}, Code.PARTS, "data"),
        ({"scheduled_time": NOW // 1000 + 60, "deliv_time": 5}, Code.TIME_OR_CLIENT_ID, "delay"),
        ({"cliMsgId": "1", "CLIMSGID": "1"}, Code.INVALID, "CLIMSGID"),
        ({"binary": "00", "from_": "Shop"}, Code.SENDER, "from_"),
        ({"validity": 5, "delay": 300}, Code.TIME_OR_CLIENT_ID, "validity"),
        ({"delay": 5, "deliver_at": AT}, Code.TIME_OR_CLIENT_ID, "delay"),
        ({"colour": "red"}, Code.INVALID, "colour"),
        ({"x" * 1000: 1}, Code.INVALID, "x" * 40),
        ({"\udce9": 1}, Code.INVALID, "\\udce9"),
        ({"lane": 1, "queue": 1}, Code.INVALID, "queue"),
        ({"from": "1", "sender": "1"}, Code.INVALID, "sender"),
    ],
)
def test_fields_that_exclude_each_other_are_refused(fields: dict[str, Any], code: Code, field: str) -> None:
    """Each field may be fine alone."""
    answer = refused(**fields)

    assert (code, field) == (answer.code, answer.field)


def test_a_long_header_is_refused_with_the_reason() -> None:
    """Its first octet is right; but it leaves no room for a text."""
    assert "131 octets" == refused(udh="82" + "00" * 130).problem


def test_the_gateways_switch_for_binary_means_none_at_zero() -> None:
    """binary=0 beside a text is what the gateway's own clients send."""
    assert "Hello" == accepted(text="Hello", binary="0").text


def test_a_cut_reports_how_many_characters_it_removed() -> None:
    """The caller requested it, and can still warn its user."""
    draft = parsed(text="one two " * 60, onTooLong="cut")

    assert isinstance(draft, Draft)
    assert (3, ("one two " * 60)[:459].rstrip(), 21) == (draft.message.parts, draft.message.text, draft.characters_cut)
    assert "two one two one two" == draft.text_cut


def test_look_alikes_report_the_parts_that_they_save() -> None:
    """One curly quote costs a text of 150 characters two parts."""
    draft = parsed(text="’" + "a" * 149, lookAlikes=1)

    assert isinstance(draft, Draft)
    assert (1, Encoding.GSM_7, 2) == (draft.message.parts, draft.message.encoding, draft.parts_saved)


@pytest.mark.parametrize(
    ("text", "more"), [("’" + "ж" * 100, {}), ("’" + "a" * 100, {"unicode": 1}), ("’" + "a" * 100, {"lookAlikes": 0})]
)
def test_look_alikes_change_nothing_where_nothing_is_saved(text: str, more: dict[str, Any]) -> None:
    """A text that stays in UCS-2 keeps its characters unchanged."""
    assert text == accepted(**{"text": text, "lookAlikes": 1} | more).text


def test_an_id_hangs_on_the_producer_and_its_own_id_alone() -> None:
    """So a repeated call finds the message, and two producers that count from 1 do not meet."""
    assert identify("shop", "1") == identify("shop", "1")
    assert identify("shop", "1") != identify("bank", "1")
    assert identify("ab", "c") != identify("a", "bc")
    assert accepted(clientMessageId="1", producer="shop").id == identify("shop", "1")


def test_messages_without_a_client_id_have_ids_of_their_own() -> None:
    """32 letters and digits, a valid client message id of the gateway."""
    first, second = accepted().id, accepted().id

    assert first != second
    assert 32 == len(first)
    assert first.isalnum()


# fmt: off
SAME_CONTENT = [
    ({"lane": 3}, {}), ({"lane": "2"}, {"userPriorityQueue": 2}), ({"to": "+27 83 123 4567"}, {}),
    ({"escalate": 0}, {}), ({"type": "SMS_TEXT"}, {}), ({"text": "a\r\nb"}, {"text": "a\nb"}),
    ({"delay": 60}, {"delay": "60"}),
    ({"binary": 1, "text": "00FF"}, {"binary": "00ff", "text": None}),
    ({"data": "4A", "text": None}, {"binary": "4a", "text": None}),
    ({"deliv_time": 1}, {"delay": 60}), ({"deliv_ack": 1}, {}), ({"callback": 0, "deliv_ack": 0}, {"callback": 0}),
    ({"scheduled_time": NOW // 1000 + 3600}, {"deliver_at": AT}), ({"to": [TO]}, {}), ({"charset": "UTF-8"}, {}),
    ({"type": "SMS_NOKIA_VCARD", "text": "a\nb"}, {"msg_type": "SMS_NOKIA_VCARD", "data": "610d0a62", "text": None}),
    ({"tags": "a,b"}, {"tags": ["a", "b"]}), ({"callback": 7, "concat": 3, "delay": 0}, {}),
]
OTHER_CONTENT = [
    ({"text": "Bye"}, {}), ({"to": "27831234568"}, {}), ({"lane": 1}, {}), ({"delay": 60}, {"delay": 61}),
    ({"sender": "Shop"}, {}), ({"callback": 0}, {}), ({"validity": 5}, {}), ({"deliver_at": AT}, {}),
    ({"required_features": 0}, {}), ({"deliv_ack": 0}, {}), ({"charset": "UTF-16BE"}, {}), ({"type": "flash"}, {}),
]
# fmt: on


def fingerprint(fields: dict[str, Any], now: int = NOW) -> str:
    draft = message.parse({"to": TO, "text": "Hello", "clientMessageId": "1"} | fields, now)
    assert isinstance(draft, Draft)
    return draft.fingerprint


@pytest.mark.parametrize(("fields", "again"), SAME_CONTENT)
def test_the_same_content_has_the_same_fingerprint(fields: dict[str, Any], again: dict[str, Any]) -> None:
    """A repeated call may come through another interface: Python first, then a file."""
    assert fingerprint(fields) == fingerprint(again)


@pytest.mark.parametrize(("fields", "again"), OTHER_CONTENT)
def test_other_content_has_another_fingerprint(fields: dict[str, Any], again: dict[str, Any]) -> None:
    """Otherwise a second message would be swallowed as a repetition of the first."""
    assert fingerprint(fields) != fingerprint(again)


def test_a_delay_is_the_same_content_a_minute_later() -> None:
    """The repetition has the same fields, though it would now be due at another time."""
    assert fingerprint({"delay": 60}, NOW) == fingerprint({"delay": 60}, NOW + 60_000)


words = some.text(some.characters(exclude_categories=("Cs",)), max_size=60)
switches = some.booleans()
moments = some.integers(0, 2**53)
messages = some.builds(
    Message,
    id=words,
    to=some.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True).map(Msisdn),
    expires_at=moments,
    text=words,
    encoding=some.sampled_from(Encoding),
    units=some.integers(0, 459),
    parts=some.integers(1, 3),
    lane=some.integers(1, 3),
    due_at=moments,
    sender=words,
    callback=some.integers(0, 7),
    escalate=switches,
    max_credits=words,
    flash=switches,
    required_features=some.none() | some.integers(0, 25_151),
    udh=words,
    tags=some.lists(words, max_size=10).map(tuple),
    retry_every=some.none() | some.floats(1, 604_800),
)


@settings(deadline=None)
@given(messages)
def test_a_message_comes_back_from_redis_as_it_went_in(sms: Message) -> None:
    """The record's body is the whole message: a worker reads what the producer wrote."""
    assert sms == message.decode(message.encode(sms))


anything = (
    some.none()
    | switches
    | some.integers()
    | some.floats()
    | some.text(some.characters(), max_size=200)
    | some.binary(max_size=20)
    | some.datetimes()
    | some.timedeltas()
    | some.lists(some.text(max_size=5) | some.none(), max_size=12)
    | some.dictionaries(some.text(max_size=3), some.integers(), max_size=2)
)


@settings(deadline=None)
@given(
    some.dictionaries(
        some.sampled_from(sorted(BY_SPELLING)) | some.text(some.characters(), max_size=9), anything, max_size=5
    )
)
def test_any_input_is_accepted_or_refused(fields: dict[str, Any]) -> None:
    """No input raises, and every accepted message can be stored."""
    answer = message.parse({"to": TO, "text": "Hello"} | fields, NOW)

    if isinstance(answer, Draft):
        stored = msgspec.structs.replace(answer.message, **message._BESIDE_BODY)  # what is not in fields of its own
        assert stored == message.decode(message.encode(answer.message))
        assert 1 <= answer.message.parts <= 3
    else:
        assert answer.problem
        assert answer.remedy
        answer.field.encode()  # so that it can be printed and logged


def test_two_processes_of_one_beginning_draw_no_id_twice() -> None:
    """Web servers fork; an id that two messages had would be one message."""
    mine = {message.new_id()}  # the rest of what was drawn with it is there when the child begins
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(message.new_id() for _ in range(150)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 10_000).decode()
    os.close(reading), os.close(writing)
    mine |= {message.new_id() for _ in range(150)}
    its = {theirs[start : start + 32] for start in range(0, len(theirs), 32)}
    assert (151, 150, set()) == (len(mine), len(its), mine & its)
