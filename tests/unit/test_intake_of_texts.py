"""What becomes of a text at accept: one form of Unicode, nothing invisible, no part for white space."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.contract import message, text
from threelane.contract.message import Draft, _fingerprint
from threelane.contract.refusal import Code, Refusal
from threelane.contract.subscriber import spellings
from threelane.contract.text import Encoding

NOW = 1_900_000_000_000
TO = "27831234567"


def parsed(body: str, **fields: Any) -> Draft:
    draft = message.parse({"to": TO, "text": body} | fields, NOW)
    assert isinstance(draft, Draft), draft
    return draft


def refused(body: str, **fields: Any) -> Refusal:
    answer = message.parse({"to": TO, "text": body} | fields, NOW)
    assert isinstance(answer, Refusal), answer
    return answer


def test_decomposed_accents_cost_what_composed_ones_cost() -> None:
    """Programs on macOS write é as two characters, of which GSM has neither: three parts instead of one."""
    decomposed = unicodedata.normalize("NFD", "é" * 150)

    sms = parsed(decomposed).message

    assert ("é" * 150, Encoding.GSM_7, 1) == (sms.text, sms.encoding, sms.parts)


@pytest.mark.parametrize(
    "body", ["한국어 문자", "हिन्दी क्षत्रिय", "தமிழ்", "العَرَبِيَّة", "ไทยน้ำ", "Tiếng Việt", "ἄνθρωπος", "שָׁלוֹם", "👩‍👩‍👧 🇿🇦"]
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_every_script_has_one_form_at_accept(body: str, form: Any) -> None:
    """The form that fonts and handsets expect, whatever program wrote it."""
    given_text = unicodedata.normalize(form, body)

    assert unicodedata.normalize("NFC", body) == parsed(given_text).message.text


@settings(deadline=None)
@given(some.text(min_size=1, max_size=30), some.integers(1, 60))
def test_a_long_text_is_normalised_as_a_short_one(body: str, times: int) -> None:
    """It is done in pieces, which end where nothing composes."""
    long = (body + " ") * times * 10

    assert unicodedata.normalize("NFC", long) == text.composed(long)


def test_no_piece_is_long_enough_to_take_time() -> None:
    """Sorting the accents of one letter takes the square of their number: 5 s for the longest text in one piece."""
    longest = "a" + "\u0301\u0323" * 50_000

    assert 1_000 == max(map(len, text._pieces(longest)))
    assert longest == "".join(text._pieces(longest))


def _with_id(body: str, **fields: Any) -> Draft:
    return parsed(body, clientMessageId="1", **fields)


@pytest.mark.parametrize("to", [TO, "+5511987654321"])
def test_a_repeated_call_finds_what_an_earlier_version_accepted(to: str) -> None:
    """It stored the fingerprint of the text before normalisation, under any spelling of the number."""
    given_text = unicodedata.normalize("NFD", "café")
    draft = _with_id(given_text, to=to)
    one = {"text": given_text, "to": draft.message.to}
    earlier = [
        message._fingerprint(one | {"to": number, "text": body})
        for number in spellings(draft.message.to)
        for body in ("café", given_text)
    ]

    assert {draft.fingerprint, *draft.former_fingerprints} == set(earlier)
    assert draft.fingerprint == earlier[0]


def test_both_forms_of_a_text_are_the_same_content() -> None:
    """A call that is repeated by another program may have the other form."""
    assert _with_id("café").fingerprint == _with_id(unicodedata.normalize("NFD", "café")).fingerprint
    assert () == _with_id("cafe").former_fingerprints


def test_a_text_that_an_earlier_version_got_decomposed_is_the_same_content() -> None:
    """It stored the fingerprint of what it got, and the program that repeats the call may be another one."""
    as_stored = _fingerprint({"to": "27831234567", "text": unicodedata.normalize("NFD", "café")})
    assert as_stored in _with_id("café").former_fingerprints


INVISIBLE = {
    "nothing": "",
    "white space": " \n\t\u00a0\u3000\u2028",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "soft hyphens": "\u00ad\u00ad",
    "directions": "\u200e\u200f\u202a\u202c\u2066\u2069",
    "Hangul fillers": "\u3164\u115f\u1160\uffa0",
    "Braille blank": "\u2800 \u2800",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "variation selectors": "\ufe0f\U000e0100",
    "Mongolian": "\u180e\u180b",
    "accents alone": "\u0301\u0308",
    "control characters": "\x01\x07\x1b",
    "reserved": "\u2065\ufff0\U000e0fff",
}


@pytest.mark.parametrize("body", INVISIBLE.values(), ids=INVISIBLE)
def test_a_text_that_shows_nothing_is_empty(body: str) -> None:
    """It costs as much as any other, and nobody can read it."""
    assert (Code.EMPTY, "text") == ((answer := refused(body)).code, answer.field)


@pytest.mark.parametrize(
    "body", ["\u200b.", "\u0301a", "\u0600\u0661", "\u2801", "ㅎ", "😀\ufe0f", "؟", "\ue000", "\x01a"]
)
def test_one_visible_character_is_enough(body: str) -> None:
    """Also after invisible ones."""
    assert 1 == parsed(body).message.parts


def test_an_invisible_text_is_refused_with_its_characters() -> None:
    """The caller sees nothing when looking at it."""
    assert "the text shows nothing: its characters are invisible (U+200B, U+2060)" == refused("\u2060 \u200b").problem


@pytest.mark.parametrize("ending", ["    ", "\n\n\n\n", "\u00a0", " \u200b\ufeff", "\u3000"])
def test_white_space_at_the_end_costs_no_part(ending: str) -> None:
    """A spreadsheet's cell or a template ends with it, and nobody sees it."""
    sms = parsed("a" * 158 + ending).message

    assert ("a" * 158, Encoding.GSM_7, 1) == (sms.text, sms.encoding, sms.parts)


def test_white_space_that_costs_nothing_stays() -> None:
    """The text is changed only where that saves a part."""
    assert "Hello \n" == parsed("Hello \n").message.text
    assert "a" * 200 + "  " == parsed("a" * 200 + "  ").message.text


def test_white_space_at_the_end_stays_part_of_the_content() -> None:
    """The fingerprint is of the text as given, as earlier versions stored it."""
    draft = _with_id("a" * 159 + "   ")

    assert 1 == draft.message.parts
    assert () == draft.former_fingerprints
    assert draft.fingerprint == message._fingerprint({"to": TO, "text": "a" * 159 + "   "})


def test_a_text_that_is_too_long_only_by_its_white_space_is_accepted() -> None:
    """It is neither refused nor cut."""
    draft = parsed("a" * 159 + "   ", maxMessageParts=1, onTooLong="cut")

    assert (1, 0) == (draft.message.parts, draft.characters_cut)


def test_avo_with_its_accent_stays_and_ten_to_the_first_is_not_a_hundred_and_one() -> None:
    """Both were changed by look-alikes, one into another word, one into another number."""
    for body in ("avó", "10¹"):
        assert body == parsed(body, lookAlikes=1).message.text


def test_accents_go_only_if_their_own_option_is_set() -> None:
    """São Paulo in 3 parts, or Sao Paulo in one: the caller decides."""
    body = "São Paulo " * 15

    assert [3, 3, 1] == [
        parsed(body, **fields).message.parts for fields in ({}, {"lookAlikes": 1}, {"plainAccents": 1})
    ]
    assert "Sao Paulo" == parsed(body, plainAccents=1).message.text[:9]
    assert 2 == parsed(body, plainAccents=1).parts_saved
