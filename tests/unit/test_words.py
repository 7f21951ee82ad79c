"""The gateway's own words: any case where that is clear, and a refusal that helps for what is no field of a message."""

from __future__ import annotations

import pytest

from threelane.contract import fields, keywords, kinds, message
from threelane.contract.message import Draft
from threelane.contract.refusal import Code, Refusal

NOW = 1_900_000_000_000
TO = "27831234567"
SECRET = "s3cr3t-0f-n0b0dy"


def refused(name: str, value: object = SECRET) -> Refusal:
    answer = message.parse({"to": TO, "text": "Hello", name: value}, NOW)
    assert isinstance(answer, Refusal)
    return answer


@pytest.mark.parametrize("spelling", sorted(fields.OF_GATEWAY))
@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_a_name_of_the_gateway_matches_in_any_case(spelling: str, change: type[str]) -> None:
    """Its documents have cliMsgId and climsgid, and its clients more spellings than those."""
    assert fields.named(change(spelling)) is fields.BY_SPELLING[spelling]


def test_no_name_in_another_case_means_two_fields() -> None:
    """Otherwise the order of a table would decide which one is set."""
    meant = {(name.lower(), fields.BY_SPELLING[name].name) for name in fields.BY_SPELLING}
    assert len(meant) == len({name for name, _ in meant})


def test_our_own_names_match_as_they_are_written() -> None:
    """They are read before a message is parsed, for its reading and its templates."""
    assert [None] * 3 == [fields.named(name) for name in ("Country", "TEMPLATE", "Producer")]


CREDENTIALS = "api_id API_ID apiId user username password session_id sessionId apiKey api-key Authorization token"


@pytest.mark.parametrize("name", CREDENTIALS.split())
def test_credentials_are_refused_without_their_value(name: str) -> None:
    """A caller who moves a request to Threelane leaves them in; the sentence is logged and shown."""
    answer = refused(name)
    assert (Code.INVALID, name) == (answer.code, answer.field)
    assert "the workers have those of the gateway" in answer.problem
    assert "THREELANE_CLICKATELL_" in answer.remedy
    assert SECRET not in str(answer)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sequence_no", "Threelane numbers its own requests"),
        ("media", "Threelane sends texts and 8-bit data, no other content"),
        ("apimsgid", "a parameter of another request of the gateway"),
        ("colour", "unknown field"),
    ],
)
def test_what_is_no_field_is_refused_with_the_reason(name: str, sentence: str) -> None:
    """Each is a name that the gateway's requests have, or a mistake."""
    assert sentence == refused(name).problem


@pytest.mark.parametrize("to", [[TO], (TO,), [int(TO)]])
def test_a_list_of_one_recipient_is_the_recipient(to: object) -> None:
    """The gateway's REST API takes a list."""
    answer = message.parse({"to": to, "text": "Hello"}, NOW)
    assert isinstance(answer, Draft)
    assert TO == answer.message.to


@pytest.mark.parametrize("to", [[], [TO, TO], [[TO]], [None]])
def test_any_other_list_of_recipients_is_refused(to: object) -> None:
    """A message has one recipient, so that each can be looked up and cancelled."""
    answer = message.parse({"to": to, "text": "Hello"}, NOW)
    assert isinstance(answer, Refusal)
    assert (Code.DESTINATION, "to") == (answer.code, answer.field)


@pytest.mark.parametrize("kind", sorted({"SMS_TEXT", "SMS_FLASH", *kinds.OLD}))
def test_every_type_is_read_in_any_case(kind: str) -> None:
    """The gateway's spelling is what comes back."""
    expected = {"SMS_TEXT": "text", "SMS_FLASH": "flash"}.get(kind, kind)
    assert [expected] * 3 == [kinds.parse(one, "type") for one in (kind, kind.lower(), f" {kind.title()} ")]


def test_a_message_class_without_data_is_refused() -> None:
    """Class 0 of a text is a flash text, which has a type."""
    answer = refused("mclass", 0)
    assert ("mclass", "leave it out; a flash text has type=flash") == (answer.field, answer.remedy)


def test_the_keywords_have_every_old_type() -> None:
    """A type checker accepts what the table accepts."""
    assert set(kinds.OLD) == set(keywords.OldType.__args__)


@pytest.mark.parametrize("fields", [{"type": "SMS_NOKIA_CLEAN"}, {"mclass": 1}])
def test_what_an_older_worker_would_drop_waits_for_a_newer_one(fields: dict[str, object]) -> None:
    """A logo without its type is noise on a handset."""
    answer = message.parse({"to": TO, "data": "00", **fields}, NOW)
    assert isinstance(answer, Draft)
    assert message.OF_WORDS == answer.message.schema <= message.SCHEMA


