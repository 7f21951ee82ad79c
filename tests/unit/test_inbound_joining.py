"""The parts of a reply become one text, whichever arrived and wherever it was cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.worker.inbound import central, charset
from threelane.worker.inbound.joining import join, writable
from threelane.worker.inbound.report import ReplyPart

# fmt: off
JOINED: list[tuple[dict[int, str], int, str]] = [
    ({1: "first ", 2: "second"}, 2, "first second"), ({2: "second", 1: "first "}, 2, "first second"),
    ({1: "a", 3: "c"}, 3, "a…c"), ({2: "b"}, 3, "…b…"), ({1: "a", 4: "d"}, 4, "a…d"), ({}, 2, "…"), ({3: "c"}, 3, "…c"),
    ({1: "a"}, 1, "a"), ({1: "", 2: ""}, 2, ""), ({1: "a", 2: "", 3: "c"}, 3, "ac"), ({1: "a", 9: "x"}, 2, "a…"),
]
# fmt: on


@pytest.mark.parametrize(("parts", "total", "text"), JOINED)
def test_parts_are_joined_in_order_and_missing_ones_are_marked(parts: dict[int, str], total: int, text: str) -> None:
    """One ellipsis, however many are missing in a row."""
    assert text == join(parts, total)


def test_a_character_that_was_cut_by_a_border_is_whole_again() -> None:
    """Phones cut UTF-16 wherever a part is full."""
    octets, parts = "ab😀cd".encode("utf-16-be"), {}
    for number, cut in enumerate((octets[:6], octets[6:]), 1):
        query = "".join(f"%{octet:02X}" for octet in cut)
        udh = f"0500030702{number:02X}"
        pushed = f"moMsgId={number}&from=2799900001&to=1&charset=UTF-16BE&udh={udh}&text={query}"
        (reply,) = central.read(pushed.encode(), b"").replies
        reply.text.encode()  # goes to Redis
        parts[number] = reply.text
    assert "ab😀cd" == join(parts, 2)
    assert ("ab\ufffd…", "…\ufffdcd") == (join({1: parts[1]}, 2), join({2: parts[2]}, 2))


def test_halves_that_do_not_belong_together_are_lost_alone() -> None:
    """And never the characters beside them."""
    part = ReplyPart(1, 2, 1)
    high, low = writable("a\ud83d", part), writable("\ude00b", part)
    assert "a\ufffdx" == join({1: high, 2: "x"}, 2)
    assert "x\ufffdb" == join({1: "x", 2: low}, 2)
    assert "a\ufffda\ufffd" == join({1: high, 2: high}, 2)
    assert "a\ufffd…\ufffdb" == join({1: high, 3: low}, 3)
    assert "a\ufffd\ufffdb" == join({1: high, 2: "", 3: low}, 3)
    assert ("\ufffd", "a\ufffdb") == (writable("\ud83d"), writable("a\ud83db", part))


@given(some.text(some.characters(max_codepoint=0xEFFFF), max_size=40), some.lists(some.integers(0, 90), max_size=5))
def test_a_text_that_is_cut_anywhere_comes_back(text: str, cuts: list[int]) -> None:
    """At any unit of UTF-16, in any number of parts."""
    text = writable(text)
    octets = text.encode("utf-16-be")
    borders = sorted({0, len(octets), *(2 * cut for cut in cuts if 2 * cut < len(octets))})
    pieces = [octets[start:end] for start, end in pairwise(borders)] or [octets]
    part = ReplyPart(1, len(pieces), 1) if len(pieces) > 1 else None
    texts = {number: writable(charset.decode(piece, "UTF-16BE"), part) for number, piece in enumerate(pieces, 1)}
    for each in texts.values():
        each.encode()
    if not any(piece[:2] in (b"\xfe\xff", b"\xff\xfe") for piece in pieces):  # these are byte order marks
        assert text == join(texts, len(pieces))
