"""Hours: opening hours on days of the week, and the intervals of Unix time that they cover."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import msgspec

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WHOLE_DAY = 24 * 60

Interval = tuple[int, int]
"""Start (inclusive) and end (exclusive) in milliseconds of Unix time."""

_HOURS = re.compile(r"(\d\d?):(\d\d)-(\d\d?):(\d\d)", re.ASCII)


class WeeklyHours(msgspec.Struct, frozen=True):
    """Opening hours on some weekdays; ``str`` returns the text that ``parse_weekly_hours`` reads.

    ``days`` has 0 for Monday to 6 for Sunday; ``opens`` (0 to 1439) and ``closes`` (1 to 1440) are minutes of the
    day.  Hours that close earlier than they open pass midnight and belong to the day on which they open.
    """

    days: frozenset[int]
    opens: int
    closes: int

    def __post_init__(self) -> None:
        """Raise ValueError for hours that never open."""
        if not self.days or not self.days <= set(range(7)):
            raise ValueError("no days: give some, as in mon-fri, or daily")
        if not 0 <= self.opens < WHOLE_DAY or not 0 < self.closes <= WHOLE_DAY:
            raise ValueError("hours range from 00:00 to 24:00")
        if self.opens == self.closes:
            raise ValueError("the hours close when they open: for a whole day write 00:00-24:00")

    def __str__(self) -> str:
        """Return days and hours, as in ``mon-fri 08:00-20:00``."""
        hours = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (self.opens, self.closes))
        return f"{_days_text(self.days)} {hours}"

    def intervals(self, zone: ZoneInfo, first: date, days: int) -> list[Interval]:
        """Return the intervals in a zone that start on the ``first`` day or the ``days - 1`` days after it."""
        nights = int(self.closes < self.opens)
        found = []
        for day in (first + timedelta(days=ahead) for ahead in range(days)):
            if day.weekday() in self.days:
                begins, ends = _moment(day, self.opens, zone), _moment(day, self.closes + nights * WHOLE_DAY, zone)
                if begins < ends:  # otherwise it lies within the hour that clocks skip
                    found.append((begins * 1000, ends * 1000))
        return found


def whole_day(day: date, zone: ZoneInfo) -> Interval:
    """Return the interval of a day in a zone."""
    return _moment(day, 0, zone) * 1000, _moment(day, WHOLE_DAY, zone) * 1000


def parse_weekly_hours(days: str, hours: str) -> WeeklyHours:
    """Parse ``mon-fri`` and ``08:00-20:00``; raises ValueError with the correct form."""
    matched = _HOURS.fullmatch(hours)
    if not matched:
        raise ValueError(f"{hours!r} is not a range of hours: write HH:MM-HH:MM, as in 08:00-20:00")
    opens_hour, opens_minute, closes_hour, closes_minute = map(int, matched.groups())
    opens, closes = opens_hour * 60 + opens_minute, closes_hour * 60 + closes_minute
    if opens_minute > 59 or closes_minute > 59 or opens >= WHOLE_DAY or closes > WHOLE_DAY:
        raise ValueError(f"{hours!r} is not a range of hours: open from 00:00 to 23:59 and close from 00:01 to 24:00")
    if opens == closes:
        raise ValueError(f"{hours!r} closes when it opens: for a whole day write 00:00-24:00")
    return WeeklyHours(_parse_days(days), opens, closes or WHOLE_DAY)


def _parse_days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for item in text.lower().split(","):
        if item == "daily":
            found.update(range(7))
            continue
        first, dash, last = item.partition("-")
        begin = _parse_day(first)
        end = _parse_day(last) if dash else begin
        found.update((begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1))
    return frozenset(found)


def _parse_day(text: str) -> int:
    for number, name in enumerate(DAYS):
        if len(text) >= 3 and name.startswith(text):
            return number
    raise ValueError(f"{text!r} is not a day: write mon tue wed thu fri sat or sun, as in mon-fri or sat,sun; or daily")


def _days_text(days: frozenset[int]) -> str:
    if len(days) == 7:
        return "daily"
    runs = [[day for _, day in run] for _, run in groupby(enumerate(sorted(days)), lambda pair: pair[1] - pair[0])]
    return ",".join("-".join(DAYS[day][:3] for day in sorted({run[0], run[-1]})) for run in runs)


def _moment(day: date, minutes: int, zone: ZoneInfo) -> int:
    """Return the first second of Unix time at which local clocks show this time or a later one.

    A time that clocks skip maps to the first time after the gap; of a time that they show twice, the first counts.
    """
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    first, second = (int(wall.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if first <= second:
        return first
    before, after = second, first  # the wall time is skipped between these two
    while after - before > 1:
        middle = (before + after) // 2
        shown = datetime.fromtimestamp(middle, UTC).astimezone(zone).replace(tzinfo=None)
        before, after = (before, middle) if shown >= wall else (middle, after)
    return after
