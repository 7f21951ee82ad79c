"""The longest text of each encoding at one, two and three parts, and one letter more, on each API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.extremes.exchange import Intake, Outside, choices, parameter, same_code
from tests.extremes.test_fields import ALL_APIS, APIS
from tests.servers import RedisServer
from threelane.contract import text as texts
from threelane.contract.message import Draft, Message, new_id
from threelane.contract.refusal import Code, Refusal
from threelane.contract.text import Encoding
from threelane.sandbox.running import Running
from threelane.sandbox.text import TextEncoding

pytestmark = pytest.mark.slow

LETTERS = ("a", "{", "é", "Δ", "ç", "ж", "😀", "a{", "a😀", "é€", "a\n", "a\f")
"""One or two letters, repeated: each alphabet, its pairs, and what an encoding of the wire could change."""
HEADERS = ("", "00", "06050415810000", f"{69:02x}" + "00" * 69)
SWITCHES: tuple[dict[str, Any], ...] = ({}, {"unicode": 1}, {"type": "flash"}, {"type": "SMS_NOKIA_OLOGO"})
MOST_LETTERS = 700  # more than three parts of anything
IN_SANDBOX = {
    Encoding.GSM_7: TextEncoding.GSM7,
    Encoding.UCS_2: TextEncoding.UCS2,
    Encoding.BINARY: TextEncoding.OCTETS,
}


class Longest(NamedTuple):
    """The longest body that intake accepts, and the refusal of one letter more."""

    message: Message
    more: Message
    refusal: Refusal


def content(letters: str, length: int, more: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a text of so many letters, or of so many octets if the letters are hexadecimal."""
    if letters == "4a":
        return {"to": "27831234567", "binary": letters * length, **more}
    return {"to": "27831234567", "text": (letters * length)[:length], **more}


def longest(intake: Intake, letters: str, most: int, more: dict[str, Any]) -> Longest | None:
    """Return the longest body in so many parts; None if the API lacks what it needs."""
    fields = {**more, "max_message_parts": most}
    if not isinstance(intake.read(content(letters, 1, fields)), Draft):
        return None
    low, high = 1, MOST_LETTERS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if isinstance(intake.read(content(letters, middle, fields)), Draft) else (low, middle)
        )
    refusal = intake.read(content(letters, high, fields))
    assert isinstance(refusal, Refusal)
    message = intake.message(content(letters, low, fields))
    raw = content(letters, high, fields)
    body = {"binary": raw["binary"]} if "binary" in raw else {"text": raw["text"]}
    return Longest(message, msgspec.structs.replace(message, id=new_id(), **body, parts=most), refusal)


@ALL_APIS
@pytest.mark.parametrize("letters", [*LETTERS, "4a"], ids=ascii)
def test_the_longest_text_is_taken_in_the_parts_that_we_counted_and_one_letter_more_is_refused_by_both(
    intake: Intake, outside: Outside, sandbox: Running, letters: str
) -> None:
    """Otherwise a message costs more than was counted, or is accepted here and refused there."""
    compare(intake, outside, sandbox, letters, HEADERS)


@pytest.mark.parametrize("charset", choices("gateway_charset"))
@pytest.mark.parametrize("api", APIS)
def test_the_longest_text_is_also_taken_in_each_charset(
    runner: asyncio.Runner, redis_server: RedisServer, sandbox: Running, api: str, charset: str
) -> None:
    """Parts are counted in the form that is sent, whichever form a setting chooses."""
    intake = Intake(redis_server.url, api, gateway_charset=charset)
    outside = Outside(runner, api, sandbox.url, gateway_charset=charset)
    try:
        for letters in LETTERS:
            compare(intake, outside, sandbox, letters, HEADERS[:1])
    finally:
        intake.close()
        outside.close()


def compare(intake: Intake, outside: Outside, sandbox: Running, letters: str, headers: Sequence[str]) -> None:
    """Compare the longest texts of some letters, with each header and switch, and those with one letter more."""
    found: list[Longest] = []
    for most in (1, 2, 3):
        for header in headers:
            for switch in SWITCHES:
                more = {**switch, **({"udh": header} if header else {})}
                if one := longest(intake, letters, most, more):
                    found.append(one)
    assert found

    verdicts = outside.send([one.message for one in found])
    beyond = outside.send([one.more for one in found]) if parameter(intake.api, "max_message_parts") else []

    assert ["accepted"] * len(found) == verdicts, [sketch(one.message) for one in found]
    assert [(one.message.parts, one.message.encoding) for one in found] == as_the_sandbox_counted(
        sandbox, [one.message for one in found]
    )
    assert {Code.PARTS} == {one.refusal.code for one in found}
    too_long = same_code(intake.api, "text", Code.PARTS)
    is_split_anyway = found[0].message.encoding is Encoding.BINARY  # whatever concat says
    expected = "accepted" if is_split_anyway else too_long
    if is_split_anyway and beyond:
        counted = [parts for parts, _ in as_the_sandbox_counted(sandbox, [one.more for one in found])]
        assert [one.message.parts + 1 for one in found] == counted
    assert [expected] * len(beyond) == [expected if one == "accepted" and _may_fit(letters) else one for one in beyond]


def _may_fit(letters: str) -> bool:
    """Return whether one letter more may fit: XML has no form feed, and the two line feeds for it can be separated."""
    return "\f" in letters


def as_the_sandbox_counted(sandbox: Running, sent: list[Message]) -> list[tuple[int, Encoding]]:
    """Return parts and encoding of each message in the sandbox's ledger."""
    lines = sandbox.request("GET", "/sandbox/ledger.jsonl")[1].splitlines()
    ledger = {entry["client_id"]: entry for entry in map(json.loads, lines)}
    back = {theirs: ours for ours, theirs in IN_SANDBOX.items()}
    entries = [ledger[one.id] for one in sent]
    return [(entry["parts"], back[TextEncoding(entry["encoding"])]) for entry in entries]


def sketch(message: Message) -> str:
    return f"{message.encoding} {message.units} units {message.parts} parts, header of {len(message.udh) // 2}"


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("letters", LETTERS, ids=ascii)
def test_the_longest_texts_fill_their_parts(intakes: dict[str, Intake], letters: str, most: int) -> None:
    """The standard's room: otherwise this test would compare texts far from the boundary."""
    one = longest(next(iter(intakes.values())), letters, most, {})
    assert one is not None
    single, joined = texts.room(one.message.encoding)
    assert 0 <= (single if most == 1 else most * joined) - one.message.units < 2 * most + len(letters)
    assert most == one.message.parts
