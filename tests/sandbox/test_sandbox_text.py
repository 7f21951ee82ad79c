"""Parts are counted by filling them."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.sandbox.text import BASIC, EXTENDED, deliverable, from_ucs2_hex, gsm_parts, octet_parts, ucs2_parts

# fmt: off
GSM = [
    ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("a" * 459, 3), ("a" * 460, 4),
    ("€" * 80, 1), ("€" * 81, 2), ("a" * 152 + "{" + "a" * 10, 2), ("{" * 228, 3), ("{" * 229, 4),
]
UCS2 = [
    ("ç" * 70, 1), ("ç" * 71, 2), ("ç" * 201, 3), ("ç" * 202, 4),
    ("\U0001f600" * 35, 1), ("\U0001f600" * 36, 2), ("\U0001f600" * 99, 3), ("\U0001f600" * 100, 4),
]
# fmt: on


@pytest.mark.parametrize(("text", "parts"), GSM)
def test_gsm_parts_at_every_edge(text: str, parts: int) -> None:
    """An escape pair is never split, so 458 septets of braces need a fourth part."""
    assert gsm_parts(text) == parts


@pytest.mark.parametrize(("text", "parts"), UCS2)
def test_ucs2_parts_at_every_edge(text: str, parts: int) -> None:
    """A surrogate pair is never split, so a hundred emoji need a fourth part."""
    assert ucs2_parts(text) == parts


@pytest.mark.parametrize(("octets", "parts"), [(140, 1), (141, 2), (268, 2), (269, 3)])
def test_octet_parts_at_every_edge(octets: int, parts: int) -> None:
    """140 alone, 134 together."""
    assert octet_parts(octets) == parts


def test_a_header_takes_its_room_from_the_text() -> None:
    """Seven octets of header leave 133 of 140: 152 septets."""
    assert (gsm_parts("a" * 152, 7), gsm_parts("a" * 153, 7)) == (1, 2)


@given(some.text(alphabet=BASIC + EXTENDED, min_size=1, max_size=800))
def test_parts_lie_between_the_perfect_and_the_wasteful_filling(text: str) -> None:
    """Each part but the last may waste one septet at most."""
    septets = sum(2 if letter in EXTENDED else 1 for letter in text)
    if septets <= 160:
        assert gsm_parts(text) == 1
    else:
        assert -(-septets // 153) <= gsm_parts(text) <= -(-septets // 152)


@given(some.text())
def test_hex_of_any_text_comes_back(text: str) -> None:
    """Astral characters as two surrogates."""
    assert from_ucs2_hex(text.encode("utf-16-be").hex()) == text


@given(some.text())
def test_what_is_deliverable_stays_so(text: str) -> None:
    """Every other character becomes one question mark."""
    assert len(deliverable(text)) == len(text)
    assert set(deliverable(text)) <= set(BASIC + EXTENDED)