def test_a_text_that_was_always_possible_keeps_schema_1() -> None:
    """Nothing else waits while a deployment is under way."""
    words = {"binary": 1, "text": "00", "deliv_ack": 1, "deliv_time": 15, "charset": "UTF-8", "cliMsgId": "1"}
    answer = message.parse({"to": TO, **words}, NOW)
    assert isinstance(answer, Draft)
    assert 1 == answer.message.schema


def test_the_header_that_the_gateway_adds_to_an_old_type_is_counted() -> None:
    """133 octets of 140 are left in one SMS, and 128 in each of several."""
    sizes = {
        octets: message.parse({"to": TO, "type": "SMS_NOKIA_PICTURE", "data": "00" * octets}, NOW)
        for octets in (133, 134, 256, 257, 384)
    }
    parts = {octets: draft.message.parts for octets, draft in sizes.items() if isinstance(draft, Draft)}
    assert {133: 1, 134: 2, 256: 2, 257: 3, 384: 3} == parts


def test_hexadecimal_with_unicode_stays_a_text() -> None:
    """A code of digits would become another script if it were decoded; a text is a text here."""
    answer = message.parse({"to": TO, "text": "00480069", "unicode": 1}, NOW)
    assert isinstance(answer, Draft)
    assert "00480069" == answer.message.text


@pytest.mark.parametrize("more", [{"template": "order"}, {"template": "order@2", "values": {"name": "Ana"}}])
def test_the_switch_of_binary_data_with_a_template_is_refused(more: dict[str, object]) -> None:
    """The text of a template is not decoded; without the switch it would go out as a text of digits."""
    answer = message.parse({"to": TO, "binary": 1, **more}, NOW)
    assert isinstance(answer, Refusal)
    assert (Code.INVALID, "template", "a template and binary=1") == (answer.code, answer.field, answer.problem)


def test_a_charset_that_contradicts_unicode_is_refused() -> None:
    """One of the two would be without effect; the charset of any other text says nothing about its encoding."""
    answer = message.parse({"to": TO, "text": "Hello", "charset": "UCS2-BE", "unicode": 0}, NOW)
    assert isinstance(answer, Refusal)
    assert (Code.INVALID, "charset") == (answer.code, answer.field)

    others = [("UCS2-BE", 1), ("UTF-8", 0), ("UTF-8", 1)]
    parsed = [message.parse({"to": TO, "text": "x", "charset": name, "unicode": on}, NOW) for name, on in others]
    assert [Draft] * 3 == [type(one) for one in parsed]


@pytest.mark.parametrize("kind", sorted(kinds.OF_TEXT))
@pytest.mark.parametrize("text", [" ", "\n", "\u200b", " \u2060 "])
def test_a_text_that_shows_nothing_is_refused_for_an_old_type_too(kind: str, text: str) -> None:
    """With the code of every other empty text."""
    answer = message.parse({"to": TO, "type": kind, "content": text}, NOW)
    assert isinstance(answer, Refusal)
    assert (Code.EMPTY, "content") == (answer.code, answer.field)
    assert answer.problem.startswith("the text ")


@pytest.mark.parametrize("to", [[[TO]], [(TO,)], [[]]])
def test_a_list_in_a_list_is_named(to: object) -> None:
    """Not the type of what was made of it."""
    assert "a list within the list" == refused_to(to).problem


def refused_to(to: object) -> Refusal:
    answer = message.parse({"to": to, "text": "Hello"}, NOW)
    assert isinstance(answer, Refusal)
    return answer


SAMPLES: tuple[object, ...] = (
    *(0, -1, 9, 10**30, 1.5, float("nan"), True, "", " ", "-1", "1_0", "abc", "06", "ab" * 11_000, "\0", "\ud800"),
    *(b"1", b"ab", bytearray(b"1"), [], ["a", b"b"], [[]], {}, {"a": {}}, set("ab"), object(), None),
)


@pytest.mark.parametrize("name", sorted(fields.BY_SPELLING))
def test_a_value_is_refused_with_a_code_that_the_table_has(name: str) -> None:
    """docs/fields.md has the codes of each field; no sample raises, and no octets become a text."""
    field, content = fields.BY_SPELLING[name], {"to": TO, "text": "Hello"}
    if name in ("content", "binary", "data", "template"):
        del content["text"]
    for sample in SAMPLES:
        message_of_it = {key: value for key, value in content.items() if key != name} | {name: sample}
        answer = message.parse(message_of_it, NOW)
        if isinstance(answer, Refusal) and answer.field.partition(".")[0] == name and sample not in (None, ""):
            assert answer.code in field.codes.split(", "), (sample, answer)
        if isinstance(sample, bytes | bytearray) and name not in ("binary", "data"):
            assert isinstance(answer, Refusal), sample
