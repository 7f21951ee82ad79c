"""A text that is cut ends between words, and never loses what its reader needs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.contract import cut, message, text
from threelane.contract.cut import Cut, NotCut
from threelane.contract.message import Draft
from threelane.contract.refusal import Code, Refusal

FILLER = "lorem ipsum dolor " * 8  # 144 of the 160 characters of one part
FAMILY, FLAG, CONJUNCT = "👩‍👩‍👧", "🇿🇦", "क्षत्रिय"


def parsed(body: str, **fields: Any) -> Draft | Refusal:
    return message.parse({"to": "27831234567", "text": body, "onTooLong": "cut"} | fields, 1_900_000_000_000)


# fmt: off
KEPT = [
    ("between words",       FILLER + "now one two three four", FILLER + "now one two"),
    ("an apostrophe",       FILLER + "we say that don't go on", FILLER + "we say that"),
    ("a hyphen",            FILLER + "send no more e-mail please", FILLER + "send no more"),
    ("a short number",      FILLER + "at the place of 42 people", FILLER + "at the place of"),
    ("a number with signs", FILLER + "only for them, 1,5 less", FILLER + "only for them,"),
    ("Korean",              "한국어 문장 입니다 " * 7, ("한국어 문장 입니다 " * 7)[:70].rsplit(" ", 1)[0]),
    ("Chinese sentences",   "中文测试文字。" * 12, "中文测试文字。" * 10),
    ("Chinese characters",  "中文测试文字" * 12, ("中文测试文字" * 12)[:70]),
    ("Thai",                "น้ำ" * 30, "น้ำ" * 23),
    ("Hindi",               (CONJUNCT + " ") * 9, ((CONJUNCT + " ") * 7).rstrip()),
    ("emoji",               "😀" * 40, "😀" * 35),
    ("a family",            FAMILY * 10, FAMILY * 8),
    ("flags",               FLAG * 20, FLAG * 17),
    ("skin tones",          "👍🏽" * 20, "👍🏽" * 17),
    ("hearts",              "❤️" * 40, "❤️" * 35),
    ("signs",               "{" * 100, "{" * 80),
]
# fmt: on


@pytest.mark.parametrize(("body", "kept"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT])
def test_a_cut_ends_between_words_or_characters(body: str, kept: str) -> None:
    """Half a word, half a flag or a letter without its accent reads as a fault."""
    found = cut.cut(body, 1)

    assert Cut(kept, body[len(kept) :]) == found


# fmt: off
NEEDED = {
    "a code at the end":      FILLER + "Your code is 471142",
    "a code that would fit":  FILLER + "it is the 4711 42 now",
    "a code in two":          FILLER + "Your code is 471 142",
    "a code in pairs":        FILLER + "Your code is 12 - 34 - 56",
    "a code with dots":       FILLER + "Your code is 47 • 11 • 42",
    "a code of keys":         FILLER + "Your code is 4\ufe0f\u20e37\ufe0f\u20e31\ufe0f\u20e3",
    "a code in circles":      FILLER + "Your code is ①②③④",
    "a Cyrillic host":        FILLER + "go to кто.рф now",
    "a code with a letter":   FILLER + "Your code is G-471142",
    "letters and digits":     FILLER + "Your code is now AB12CD",
    "a number to call":       FILLER + "call +27 83 123 4567",
    "a price":                FILLER + "pay now R 1,200.00 to us",
    "a time":                 FILLER + "be there today at 10:30",
    "a link":                 FILLER + "see https://example.com/a/b?c=d",
    "a link without scheme":  FILLER + "see now example.com/a",
    "a link in Chinese":      "请点击" * 20 + "链接https://example.cn/a，谢谢您的惠顾",
    "a code in Chinese":      "欢迎使用我们的服务" * 8 + "验证码471142，请勿泄露",
    "a code in other digits": "سلام " * 13 + "رمز ٤٧١١٤٢",
    "an address":             FILLER + "write to us: someone@example.com",
    "an endless link":        "https://example.com/" + "a" * 500,
    "an endless word":        "a" * 500,
    "a late first space":     "a" * 161 + " b",
    "one letter":             "a" + "\u0301" * 300,
}
# fmt: on


@pytest.mark.parametrize("body", NEEDED.values(), ids=NEEDED)
def test_a_text_whose_need_would_be_cut_off_is_refused(body: str) -> None:
    """ "Your code is" without the code is worse than no message: its sender has to know."""
    assert isinstance(cut.cut(body, 1), NotCut)
    refused = parsed(body, maxMessageParts=1)
    assert isinstance(refused, Refusal)
    assert (Code.PARTS, "text") == (refused.code, refused.field)


def test_a_refusal_says_where_and_why_without_the_code() -> None:
    """Refusals are logged; a code or a link is not for a log."""
    refused = parsed(FILLER + "Your code is 471142", maxMessageParts=1)

    assert isinstance(refused, Refusal)
    assert refused.problem.endswith("cutting it would remove a number or a code at character 158")
    assert "471142" not in str(refused)


def test_a_code_that_is_kept_is_whole() -> None:
    """It stays where it was, and only what follows is cut."""
    draft = parsed("Your code is 471142. " + FILLER, maxMessageParts=1)

    assert isinstance(draft, Draft)
    assert draft.message.text.startswith("Your code is 471142. ")
    assert "dolor" == draft.text_cut
    assert 7 == draft.characters_cut


def test_what_was_cut_is_shown_in_short() -> None:
    """The answer says what is missing, and does not grow with the text."""
    draft = parsed("one two " * 5_000)

    assert isinstance(draft, Draft)
    assert 60 == len(draft.text_cut)
    assert draft.text_cut.endswith("…")


PLAIN = ["word", "don't", "é", "42", FAMILY, FLAG, CONJUNCT, "ж", "€"]  # of several signs some may be kept
NEEDED_WORDS = ["https://a.example/b", "www.x.example", "471142", "10:30", "a@b.example", "+27 83 123 4567"]
WORDS = some.sampled_from(PLAIN + NEEDED_WORDS)


@settings(deadline=None)
@given(some.lists(WORDS, min_size=5, max_size=120), some.integers(1, 3), some.booleans())
def test_a_cut_keeps_whole_words_and_loses_nothing_needed(words: list[str], most: int, unicode: bool) -> None:
    """Whatever the words are: a prefix of whole ones, as long as possible, or a refusal."""
    body = " ".join(words)
    found = cut.cut(body, most, unicode=unicode)
    ends = {len(" ".join(words[:number])) for number in range(1, len(words) + 1)}

    if isinstance(found, NotCut):
        return
    assert body == found.text + found.removed
    assert len(found.text) in ends
    assert text.measure(found.text, unicode=unicode).parts <= most
    longer = [end for end in ends if end > len(found.text)]
    if longer and " " not in body[len(found.text) + 1 : min(longer)]:
        following = body[: min(longer)]
        joined = following[len(found.text) :].strip()
        assert text.measure(following, unicode=unicode).parts > most or joined[0].isdigit()
    assert not any(needed in found.removed.split() for needed in ("471142", "https://a.example/b", "a@b.example"))


@settings(deadline=None)
@given(some.text(min_size=1, max_size=500), some.integers(1, 3))
def test_any_text_is_cut_or_refused(body: str, most: int) -> None:
    """No text is longer than allowed afterwards, or empty."""
    try:
        found = cut.cut(body, most)
    except UnicodeEncodeError:
        return  # half of a surrogate pair, which accept refuses
    if isinstance(found, Cut):
        assert found.text
        assert text.measure(found.text).parts <= most
        assert body == found.text + found.removed
