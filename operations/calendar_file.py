"""Calendar files: the whole days of an iCalendar file (RFC 5545), with those that recur."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from dateutil.rrule import rrulestr
from icalendar import Calendar, Event

from threelane.contract.holidays import parse_name

MOST_DAYS = 31  # of one event
MOST_EVENTS = 20_000
EARLIEST = 1900
_RECURS = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")


class NotACalendar(ValueError):
    """A file that cannot be taken; ``problems`` has a sentence for each event that is wrong, with its line."""

    def __init__(self, problems: list[str]) -> None:
        """Join the problems."""
        super().__init__("\n".join(problems))
        self.problems = problems


class CalendarDay(NamedTuple):
    """A day of a calendar and the name of its event."""

    day: date
    name: str


def read(content: bytes, first: date, last: date) -> list[CalendarDay]:
    """Return the days from the first to the last on which a calendar has whole-day events; the end is exclusive.

    Raises NotACalendar for a file that is none, and for an event with a time of day; then nothing is returned.
    """
    lines, events = _lines(content), _events(content)
    if len(events) > MOST_EVENTS:
        raise NotACalendar([f"{len(events):,} events: at most {MOST_EVENTS:,} are read"])
    moved = _moved(events)
    days: dict[date, str] = {}
    problems = []
    for line, event in zip(lines, events, strict=False):
        try:
            found = [] if _is_cancelled(event) else list(_days(event, moved[str(event.get("UID"))], first, last))
        except (ValueError, TypeError, OverflowError, AttributeError, LookupError) as wrong:  # some are dateutil's own
            problems.append(f"line {line}, {_name(event) or 'an event without a name'}: {wrong}")
            continue
        for day in found:
            days.setdefault(day, _name(event))
    if problems:
        raise NotACalendar(problems)
    return [CalendarDay(day, name) for day, name in sorted(days.items())]


def _lines(content: bytes) -> list[int]:
    """Return the lines on which events begin."""
    begins = re.compile(rb"\s*BEGIN:VEVENT\s*", re.IGNORECASE)
    return [number for number, line in enumerate(content.splitlines(), 1) if begins.fullmatch(line)]


def _events(content: bytes) -> list[Event]:
    try:
        text = content.decode("utf-8-sig")
        calendars = Calendar.from_ical(text, multiple=True)
    except UnicodeDecodeError:
        raise NotACalendar(["it is not UTF-8: save or export it as UTF-8"]) from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise NotACalendar([f"it is not an iCalendar file: {str(wrong)[:200] or type(wrong).__name__}"]) from None
    if not calendars or any(one.name != "VCALENDAR" for one in calendars):
        raise NotACalendar(["it is not an iCalendar file: it has no BEGIN:VCALENDAR with an END:VCALENDAR"])
    events = [event for one in calendars for event in one.walk("VEVENT")]
    if not events:
        raise NotACalendar(["it has no events"])
    return [event for event in events if isinstance(event, Event)]


def _moved(events: Iterable[Event]) -> defaultdict[str, set[date]]:
    """Return the days of recurring events that events of their own replace."""
    found: defaultdict[str, set[date]] = defaultdict(set)
    for event in events:
        replaced = event.get("RECURRENCE-ID")
        if replaced is not None and not event.errors:
            found[str(event.get("UID"))].add(replaced.dt)
    return found


def _days(event: Event, moved: set[date], first: date, last: date) -> Iterator[date]:
    if event.errors:
        name, problem = event.errors[0]
        raise ValueError(f"{name or 'a property'} is invalid: {str(problem)[:200]}")
    begins, length = _span(event)
    for start in _starts(event, begins, moved, first - timedelta(days=length), last):
        days = (start + timedelta(days=ahead) for ahead in range(length))
        yield from (day for day in days if first <= day <= last)


def _span(event: Event) -> tuple[date, int]:
    """Return the first day of an event and its number of days."""
    start = event.get("DTSTART")
    if start is None:
        raise ValueError("it has no DTSTART")
    begins = _day_of(start.dt, "a holiday is a whole day, as in DTSTART;VALUE=DATE:20261225")
    if (end := event.get("DTEND")) is not None:
        length = (_day_of(end.dt) - begins).days or 1  # some programs repeat the day
    elif (duration := event.get("DURATION")) is not None:
        length = duration.dt.days
        if duration.dt != timedelta(days=length):
            raise ValueError("its DURATION is not a number of days")
    else:
        length = 1
    if begins.year < EARLIEST:
        raise ValueError(f"it begins before {EARLIEST}")
    if length < 1:
        raise ValueError("it ends before it begins")
    if length > MOST_DAYS:
        raise ValueError(f"it has {length:,} days: at most {MOST_DAYS}")
    return begins, length


def _starts(event: Event, begins: date, moved: set[date], first: date, last: date) -> Iterator[date]:
    """Yield the first days of an event and of its repetitions, from the first to the last day."""
    replaced = event.get("RECURRENCE-ID")
    if replaced is not None:
        _day_of(replaced.dt)
    without = (moved if replaced is None else set()) | set(_dates(event, "EXDATE"))
    found = {begins, *_dates(event, "RDATE")}
    for rule in _values(event, "RRULE"):
        if rule.get("FREQ", [""])[0] not in _RECURS:
            raise ValueError(f"its RRULE has to be one of {', '.join(_RECURS)}")
        if any(every < 1 for every in rule.get("INTERVAL", [])):
            raise ValueError("the INTERVAL of its RRULE has to be 1 or more")
        until = min([last, *(_whole(one) for one in rule.pop("UNTIL", []))])
        parsed: Any = rrulestr(rule.to_ical().decode(), dtstart=datetime.combine(begins, time()))
        found |= {
            at.date() for at in parsed.between(*(datetime.combine(day, time()) for day in (first, until)), inc=True)
        }
    yield from sorted(one for one in found - without if first <= one <= last)


def _dates(event: Event, name: str) -> Iterator[date]:
    for values in _values(event, name):
        yield from (_day_of(one.dt) for one in values.dts)


def _values(event: Event, name: str) -> list[Any]:
    found = event.get(name, [])
    return found if isinstance(found, list) else [found]


def _day_of(value: Any, remedy: str = "give days alone") -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError(f"it has a time of day: {remedy}")
    return value


def _whole(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _is_cancelled(event: Event) -> bool:
    return str(event.get("STATUS", "")).upper() == "CANCELLED"


def _name(event: Event) -> str:
    return parse_name(str(event.get("SUMMARY", "")))
