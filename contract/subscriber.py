"""Subscriber: one identity for all spellings of a recipient's number.

The identity is the number that networks expect today, so it is also the number that Threelane sends to.  A rule is in
the table only if a published source gives it, and only if the former spelling reaches the same person or nobody.

A number is ``head``, then ``dropped`` (formerly) or ``added`` (today), then ``rest``; in patterns, ``#`` is any digit.
The scripts use the same table: store/lua.py writes it into store/parts/spellings.lua.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Rule(NamedTuple):
    """A former spelling of a country's numbers, and the present one; ``since`` is the year of the change."""

    country: str
    head: str
    dropped: str
    added: str
    rest: str
    since: int
    source: str


_AR = "libphonenumber FAQ.md, Argentina: 9 before the area code from abroad, left out by senders of SMS in the country"
_MX = "ITU Operational Bulletin 1151, communication of 12.VI.2018; libphonenumber migrator/recipes.csv, 521"
_BR = "Anatel, Resolução 553/2010 and Ato 6.305/2012; libphonenumber migrator/recipes.csv, 55"
_BJ = "ARCEP Benin, plan of 30 November 2024: 01 before every number; libphonenumber 8.13.50"
_CI = "ARTCI, plan of 31 January 2021: 01 Moov, 05 MTN, 07 Orange; ranges of libphonenumber 8.12.16, carrier/en/225.txt"
_GA = "ARCEP Gabon, plan of 15 November 2019; libphonenumber migrator/recipes.csv, 241"
_VN = "Vietnam, Ministry of Information and Communications, 15 September 2018; libphonenumber migrator/recipes.csv, 84"

# fmt: off
RULES = (
    #    country head              dropped added rest              since source
    Rule("AR", "54",               "",    "9",  "11########",      1999, _AR),
    Rule("AR", "54",               "",    "9",  "[23]#########",   1999, _AR),
    Rule("MX", "52",               "1",   "",   "[2-9]#########",  2019, _MX),
    Rule("BR", "55[14689][1-9]",   "",    "9",  "[689]#######",    2016, _BR),
    Rule("BR", "552[12478]",       "",    "9",  "[689]#######",    2016, _BR),
    Rule("BR", "553[1-578]",       "",    "9",  "[689]#######",    2016, _BR),
    Rule("BR", "555[13-5]",        "",    "9",  "[689]#######",    2016, _BR),
    Rule("BR", "557[13-579]",      "",    "9",  "[689]#######",    2016, _BR),
    Rule("BJ", "229",              "",    "01", "[4-69]#######",   2024, _BJ),
    Rule("CI", "225",              "",    "01", "0[1-3]######",    2021, _CI),
    Rule("CI", "225",              "",    "01", "[457][0-3]######", 2021, _CI),
    Rule("CI", "225",              "",    "05", "[04-9][4-6]######", 2021, _CI),
    Rule("CI", "225",              "",    "07", "[04578][7-9]######", 2021, _CI),
    Rule("CI", "225",              "",    "07", "[69][78]######",  2021, _CI),
    Rule("GA", "241",              "0",   "6",  "[256]######",     2019, _GA),
    Rule("GA", "241",              "",    "6",  "[256]######",     2019, _GA),
    Rule("GA", "241",              "0",   "7",  "[47]######",      2019, _GA),
    Rule("GA", "241",              "",    "7",  "[47]######",      2019, _GA),
    Rule("VN", "84",               "12",  "7",  "[068]#######",    2018, _VN),
    Rule("VN", "84",               "121", "79", "#######",         2018, _VN),
    Rule("VN", "84",               "122", "77", "#######",         2018, _VN),
    Rule("VN", "84",               "12",  "8",  "[3-5]#######",    2018, _VN),
    Rule("VN", "84",               "127", "81", "#######",         2018, _VN),
    Rule("VN", "84",               "129", "82", "#######",         2018, _VN),
    Rule("VN", "84",               "16",  "3",  "[2-9]#######",    2018, _VN),
    Rule("VN", "84",               "18",  "5",  "[68]#######",     2018, _VN),
    Rule("VN", "84",               "199", "59", "#######",         2018, _VN),
)
# fmt: on
# Brazil: 8-digit numbers that start with 7 were trunked radio as well, which kept 8 digits, so they are left alone.
# Côte d'Ivoire: the ranges of networks that had closed by 2021 (60, 61, 69) were given no new prefix.


class Change(NamedTuple):
    """How a number is spelt the other way: the digits that match the two groups, with ``middle`` between them."""

    pattern: re.Pattern[str]
    middle: str

    def apply(self, msisdn: str) -> str:
        """Return the other spelling, or "" if the number does not have this one."""
        found = self.pattern.fullmatch(msisdn)
        return found[1] + self.middle + found[2] if found else ""


Changes = Mapping[str, Mapping[int, Sequence[Change]]]
"""The changes by the first digits and the length of a number, so that most numbers need one look-up."""
_START = 2
_NONE: Mapping[int, Sequence[Change]] = {}


def _changes(*, to_present: bool) -> Changes:
    table: dict[str, dict[int, list[Change]]] = {}
    for rule in RULES:
        before, after = (rule.dropped, rule.added) if to_present else (rule.added, rule.dropped)
        length = len(re.sub(r"\[[^]]*\]", "#", rule.head + before + rule.rest))
        pattern = re.compile(f"({rule.head}){before}({rule.rest})".replace("#", "[0-9]"))
        table.setdefault(rule.head[:_START], {}).setdefault(length, []).append(Change(pattern, after))
    return table


TO_PRESENT, TO_FORMER = _changes(to_present=True), _changes(to_present=False)


def subscriber(msisdn: str) -> str:
    """Return the identity of the person whom a number reaches: the same for each spelling of it."""
    by_length = TO_PRESENT.get(msisdn[:_START])
    if by_length is None:
        return msisdn
    for change in by_length.get(len(msisdn), ()):
        if present := change.apply(msisdn):
            return present
    return msisdn


def spellings(msisdn: str) -> tuple[str, ...]:
    """Return all spellings of a person's number, the present one first."""
    present = subscriber(msisdn)
    former = (change.apply(present) for change in TO_FORMER.get(present[:_START], _NONE).get(len(present), ()))
    return (present, *filter(None, former))
