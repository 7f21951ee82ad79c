"""Holidays: the days on which sending windows stay closed, for the recipients of a country or for all."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Self

import msgspec

from threelane.contract.countries import parse_country

EVERYWHERE = "*"
"""Instead of a country: the day is a holiday for all recipients."""
MOST = 5_000  # of an installation; each worker reads them every five seconds
MOST_NAME = 60  # characters
YEARS_AHEAD = 5
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)


class Holiday(msgspec.Struct, frozen=True, order=True):
    """A day on which nothing is sent in windows, by the calendar of the recipient."""

    day: date
    country: str = EVERYWHERE
    name: str = ""

    @property
    def row(self) -> str:
        """Return its name in the hash ``tl:holidays``."""
        return f"{self.country}:{self.day.isoformat()}"

    def __str__(self) -> str:
        """Return the day, its name and for whom it is one."""
        where = "everywhere" if self.country == EVERYWHERE else f"in {self.country}"
        return f"{self.day.isoformat()} {f'({self.name}) ' if self.name else ''}{where}"


class Holidays(msgspec.Struct, frozen=True):
    """All holidays; ``unreadable`` has the invalid rows with the reason, which close nothing and raise an alarm."""

    known: tuple[Holiday, ...] = ()
    unreadable: dict[str, str] = {}
    by_country: dict[str, tuple[date, ...]] = {}

    @classmethod
    def collect(cls, known: Iterable[Holiday], unreadable: Mapping[str, str] | None = None) -> Self:
        """Return these holidays, sorted for look-ups."""
        ordered = tuple(sorted(known))
        everywhere = {one.day for one in ordered if one.country == EVERYWHERE}
        days = {one.country: set(everywhere) for one in ordered} | ({EVERYWHERE: everywhere} if everywhere else {})
        for one in ordered:
            days[one.country].add(one.day)
        return cls(ordered, dict(unreadable or {}), {country: tuple(sorted(found)) for country, found in days.items()})

    @classmethod
    def decode(cls, entries: Mapping[bytes, bytes]) -> Self:
        """Parse the hash ``tl:holidays``; does not raise for its content."""
        known, unreadable = [], {}
        for row, name in entries.items():
            try:
                known.append(parse_row(row.decode(), name.decode()))
            except ValueError as wrong:
                unreadable[row.decode(errors="replace")] = str(wrong)
        return cls.collect(known, unreadable)

    def days(self, country: str, first: date, last: date) -> tuple[date, ...]:
        """Return the holidays of a country from the first to the last day, both included; NOWHERE has everybody's."""
        found = self.by_country.get(country) or self.by_country.get(EVERYWHERE, ())
        return found[bisect_left(found, first) : bisect_right(found, last)]

    def on(self, country: str, days: Iterable[date]) -> tuple[Holiday, ...]:
        """Return the holidays of a country on these days."""
        wanted = set(days)
        return tuple(one for one in self.known if one.day in wanted and one.country in (country, EVERYWHERE))


def parse_row(row: str, name: str = "") -> Holiday:
    """Return the holiday of a row such as ``ZA:2026-12-25``; raises ValueError for another."""
    country, _, day = row.partition(":")
    return Holiday(parse_day(day), EVERYWHERE if country == EVERYWHERE else parse_country(country), name)


def parse_day(text: str) -> date:
    """Parse ``2026-12-25``; raises ValueError with the correct form."""
    try:
        return date(*map(int, _DAY.fullmatch(text.strip()).groups()))  # type: ignore[union-attr]
    except (ValueError, AttributeError):
        raise ValueError(f"{text.strip()[:40]!r} is not a day: write YYYY-MM-DD, as in 2026-12-25") from None


def parse_name(text: str) -> str:
    """Return the name of a holiday on one line, shortened to MOST_NAME characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MOST_NAME else f"{line[: MOST_NAME - 1]}…"


def check_ahead(day: date, today: date) -> date:
    """Return a day that can still be a holiday; raises ValueError for one in the past or too far ahead."""
    if day < today:
        raise ValueError(f"{day.isoformat()} is in the past: give a day from {today.isoformat()} on")
    if day.year > today.year + YEARS_AHEAD:
        raise ValueError(f"{day.isoformat()} is more than {YEARS_AHEAD} years ahead: add it later")
    return day
