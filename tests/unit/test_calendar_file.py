"""Calendar files: whole days as RFC 5545 has them, or a sentence with the line that is wrong."""

from __future__ import annotations

from datetime import date

import pytest

from threelane.operations.calendar_file import NotACalendar, read

FIRST, LAST = date(2026, 12, 1), date(2028, 12, 31)


def calendar(*events: str) -> bytes:
    """A file with these events, each as lines."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example//EN"]
    for number, event in enumerate(events):
        lines += ["BEGIN:VEVENT", f"UID:{number}@example", *event.split("\n"), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


def days(*events: str) -> list[str]:
    return [str(one.day) for one in read(calendar(*events), FIRST, LAST)]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART;VALUE=DATE:20261225", ["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261226", ["2026-12-25"]),  # the end is exclusive
        ("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261225", ["2026-12-25"]),  # as some programs write it
        ("DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270102", ["2026-12-31", "2027-01-01"]),
        ("DTSTART;VALUE=DATE:20261231\nDURATION:P2D", ["2026-12-31", "2027-01-01"]),
        ("DTSTART;VALUE=DATE:20261130\nDTEND;VALUE=DATE:20261203", ["2026-12-01", "2026-12-02"]),  # partly over
        ("DTSTART;VALUE=DATE:20261225\nSTATUS:CANCELLED", []),
        ("DTSTART;VALUE=DATE:19941216\nRRULE:FREQ=YEARLY", ["2026-12-16", "2027-12-16", "2028-12-16"]),
        ("DTSTART;VALUE=DATE:20161225\nDTEND;VALUE=DATE:20161227\nRRULE:FREQ=YEARLY;UNTIL=20271225",
         ["2026-12-25", "2026-12-26", "2027-12-25", "2027-12-26"]),
        ("DTSTART;VALUE=DATE:20161225\nRRULE:FREQ=YEARLY;UNTIL=20271225T000000Z", ["2026-12-25", "2027-12-25"]),
        ("DTSTART;VALUE=DATE:20251225\nRRULE:FREQ=YEARLY;COUNT=2", ["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20251225\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20271225", ["2026-12-25", "2028-12-25"]),
        ("DTSTART;VALUE=DATE:20251225\nRDATE;VALUE=DATE:20270101,20280101", ["2027-01-01", "2028-01-01"]),
        ("DTSTART;VALUE=DATE:20201123\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["2027-11-25", "2028-11-23"]),
        ("DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY", ["2028-02-29"]),
    ],
)  # fmt: skip
def test_whole_days_are_read_as_the_format_has_them(event: str, expected: list[str]) -> None:
    """Ends, durations, repetitions with their exceptions; nothing that is over and nothing too far ahead."""
    assert expected == days(event)


def test_a_repetition_that_was_moved_is_read_where_it_is() -> None:
    """The event that replaces one repetition counts instead of it."""
    both = calendar("DTSTART;VALUE=DATE:20251225\nRRULE:FREQ=YEARLY").replace(
        b"END:VCALENDAR",
        b"BEGIN:VEVENT\r\nUID:0@example\r\nRECURRENCE-ID;VALUE=DATE:20271225\r\nDTSTART;VALUE=DATE:20271227\r\n"
        b"END:VEVENT\r\nEND:VCALENDAR",
    )
    assert ["2026-12-25", "2027-12-27", "2028-12-25"] == [str(one.day) for one in read(both, FIRST, LAST)]


def test_a_day_has_the_name_of_its_event_on_one_line() -> None:
    """Escapes and folds of the format are undone; a second event on a day adds nothing."""
    content = calendar(
        "DTSTART;VALUE=DATE:20261226\nSUMMARY:Day of Goodwill\\, \\nof\n  all",
        "DTSTART;VALUE=DATE:20261226\nSUMMARY:Boxing Day",
        f"DTSTART;VALUE=DATE:20261225\nSUMMARY:{'x' * 90}",
    )
    assert [("2026-12-25", f"{'x' * 59}…"), ("2026-12-26", "Day of Goodwill, of all")] == [
        (str(one.day), one.name) for one in read(b"\xef\xbb\xbf" + content, FIRST, LAST)
    ]


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ("DTSTART:20261225T080000Z\nSUMMARY:Party", "line 8, Party: it has a time of day: a holiday is a whole day"),
        ("DTSTART;TZID=Africa/Johannesburg:20261225T080000\nSUMMARY:Party", "line 8, Party: it has a time of day"),
        ("SUMMARY:Party", "line 8, Party: it has no DTSTART"),
        ("DTSTART;VALUE=DATE:20261325\nSUMMARY:Party", "line 8, Party: DTSTART is invalid"),
        ("DTSTART;VALUE=DATE:20261225\nDTEND:20261225T100000Z", "line 8, an event without a name: it has a time"),
        ("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261220", "it ends before it begins"),
        ("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20281220", "it has 726 days: at most 31"),
        ("DTSTART;VALUE=DATE:20261225\nDURATION:PT5H", "its DURATION is not a number of days"),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=SOMETIMES", "RRULE is invalid"),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=SECONDLY", "its RRULE has to be one of YEARLY"),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:INTERVAL=2", "its RRULE has to be one of YEARLY"),
        ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=DAILY;INTERVAL=0", "the INTERVAL of its RRULE has to be 1 or more"),
        ("DTSTART;VALUE=DATE:20161225\nRRULE:FREQ=YEARLY;BYEASTER=271225", "line 8"),  # fails in dateutil
        ("DTSTART;VALUE=DATE:20261225\nRECURRENCE-ID:20261224T100000Z", "it has a time of day: give days alone"),
        ("DTSTART;VALUE=DATE:20261225\nRECURRENCE-ID;VALUE=DATE:soon", "RECURRENCE-ID is invalid"),
        ("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY", "it begins before 1900"),
        ("DTSTART;VALUE=DATE:20261225\nRDATE;VALUE=PERIOD:20270101T000000Z/PT1H", "line 8"),
    ],
)
def test_an_event_that_is_no_holiday_is_named_with_its_line(event: str, problem: str) -> None:
    """A meeting of an hour must not close a day, and a file is taken whole or not at all."""
    with pytest.raises(NotACalendar) as wrong:
        days("DTSTART;VALUE=DATE:20270101", event)

    (only,) = wrong.value.problems
    assert problem in only


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is not an iCalendar file"),
        (b"hello", "it is not an iCalendar file"),
        (b"day,name\n2026-12-25,Christmas\n", "it is not an iCalendar file"),
        (b"\x89PNG\r\n\x1a\n\x00", "it is not UTF-8"),
        (b"BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\n", "it has no BEGIN:VCALENDAR"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\n", "no BEGIN:VCALENDAR with an END"),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "it has no events"),
        ("BEGIN:VCALENDAR\r\nSUMMARY:Ferié\r\nEND:VCALENDAR".encode("latin-1"), "it is not UTF-8"),
    ],
)
def test_a_file_that_is_no_calendar_is_refused(content: bytes, problem: str) -> None:
    """Whatever was picked by mistake."""
    with pytest.raises(NotACalendar) as wrong:
        read(content, FIRST, LAST)

    assert problem in str(wrong.value)
