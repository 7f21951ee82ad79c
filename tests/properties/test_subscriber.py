"""Subscriber: properties of the table of spellings, over whole ranges."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from threelane.contract.subscriber import RULES, Rule, spellings, subscriber


def _shape(*parts: str) -> str:
    return "".join(parts).replace("#", "[0-9]")


def _of(rule: Rule) -> st.SearchStrategy[str]:
    former, present = (_shape(rule.head, middle, rule.rest) for middle in (rule.dropped, rule.added))
    return st.from_regex(former, fullmatch=True) | st.from_regex(present, fullmatch=True)


AFFECTED = st.one_of([_of(rule) for rule in RULES])
ANY = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)
NEAR = st.builds(
    lambda head, rest: head + rest,
    st.sampled_from(sorted({re.sub(r"\[.*", "", rule.head) for rule in RULES})),
    st.from_regex(r"[0-9]{4,12}", fullmatch=True),
)


@given(AFFECTED | NEAR | ANY)
def test_a_person_is_the_same_under_each_spelling(number: str) -> None:
    """The identity is a spelling of the number, and the identity of each spelling."""
    spelled = spellings(number)

    assert number in spelled
    assert len(set(spelled)) == len(spelled)
    assert {spelled[0]} == {subscriber(one) for one in spelled}
    assert {spelled} == {spellings(one) for one in spelled}


@given(AFFECTED | NEAR, st.integers(0, 14), st.sampled_from("0123456789"))
def test_two_people_are_never_one(number: str, place: int, digit: str) -> None:
    """Numbers of the same length that differ in a digit reach different people, unless a rule names both.

    All spellings of a person end with the same six digits, so different ends are different people; of one spelling's
    length a person has one number, except in Gabon, where the former 0 and the present digit replace each other.
    """
    changed = number[:place] + digit + number[place + 1 :]
    if changed == number or changed[0] == "0":
        return
    if subscriber(changed) == subscriber(number):
        assert number[-6:] == changed[-6:]
        assert number.startswith("241")


@given(AFFECTED, AFFECTED)
def test_people_of_different_ends_or_countries_differ(first: str, second: str) -> None:
    """The last six digits, and the country, are never changed."""
    if subscriber(first) == subscriber(second):
        assert (first[:2], first[-6:]) == (second[:2], second[-6:])


def _samples(rule: Rule) -> list[tuple[str, str]]:
    """Return each combination of the digits that a rule tells apart, as former and present spelling."""
    found = [""]
    for digits in re.findall(r"\[[^]]*\]|.", rule.head + "|" + rule.rest):
        choice = [one for one in "0123456789" if re.fullmatch(digits, one)] if digits[0] == "[" else [digits]
        found = [start + one for start in found for one in choice]
    filled = [one.replace("#", "7").split("|") for one in found]
    return [(head + rule.dropped + rest, head + rule.added + rest) for head, rest in filled]


def test_each_range_leads_to_a_range_of_its_own() -> None:
    """No two former ranges share a present one, except the two former spellings of Gabon."""
    leads: dict[str, set[str]] = {}
    for rule in RULES:
        for former, present in _samples(rule):
            assert present == subscriber(former)
            leads.setdefault(present, set()).add(former)

    assert {"241"} == {present[:3] for present, former in leads.items() if len(former) > 1}
