"""Parts are counted as a handset joins them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.contract import text
from threelane.contract.text import Encoding, Size

GSM, UCS2, BINARY = Encoding.GSM_7, Encoding.UCS_2, Encoding.BINARY
EMOJI = "\U0001f600"

# fmt: off
COUNTED = [
    ("a" * 160, GSM, 160, 1), ("a" * 161, GSM, 161, 2), ("a" * 306, GSM, 306, 2), ("a" * 307, GSM, 307, 3),
    ("a" * 459, GSM, 459, 3), ("a" * 460, GSM, 460, 4),
    ("€" * 80, GSM, 160, 1), ("€" * 81, GSM, 162, 2),
    ("a" * 152 + "{" + "a" * 10, GSM, 164, 2),
    ("{" * 228, GSM, 456, 3), ("{" * 229, GSM, 458, 4),
    ("a" * 69 + "ç", UCS2, 70, 1), ("a" * 70 + "ç", UCS2, 71, 2),
    (EMOJI * 35, UCS2, 70, 1), (EMOJI * 36, UCS2, 72, 2), (EMOJI * 99, UCS2, 198, 3), (EMOJI * 100, UCS2, 200, 4),
]
# fmt: on


@pytest.mark.parametrize(("body", "encoding", "units", "parts"), COUNTED)
def test_the_check_table_is_counted_exactly(body: str, encoding: Encoding, units: int, parts: int) -> None:
    """What the network would bill: pairs are not split, so some texts need one part more than division gives."""
    assert Size(encoding, units, parts) == text.measure(body)


@pytest.mark.parametrize("letter", sorted("`çáíóúâê“”’–\u00a0\tабв"))
def test_letters_that_only_seem_to_be_gsm_cost_the_alphabet(letter: str) -> None:
    """These are often assumed to be in the basic set; one of them turns the whole text into UCS-2."""
    assert UCS2 == text.measure("a" + letter).encoding


def test_the_alphabets_have_the_sizes_of_the_standard() -> None:
    """127 characters beside the escape, ten in the extension, none in both."""
    assert (127, 10, 0) == (
        len(text.GSM_BASIC),
        len(text.GSM_EXTENSION),
        len(text.GSM_BASIC & text.GSM_EXTENSION),
    )


def test_half_a_surrogate_pair_cannot_be_measured() -> None:
    """It has no encoding; the caller of measure turns it into a refusal."""
    with pytest.raises(UnicodeEncodeError):
        text.measure("a\ud83d")


def _slices(units: list[str], single: int, part: int, opens_a_pair: str) -> list[list[str]]:
    """Split naively: cut what fits, and give one unit back where the cut would tear a pair."""
    if len(units) <= single:
        return [units]
    slices = []
    while units:
        end = min(part, len(units))
        if end < len(units) and units[end - 1] in opens_a_pair:
            end -= 1
        slices.append(units[:end])
        units = units[end:]
    return slices


def _septets(body: str) -> list[str]:
    return list("".join("\x1b" + letter if letter in "\f^{}\\[~]|€" else letter for letter in body))


def _code_units(body: str) -> list[str]:
    octets = body.encode("utf-16-be")
    return [chr(int.from_bytes(octets[at : at + 2], "big")) for at in range(0, len(octets), 2)]


HIGH_SURROGATES = "".join(map(chr, range(0xD800, 0xDC00)))
runs = some.lists(some.tuples(some.sampled_from("a{€é \n^"), some.integers(1, 170)), min_size=1, max_size=6)
gsm_texts = runs.map(lambda parts: "".join(letter * times for letter, times in parts))
wide_runs = some.lists(some.tuples(some.sampled_from("aç{ж" + EMOJI), some.integers(1, 80)), min_size=1, max_size=6)
wide_texts = wide_runs.map(lambda parts: "ж" + "".join(letter * times for letter, times in parts))
texts = gsm_texts | wide_texts | some.text(max_size=300)


@settings(deadline=None)
@given(gsm_texts)
def test_gsm_parts_are_those_of_a_naive_splitter(body: str) -> None:
    """Another way to the same number: septets written out, sliced, and never torn behind an escape."""
    slices = _slices(_septets(body), 160, 153, "\x1b")

    assert Size(GSM, len(_septets(body)), len(slices)) == text.measure(body)
    assert all(piece[-1] != "\x1b" for piece in slices)


@settings(deadline=None)
@given(wide_texts)
def test_ucs2_parts_are_those_of_a_naive_splitter(body: str) -> None:
    """The same for code units, never torn between two surrogates."""
    slices = _slices(_code_units(body), 70, 67, HIGH_SURROGATES)

    assert Size(UCS2, len(_code_units(body)), len(slices)) == text.measure(body)
    assert all(piece[-1] not in HIGH_SURROGATES for piece in slices)


@settings(deadline=None)
@given(texts)
def test_parts_are_never_fewer_than_their_units_need(body: str) -> None:
    """Division is the lower bound; pairs can only add to it."""
    size = text.measure(body)
    single, part = (160, 153) if size.encoding is GSM else (70, 67)

    assert size.parts >= (1 if size.units <= single else -(-size.units // part))


@pytest.mark.parametrize(
    ("octets", "udh", "parts"),
    [(140, 0, 1), (141, 0, 2), (268, 0, 2), (269, 0, 3), (402, 0, 3), (403, 0, 4), (133, 7, 1), (134, 7, 2)],
)
def test_binary_parts_at_every_edge(octets: int, udh: int, parts: int) -> None:
    """140 octets alone, 134 joined; a header of one's own takes its room."""
    assert Size(BINARY, octets, parts) == text.measure_binary(octets, udh)


@pytest.mark.parametrize(
    ("body", "units", "parts"),
    [
        ("a" * 152, 152, 1),
        ("a" * 153, 153, 2),
        ("a" * 292, 292, 2),
        ("a" * 293, 293, 3),
        ("ж" * 66, 66, 1),
        ("ж" * 67, 67, 2),
    ],
)
def test_a_header_takes_its_room_from_the_text(body: str, units: int, parts: int) -> None:
    """Seven octets of header leave 133 of 140: 152 septets, or 66 code units; joined parts hold 146 and 64."""
    size = text.measure(body, udh_octets=7)

    assert (units, parts) == (size.units, size.parts)


@settings(deadline=None)
@given(texts, some.integers(0, 130))
def test_a_header_never_makes_a_text_shorter(body: str, udh: int) -> None:
    """However long the header is, each part still takes a pair, so that counting ends."""
    assert text.measure(body, udh_octets=udh).parts >= text.measure(body).parts


@settings(deadline=None)
@given(texts, some.integers(1, 3), some.sampled_from([0, 7]))
def test_the_longest_fit_is_the_longest_beginning_that_fits(body: str, most: int, udh: int) -> None:
    """One character more would need another part."""
    fit = text.longest_fit(body, most, udh_octets=udh)

    assert text.measure(body[:fit], udh_octets=udh).parts <= most
    if fit < len(body):
        assert text.measure(body[: fit + 1], udh_octets=udh).parts > most
