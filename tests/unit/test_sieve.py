"""A long body is kept without its media, in whatever pieces it arrives."""

from __future__ import annotations

import base64
import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threelane.worker.inbound.sieve import LEAST_DROPPED, MOST, MOST_KEPT, Sieve, TooLong, media_octets, omitted_octets

PICTURE = random.Random(1).randbytes(300_000)
ENCODED = base64.b64encode(PICTURE).decode()


def sieved(body: bytes, size: int = 65_536, most_kept: int = MOST_KEPT) -> bytes:
    """Return what is kept of a body that arrives in chunks of this size."""
    kept = Sieve(most_kept)
    for start in range(0, len(body), size):
        kept.add(body[start : start + size])
    assert len(body) == kept.received
    return kept.body()


def document(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("size", [1, 7, 4096, 10**6])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"cliMsgId=1&status=004",
        b"<a/>",
        b'{"a": "b\\"c\\\\", "d": [1, "\\u00e9\\ud83d"]}',
        b"\xff\xfe{",
        b'{"a',
    ],
)
def test_a_short_body_is_kept_as_it_is(body: bytes, size: int) -> None:
    """Of any kind, readable or not."""
    assert body == sieved(body, size)


@pytest.mark.parametrize("size", [1_000, 65_536, 10**7])
def test_the_media_of_a_long_document_gives_way_to_its_size(size: int) -> None:
    """All else is there, before it and behind it."""
    found = json.loads(sieved(document({"caption": "Here", "content": ENCODED, "x": [1, {"to": "2\\7"}]}), size))
    assert {"caption": "Here", "content": {"omitted_octets": 300_000}, "x": [1, {"to": "2\\7"}]} == found


@pytest.mark.parametrize("octets", [299_998, 299_999, 300_000])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("/", "\\/"),
        lambda text: text.replace("=", "\\u003d").replace("+", "\\u002b"),
        lambda text: "\\r\\n".join(text[start : start + 76] for start in range(0, len(text), 76)),
        lambda text: text.rstrip("="),
        lambda text: text.replace("+", "-").replace("/", "_"),
    ],
    ids=["plain", "escaped slashes", "escaped signs", "lines", "without padding", "for URLs"],
)
def test_the_size_of_the_media_is_exact_however_it_is_written(change: Any, octets: int) -> None:
    """Encoders of JSON escape some characters of base64, and encoders of base64 break lines."""
    body = b'{"content": "%s"}' % change(base64.b64encode(PICTURE[:octets]).decode()).encode()
    assert {octets} == {omitted_octets(json.loads(sieved(body, size))["content"]) for size in (997, 65_536)}


def test_media_that_fits_is_measured_alike() -> None:
    """A small picture is not dropped."""
    body = document({"content": base64.b64encode(PICTURE[:10_000]).decode()})
    assert body == sieved(body)
    assert 10_000 == media_octets(json.loads(body)["content"])
    assert [300_000, 0, 0, 0] == [media_octets(one) for one in ({"omitted_octets": 300_000}, None, 5, {"a": 5})]
    assert [None] * 4 == [omitted_octets({"omitted_octets": one}) for one in (-1, True, "5", MOST + 1)]


def test_the_longest_strings_are_dropped_first() -> None:
    """A text of the length that was accepted before is kept beside any media."""
    text = "word " * 4_000
    body = document({"a": "x" * 30_000, "text": text, "b": "y" * 40_000, "c": "z" * (LEAST_DROPPED - 2)})
    found = json.loads(sieved(body))
    assert {"a": "x" * 30_000, "text": text, "b": {"omitted_octets": 30_000}, "c": "z" * (LEAST_DROPPED - 2)} == found


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"cliMsgId=" + b"0" * MOST_KEPT, "65,536 octets, not counting media"),
        (b"<a>" + b"0" * MOST_KEPT, "65,536 octets, not counting media"),
        (b'{"a": 1' + b" " * MOST_KEPT, "65,536 octets, not counting media"),
        (b"[" * (MOST_KEPT + 1), "65,536 octets, not counting media"),
        (b'["' + b'","'.join([b"x" * (LEAST_DROPPED - 2)] * 70) + b'"]', "65,536 octets, not counting media"),
        (b'["' + b"x" * MOST, "16,777,216 octets"),
        (b'["' + b'","'.join([b"x" * 2_000] * 8_000) + b'"]', "65,536 octets, not counting media"),
    ],
    ids=["form", "XML", "spaces", "brackets", "short strings", "no end", "many strings"],
)
def test_what_does_not_fit_without_its_media_is_too_long(body: bytes, problem: str) -> None:
    """A callback has about ten short fields."""
    with pytest.raises(TooLong, match=problem):
        sieved(body)


@pytest.mark.parametrize("escape", [b"\\x41", b"\\u12g4", b"\\u\\"])
def test_a_string_with_an_invalid_escape_is_not_json(escape: bytes) -> None:
    """Also in what is dropped."""
    body = b'{"a": "' + b"A" * 100_000 + escape + b"A" * 100_000 + b'"}'
    assert {"the body is not JSON"} == {str(refused(body, size)) for size in (5, 65_536, 10**7)}


def refused(body: bytes, size: int) -> ValueError:
    with pytest.raises(ValueError, match="the body is not JSON") as found:
        sieved(body, size)
    return found.value


def test_sixteen_mebibytes_take_the_memory_of_a_short_body() -> None:
    """Two chunks and what is kept, and not the body."""
    kept, chunk = Sieve(), b"A" * 65_536
    kept.add(b'{"content": "')
    tracemalloc.start()
    try:
        for _ in range(MOST // len(chunk) - 1):
            kept.add(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 512 * 1024
    kept.add(b'"}')
    assert {"content": {"omitted_octets": (MOST - len(chunk)) * 3 // 4}} == json.loads(kept.body())


STRINGS = st.text(st.sampled_from('A/+=\\" \u00e9\U0001f642\ud83d\n'), max_size=12) | st.sampled_from(
    ["B" * 1_500, "C" * 2_500]
)
VALUES = st.recursive(
    STRINGS | st.integers(),
    lambda more: st.lists(more) | st.dictionaries(st.text("abc", max_size=3), more),
    max_leaves=20,
)


@settings(max_examples=100)
@given(VALUES, st.integers(1, 4_000), st.booleans())
def test_any_document_is_the_same_but_for_long_strings(value: Any, size: int, readable: bool) -> None:
    """In any pieces, with any escapes; nothing else is lost, moved or split."""
    body = json.dumps([value], ensure_ascii=not readable).encode("utf-8", "surrogatepass")
    try:
        kept = sieved(body, size, 3_000)
    except TooLong:
        return
    assert [value] == json.loads(body.decode("utf-8", "surrogatepass"))
    if len(body) <= 3_000:
        assert body == kept
    assert len(kept) <= 3_000
    assert agree([value], json.loads(kept.decode("utf-8", "surrogatepass")))


def agree(value: Any, kept: Any) -> bool:
    """Return whether a value is what was kept of another one."""
    if isinstance(value, str) and omitted_octets(kept) is not None:
        return len(value) >= LEAST_DROPPED - 2 and omitted_octets(kept) == media_octets(value)
    if isinstance(value, list):
        return len(value) == len(kept) and all(map(agree, value, kept))
    if isinstance(value, dict):
        return value.keys() == kept.keys() and all(agree(value[name], kept[name]) for name in value)
    return bool(value == kept)
