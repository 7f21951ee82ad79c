"""Each part beyond the first has a cause, and each remedy saves what it promises."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.contract import lookalike, message, text, why_parts
from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.contract.text import GSM_7
from threelane.contract.why_parts import Cause, Saving, Way, WhyParts
from threelane.interfaces.command.bulk.extra_parts import ExtraParts
from threelane.producer.rehearse import Rehearsed

TO = "27831234567"
HELLO = "hello there "
HEADER = "06050415810000"


def parsed(body: str, **fields: Any) -> Draft:
    draft = message.parse({"to": TO, "text": body} | fields, 1_900_000_000_000)
    assert isinstance(draft, Draft), draft
    return draft


def why(body: str, **fields: Any) -> WhyParts:
    found = parsed(body, **fields).why_parts
    assert found is not None
    return found


# fmt: off
EXPLAINED = [
    ("don’t " + HELLO * 12, {}, [(Cause.CHARACTERS, 2)], [(Way.LOOK_ALIKES, 2), (Way.SHORTER, 1)]),
    ("don’t " + HELLO * 14, {}, [(Cause.CHARACTERS, 1), (Cause.LENGTH, 1)], [(Way.LOOK_ALIKES, 1), (Way.SHORTER, 1)]),
    ("São Paulo " * 15, {}, [(Cause.CHARACTERS, 2)], [(Way.PLAIN_ACCENTS, 2), (Way.SHORTER, 1)]),
    ("“São” " * 15, {}, [(Cause.CHARACTERS, 1)], [(Way.BOTH, 1), (Way.SHORTER, 1)]),
    ("😀" + HELLO * 7, {}, [(Cause.CHARACTERS, 1)], [(Way.WITHOUT_CHARACTERS, 1), (Way.SHORTER, 1)]),
    ("…" * 90, {}, [(Cause.CHARACTERS, 1)], [(Way.SHORTER, 1)]),  # three full stops each take as many parts
    ("Привет мир " * 9, {}, [(Cause.CHARACTERS, 1)], [(Way.SHORTER, 1)]),
    (HELLO * 14, {}, [(Cause.LENGTH, 1)], [(Way.SHORTER, 1)]),
    ("€" * 81, {}, [(Cause.LENGTH, 1)], [(Way.SHORTER, 1)]),
    (HELLO * 8, {"unicode": 1}, [(Cause.UNICODE, 1)], [(Way.WITHOUT_UNICODE, 1), (Way.SHORTER, 1)]),
    ("a" * 155, {"udh": HEADER}, [(Cause.HEADER, 1)], [(Way.SHORTER, 1)]),
    (None, {"binary": "00" * 141}, [(Cause.LENGTH, 1)], [(Way.SHORTER, 1)]),
]
# fmt: on


@pytest.mark.parametrize(("body", "fields", "causes", "savings"), EXPLAINED)
def test_each_extra_part_has_its_cause_and_remedy(
    body: str, fields: dict[str, Any], causes: list[Any], savings: list[Any]
) -> None:
    """People pay for each part, and see one curly quote as little as one letter too many."""
    found = why(body, **fields)

    assert causes == [(one.cause, one.parts) for one in found.causes]
    assert savings == [(one.way, one.parts) for one in found.savings]


def test_one_curly_quote_is_named_with_its_place_and_remedy() -> None:
    """The case that made 60 parts of 20."""
    assert (
        "’ (U+2019) at character 4 takes 2 parts more: outside GSM-7, so that an SMS has 70 characters instead of 160; "
        "lookAlikes=1 saves 2 parts; 16 characters fewer fit 2 parts" == str(why("don’t " + HELLO * 12))
    )


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        ("a" * 163, "3 characters fewer fit 1 part"),
        ("a" * 161, "1 character fewer fit 1 part"),
        ("a" * 307, "1 character fewer fit 2 parts"),
        ("€" * 81, "2 septets fewer fit 1 part"),
    ],
)
def test_a_text_that_is_just_too_long_says_by_how_much(body: str, remedy: str) -> None:
    """To shorten it by three characters is easier than to pay twice."""
    assert remedy == why(body).savings[-1].remedy


def test_a_character_that_shows_nothing_is_shown_by_its_name() -> None:
    """A no-break space looks like a space."""
    assert "U+00A0 (no-break space)" == str(why("a\u00a0" + "b" * 80).causes[0].characters[0])


def test_a_message_of_one_part_has_nothing_to_explain() -> None:
    """And costs no time at accept."""
    assert parsed("don’t").why_parts is None


def test_a_refusal_names_what_would_make_the_text_fit() -> None:
    """Only what is enough; it is known at that moment."""
    curly = message.parse({"to": TO, "text": "don’t " + HELLO * 12, "maxMessageParts": 1}, 1)
    long = message.parse({"to": TO, "text": "a" * 163, "maxMessageParts": 1}, 1)

    assert isinstance(curly, Refusal)
    assert "lookAlikes=1 saves 2 parts; shorten it, or set onTooLong=cut" == curly.remedy
    assert isinstance(long, Refusal)
    assert "3 characters fewer fit 1 part; shorten it, or set onTooLong=cut" == long.remedy


letters = some.sampled_from([*"abcé{€ \n", "’", "…", "\u00a0", "ã", "ł", "ж", "😀", "中"])
texts = some.lists(some.tuples(letters, some.integers(1, 90)), min_size=1, max_size=6).map(
    lambda runs: "".join(letter * times for letter, times in runs)
)


@settings(deadline=None)
@given(texts | some.text(some.characters(exclude_categories=["Cs"])), some.sampled_from([0, 7]), some.booleans())
def test_causes_add_up_and_remedies_hold(body: str, udh_octets: int, unicode: bool) -> None:
    """No part without a cause, none counted twice; and what is promised is what measure then counts."""
    size = text.measure(body, unicode=unicode, udh_octets=udh_octets)
    found = why_parts.explain(body, size, udh_octets)

    if found is None:
        assert 1 == size.parts
        return
    assert size.parts - 1 == sum(one.parts for one in found.causes)
    assert all(one.parts > 0 for one in found.causes)
    assert all(one.parts > 0 for one in found.savings)
    for saving in found.savings:
        if saving.way is not Way.SHORTER:
            after = text.measure(_changed(body, saving), udh_octets=udh_octets)
            assert size.parts - saving.parts == after.parts


def _changed(body: str, saving: Saving) -> str:
    match saving.way:
        case Way.WITHOUT_CHARACTERS:
            return "".join(one for one in body if one in GSM_7)
        case Way.WITHOUT_UNICODE:
            return body
        case _:
            look_alikes = saving.way is not Way.PLAIN_ACCENTS
            return lookalike.replace(body, look_alikes=look_alikes, plain_accents=saving.way is not Way.LOOK_ALIKES)


@pytest.mark.parametrize("look_alikes", [0, 1])
def test_no_replacement_is_promised_to_a_text_that_is_to_be_unicode(look_alikes: int) -> None:
    """unicode=1 keeps it in UCS-2 whatever its characters are."""
    found = why("don’t " + HELLO * 12, unicode=1, look_alikes=look_alikes)
    assert {Way.SHORTER} == {one.way for one in found.savings}


@pytest.mark.parametrize("pair", ["€", "😀"])
def test_a_text_of_pairs_says_by_how_much_it_is_too_long(pair: str) -> None:
    """A part that would end inside a pair has one unit less."""
    body = "a" + pair * (230 if pair == "€" else 100)
    size = text.measure(body)
    found = why_parts.explain(body, size)
    assert found
    (shorter,) = (one for one in found.savings if one.way is Way.SHORTER)
    removed = -(-shorter.units // 2)

    assert size.parts - 1 == text.measure(body[:-removed]).parts
    assert size.parts == text.measure(body[: len(body) - removed + 1]).parts


@settings(deadline=None)
@given(some.text(some.sampled_from("abcé ’ж"), min_size=71, max_size=450))
def test_a_text_shortened_by_as_much_has_one_part_less(body: str) -> None:
    """Of characters that take one unit each."""
    size = text.measure(body)
    found = why_parts.explain(body, size)
    if found is None:
        return
    shorter = found.savings[-1] if found.savings[-1].way is Way.SHORTER else found.savings[0]

    assert text.measure(body[: len(body) - shorter.units]).parts < size.parts


def _rehearsed(body: str, **fields: Any) -> Rehearsed:
    draft = parsed(body, **fields)
    parts, why_parts = draft.message.parts, draft.why_parts
    return Rehearsed(id="", lane=3, parts=parts, encoding="", units=0, estimate_millionths=0, why_parts=why_parts)


def test_a_file_has_one_line_for_each_reason() -> None:
    """Twenty rows with one quote are one line, not twenty."""
    collected = ExtraParts()
    for number in range(20):
        collected.add(_rehearsed(f"don’t {number} " + HELLO * 12))
    for number in range(1, 4):
        collected.add(_rehearsed("a" * (160 + number)))
    collected.add(_rehearsed("short"))

    assert [
        "20 messages of 3 parts because of ’ (U+2019): lookAlikes=1 makes them 1 part each, saves 40 parts",
        "3 messages of 2 parts because of their length: 1 to 3 septets or UTF-16 units fewer make them 1 part each",
    ] == collected.sentences()


def test_other_accents_in_each_row_are_still_one_line() -> None:
    """Names differ; the remedy is the same."""
    collected = ExtraParts()
    for name in ("João", "Łukasz", "Jiří", "Zoë", "Conceição"):
        collected.add(_rehearsed(name + " " + HELLO * 11))

    (line,) = collected.sentences()
    assert line.startswith("5 messages of 3 parts because of ")
    assert line.endswith(" and others: plainAccents=1 makes them 1 part each, saves 10 parts")


def test_a_single_message_has_a_line_without_plurals() -> None:
    """One row of a file."""
    collected = ExtraParts()
    collected.add(_rehearsed("a" * 161))

    expected = "1 message of 2 parts because of its length: 1 septets or UTF-16 units fewer make it 1 part"
    assert [expected] == collected.sentences()


def test_cut_messages_are_counted() -> None:
    """Whoever allows cutting learns how often it happened, before anything is sent."""
    collected = ExtraParts()
    collected.add(msgspec.structs.replace(_rehearsed("short"), characters_cut=41))

    assert ["1 message cut, by up to 41 characters"] == collected.sentences()
