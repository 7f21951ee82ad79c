"""Look-alikes change only what reads the same; accents are an option of their own."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.layout import ROOT
from threelane.contract import lookalike
from threelane.contract.lookalike import ACCENTS, LOOK_ALIKES
from threelane.contract.text import GSM_7

LATIN_LETTERS = some.characters(categories=("Ll", "Lu"), max_codepoint=0x24F)


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ("“Don’t” – wait…", '"Don\'t" - wait...'),
        ("«Société» générale", '"Société" générale'),
        ("a\u00a0b\u200bc", "a bc"),
        ("40×60 – 5′", "40x60 - 5'"),
        ("Ｏｋ！", "Ok!"),
        ("\u202a+27 83\u202c", "+27 83"),
        ("plain", "plain"),
    ],
)
def test_look_alikes_bring_a_text_into_the_gsm_alphabet(body: str, plain: str) -> None:
    """Quotes, dashes, spaces and marks without width have a stand-in; the accents that GSM has stay."""
    assert plain == lookalike.replace(body)


@pytest.mark.parametrize("body", ["10¹", "avó", "½", "Acme™", "Ⅳ", "№ 5", "1·5", "6÷2", "façade", "Łódź", "µ", "а"])
def test_look_alikes_leave_what_reads_differently(body: str) -> None:
    """10¹ is not 101, and avó is not avo: such a text stays in UCS-2."""
    assert body == lookalike.replace(body)


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ("Société générale à Málaga", "Société générale à Malaga"),
        ("avó", "avo"),
        ("São Paulo, façade", "Sao Paulo, facade"),
        ("Łódź", "Lodz"),
        ("Đặng", "Dang"),
        ("cœur", "coeur"),
        ("x\u030c", "x"),
        ("a ≠ b", "a ≠ b"),
        ("5 ≮ 3", "5 ≮ 3"),
        ("1\u03360\u0336 80", "1\u03360\u0336 80"),
        ("10¹", "10¹"),
        ("½", "½"),
        ("“avó”", "“avó”"),
    ],
)
def test_plain_accents_drop_the_accents_that_gsm_lacks(body: str, plain: str) -> None:
    """An option of its own, since the loss shows; the accents that GSM has stay, and quotes are the other option's."""
    assert plain == lookalike.replace(body, look_alikes=False, plain_accents=True)


def test_both_options_together_reach_what_neither_reaches_alone() -> None:
    """A quote and an accent in one text: both have to go."""
    body = "“avó”"

    assert [body, body, '"avo"'] == [
        lookalike.replace(body),
        lookalike.replace(body, look_alikes=False, plain_accents=True),
        lookalike.replace(body, plain_accents=True),
    ]


@pytest.mark.parametrize("body", ["“Привет”", "don’t 😀", "“中文”"])
@pytest.mark.parametrize("plain_accents", [False, True])
def test_replacements_are_all_or_nothing(body: str, plain_accents: bool) -> None:
    """One letter without a stand-in keeps the text in UCS-2, so replacing the others would spoil it for nothing."""
    assert body == lookalike.replace(body, plain_accents=plain_accents)


@settings(deadline=None)
@given(some.text(some.characters(), max_size=200), some.booleans(), some.booleans())
def test_replacements_either_help_or_change_nothing(body: str, look_alikes: bool, plain_accents: bool) -> None:
    """The result is in the GSM alphabet, or it is the text unchanged."""
    replaced = lookalike.replace(body, look_alikes=look_alikes, plain_accents=plain_accents)

    assert replaced == body or GSM_7.issuperset(replaced)


@settings(deadline=None)
@given(LATIN_LETTERS)
def test_look_alikes_change_no_letter(letter: str) -> None:
    """Another letter is another word, whatever it looks like."""
    assert letter == lookalike.replace(letter)


def test_no_look_alike_is_a_letter_digit_or_accent() -> None:
    """The rule behind the table; ligatures and full width are other forms of the same letters, by Unicode."""
    several = [one for row in LOOK_ALIKES for one in row.characters if unicodedata.category(one)[0] in "LNM"]

    assert all(
        unicodedata.decomposition(one).startswith(("<compat>", "<wide>")) for one in several if one not in "ʼʻ"
    ), several


def test_every_stand_in_is_in_the_alphabet_and_has_a_reason() -> None:
    """A row without effect, or without a reason, has no place in the tables."""
    for row in (*LOOK_ALIKES, *ACCENTS):
        assert GSM_7.issuperset(row.instead), row
        assert not GSM_7 & set(row.characters), row
        assert row.reason
    characters = "".join(row.characters for row in (*LOOK_ALIKES, *ACCENTS))
    assert len(characters) == len(set(characters))


def test_the_documentation_lists_every_look_alike() -> None:
    """Who sets lookAlikes reads there what it changes; full width is one line."""
    page = Path(ROOT, "docs", "texts.md").read_text(encoding="utf-8")

    missing = [
        f"U+{ord(one):04X}"
        for row in (*LOOK_ALIKES, *ACCENTS)
        for one in row.characters
        if f"U+{ord(one):04X}" not in page and not 0xFF01 <= ord(one) <= 0xFF5E
    ]
    assert [] == missing
