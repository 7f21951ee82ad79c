"""What a reader sees as one character is not torn."""

from __future__ import annotations

import pytest

from threelane.contract import grapheme

WHOLE = {
    "an accent": "e\u0301",
    "two accents": "a\u0308\u0304",
    "a Thai vowel": "น้ำ",
    "a Hindi conjunct": "क्ष",
    "a conjunct with marks": "क\u094d\u0301ष",
    "a Bengali conjunct": "ক্ষ",
    "a Tamil vowel sign": "தி",
    "Hangul of three jamo": "\u1112\u1161\u11ab",
    "a syllable and a jamo": "가\u11a8",
    "a family": "👩‍👩‍👧",
    "a profession": "👩🏽‍🚀",
    "a skin tone": "👍🏽",
    "a flag": "🇿🇦",
    "the flag of a region": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "a keycap": "1\ufe0f\u20e3",
    "a heart": "❤\ufe0f",
    "a line end": "\r\n",
    "an Arabic number sign": "\u0600\u0661",
    "half-width kana": "ｶﾞ",
}


@pytest.mark.parametrize("cluster", WHOLE.values(), ids=WHOLE)
def test_what_a_reader_sees_as_one_is_whole(cluster: str) -> None:
    """By Unicode's UAX 29, in every script."""
    body = f"x{cluster}x"

    assert [1, len(body) - 1] == [at for at in range(1, len(body)) if grapheme.is_boundary(body, at)]


def test_flags_side_by_side_are_two_letters_each() -> None:
    """A split after the first letter would show other flags."""
    body = "🇿🇦🇩🇪🇬🇧"

    assert [2, 4] == [at for at in range(1, len(body)) if grapheme.is_boundary(body, at)]


def test_plain_letters_are_separate() -> None:
    """Also beside a space after a joiner."""
    assert [1, 2, 3] == [at for at in range(1, 4) if grapheme.is_boundary("ab c", at)]
    assert grapheme.is_boundary("x\u200d y", 2)
