"""Subscriber: all spellings of a number lead to one person, and no two people become one."""

from __future__ import annotations

import re

import pytest

from threelane.contract import phone
from threelane.contract.reading import parse_reading
from threelane.contract.subscriber import RULES, Rule, spellings, subscriber

PAIRS = (
    ("541155551234", "5491155551234"),
    ("543515551234", "5493515551234"),
    ("5215555123456", "525555123456"),
    ("551187654321", "5511987654321"),
    ("552187654321", "5521987654321"),
    ("553187654321", "5531987654321"),
    ("555187654321", "5551987654321"),
    ("557187654321", "5571987654321"),
    ("22997123456", "2290197123456"),
    ("22501234567", "2250101234567"),
    ("22541234567", "2250141234567"),
    ("22544123456", "2250544123456"),
    ("22507123456", "2250707123456"),
    ("22567123456", "2250767123456"),
    ("24106123456", "24166123456"),
    ("2416123456", "24166123456"),
    ("24107123456", "24177123456"),
    ("2417123456", "24177123456"),
    ("841201234567", "84701234567"),
    ("841211234567", "84791234567"),
    ("841221234567", "84771234567"),
    ("841231234567", "84831234567"),
    ("841271234567", "84811234567"),
    ("841291234567", "84821234567"),
    ("841621234567", "84321234567"),
    ("841861234567", "84561234567"),
    ("841991234567", "84591234567"),
)
"""A number of each rule, in the order of the table: the former spelling and the present one."""


def _pattern(rule: Rule, middle: str) -> re.Pattern[str]:
    return re.compile(f"{rule.head}{middle}{rule.rest}".replace("#", "[0-9]"))


def test_each_rule_has_a_pair() -> None:
    """So that the pairs, by which the other tests go through the table, are complete."""
    assert [True] * len(RULES) == [
        bool(_pattern(rule, rule.dropped).fullmatch(former) and _pattern(rule, rule.added).fullmatch(present))
        for rule, (former, present) in zip(RULES, PAIRS, strict=True)
    ]


@pytest.mark.parametrize(("former", "present"), PAIRS)
def test_both_spellings_are_one_person(former: str, present: str) -> None:
    """A STOP from one must hold for the other."""
    assert (present, present) == (subscriber(former), subscriber(present))
    assert spellings(present) == spellings(former)
    assert {former, present} <= set(spellings(former))


@pytest.mark.parametrize(
    "number",
    [
        "27831234567",
        "541155551",  # too short
        "54115555123456",
        "5481012345678",
        "551133334444",  # fixed lines
        "552133334444",
        "553133334444",
        "555133334444",
        "557133334444",
        "551177654321",  # may have been trunked radio, which kept 8 digits
        "55208765432",
        "22981123456",  # Benin's shared numbers kept 8 digits
        "22520812345",
        "22561123456",  # a network that closed before the change
        "24111123456",
        "84912345678",
        "841011234567",
    ],
)
def test_other_numbers_have_one_spelling(number: str) -> None:
    """What no rule names is left as it is."""
    assert (number,) == spellings(number)


@pytest.mark.parametrize(
    ("reading", "raw", "present"),
    [
        ("international", "+55 (0)11 8765-4321", "5511987654321"),
        ("international", "+54 11 15 5555 1234", "5491155551234"),
        ("international", "+52 1 55 1234 5678", "525512345678"),
        ("international", "22507123456", "2250707123456"),
        ("e164", "+229 97 12 34 56", "2290197123456"),
        ("national:BR", "(11) 8765-4321", "5511987654321"),
        ("national:AR", "011 15 5555-1234", "5491155551234"),
        ("national:CI", "07 12 34 56", "2250707123456"),
        ("national:VN", "0120 123 4567", "84701234567"),
    ],
)
def test_a_number_is_parsed_to_its_present_spelling(reading: str, raw: str, present: str) -> None:
    """However it is read, also where the metadata no longer has the length of the former one."""
    assert present == phone.parse(raw, "to", parse_reading(reading))


def test_every_rule_names_its_source() -> None:
    """A rule without a source could merge two people."""
    assert [] == [rule for rule in RULES if len(rule.source) < 20 or rule.since < 1999]
