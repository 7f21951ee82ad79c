"""Windows against a brute force: every quarter of an hour, by the clocks of each zone, with area codes and holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threelane.contract import zones
from threelane.contract.holidays import EVERYWHERE, Holiday, Holidays
from threelane.contract.hours import WeeklyHours
from threelane.contract.window import LOOK_AHEAD_DAYS, Window, common_opening, parse

DAYTIME, ALWAYS = parse("daily 08:00-21:00 recipient"), parse("daily 00:00-24:00 recipient")
QUARTER = timedelta(minutes=15)


def is_open(hours: WeeklyHours, holidays: Holidays, place: zones.Place, at: datetime) -> bool:
    """Return whether every clock of the recipient shows an hour of the window, on a day that is not a holiday."""
    for zone in place.zones:
        shown = at.astimezone(zone)
        if not hours.opens <= shown.hour * 60 + shown.minute < hours.closes or shown.weekday() not in hours.days:
            return False
        if holidays.days(place.country, shown.date(), shown.date()):
            return False
    return True


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


CASES = {  # a number -> the day on which or around which its clocks change, by tzdata of 2026
    "212612345678": "2027-02-06",  # Morocco, before Ramadan
    "201012345678": "2027-04-29",  # Egypt
    "9779841234567": "2027-01-04",  # Nepal, UTC+5:45
    "77012345678": "2027-01-04",  # Kazakhstan
    "595981123456": "2027-10-02",  # Paraguay
    "525512345678": "2027-04-03",  # Mexico City
    "526641234567": "2027-03-13",  # Tijuana, which has summer time
    "962791234567": "2027-02-26",  # Jordan
    "9613123456": "2027-03-27",  # Lebanon, at midnight
    "972501234567": "2027-03-25",  # Israel
    "299221234": "2027-03-27",  # Greenland
    "38344123456": "2027-03-27",  # Kosovo
    "6421123456": "2027-04-03",  # New Zealand and Chatham
    "56912345678": "2027-04-03",  # Chile
    "989123456789": "2027-03-20",  # Iran
    "61412345678": "2026-10-03",  # an Australian mobile: any zone, Lord Howe's half hour included
    "61291234567": "2026-10-03",  # Sydney
    "61732123456": "2026-10-03",  # Brisbane, which has no summer time, and its neighbours in New South Wales
    "5511987654321": "2027-01-04",  # Sao Paulo
    "5597991234567": "2027-01-04",  # the Amazonas, two clocks
    "79161234567": "2027-01-04",  # a Russian mobile: eleven clocks
    "74012345678": "2027-01-04",  # Kaliningrad
    "12125551234": "2027-03-13",  # New York
    "16025551234": "2027-03-13",  # Phoenix, which has no summer time
    "12705551234": "2027-11-06",  # Kentucky, two clocks
    "19075551234": "2027-11-06",  # Alaska and the Aleutians
    "18005551234": "2027-03-13",  # anywhere in the United States
    "17095551234": "2027-03-13",  # Newfoundland, UTC-3:30
    "14165551234": "2027-11-06",  # Toronto
    "881612345678": "2027-01-04",  # a satellite: UTC
    "970591234567": "2027-03-06",  # Palestine
}


@pytest.mark.parametrize(("to", "day"), CASES.items())
def test_a_window_is_open_when_every_clock_shows_its_hours(to: str, day: str) -> None:
    """Two days around a change of the clocks, without a holiday, with one in the country, and with one for all."""
    begins = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    place = zones.place(to)
    second = begins.date() + timedelta(days=1)
    country = place.country or EVERYWHERE
    for known in ([], [Holiday(second, country)], [Holiday(begins.date()), Holiday(second, "IS")]):
        holidays = Holidays.collect(known)
        times = [begins + QUARTER * n for n in range(192)]
        for window in (DAYTIME, ALWAYS):
            expected = [at for at in times if is_open(window.spans[0], holidays, place, at)]
            assert expected == [at for at in times if common_opening((window,), to, ms(at), holidays) == ms(at)]


quarters = st.tuples(st.integers(0, 95), st.integers(1, 96)).filter(lambda pair: pair[0] < pair[1])
spans = st.builds(
    lambda days, pair: WeeklyHours(days, pair[0] * 15, pair[1] * 15),
    st.frozensets(st.integers(0, 6), min_size=1),
    quarters,
)
FIRST = date(2027, 3, 8)
MOMENTS = st.builds(
    lambda ahead: datetime(2027, 3, 8, tzinfo=UTC) + QUARTER * ahead, st.integers(0, 96 * 28)
)  # clocks change on the 14th in America and on the 28th in Europe
NUMBERS = ("27831234567", "12125551234", "16025551234", "5511987654321", "447700900123", "61291234567")
HOLIDAYS = st.lists(
    st.builds(
        lambda ahead, country: Holiday(FIRST + timedelta(days=ahead), country),
        st.integers(-1, 40),
        st.sampled_from([EVERYWHERE, "ZA", "US", "BR", "GB", "AU"]),
    ),
    max_size=20,
).map(Holidays.collect)


@settings(max_examples=60)
@given(spans, st.sampled_from(NUMBERS), MOMENTS, HOLIDAYS)
def test_a_message_is_sent_in_the_first_open_quarter(
    hours: WeeklyHours, to: str, now: datetime, holidays: Holidays
) -> None:
    """No sooner and no later; and never when that is more than eight days away."""
    found = common_opening((Window((hours,), "recipient"),), to, ms(now), holidays)
    place = zones.place(to)
    quarters = (now + QUARTER * n for n in range(96 * LOOK_AHEAD_DAYS + 1))
    first = next((at for at in quarters if is_open(hours, holidays, place, at)), None)

    assert (None if first is None else ms(first)) == found


@pytest.mark.parametrize(
    ("window", "country", "day", "expected"),
    [
        # by the recipient's day, whatever the window's own zone: Christmas in Johannesburg is 24 December 22:00 UTC on
        ("daily 00:00-24:00 Pacific/Auckland", "ZA", "2026-12-25", ["2026-12-24 22:00", "2026-12-25 22:00"]),
        ("daily 00:00-24:00 UTC", EVERYWHERE, "2026-12-25", ["2026-12-24 22:00", "2026-12-25 22:00"]),
        # hours past midnight end when the holiday begins, and go on when it is over
        ("daily 20:00-02:00 Africa/Johannesburg", "ZA", "2026-12-25", ["2026-12-24 22:00", "2026-12-25 22:00"]),
    ],
)
def test_a_holiday_is_the_recipients_day_from_midnight_to_midnight(
    window: str, country: str, day: str, expected: list[str]
) -> None:
    """Nobody is texted on a holiday because the sender's own is over."""
    holidays = Holidays.collect([Holiday(date.fromisoformat(day), country)])
    closes, opens = (datetime.fromisoformat(f"{text}+00:00") for text in expected)
    windows = (parse(window),)

    assert ms(closes) - 1 == common_opening(windows, "27831234567", ms(closes) - 1, holidays)
    assert ms(opens) == common_opening(windows, "27831234567", ms(closes), holidays)
    assert ms(closes) == common_opening((), "27831234567", ms(closes), holidays), "without a window nothing waits"
    if country == "ZA":
        assert ms(closes) == common_opening(windows, "26461234567", ms(closes), holidays), "Namibia has no such holiday"


@pytest.mark.parametrize(("number", "opens"), [(7, "2026-12-30 22:00"), (8, "2026-12-31 22:00"), (9, None), (60, None)])
def test_a_window_that_holidays_close_for_longer_than_a_message_may_wait_never_opens(
    number: int, opens: str | None
) -> None:
    """The message then expires, as behind any window that does not open within 8 days."""
    days = [Holiday(date(2026, 12, 24) + timedelta(days=ahead), "ZA") for ahead in range(number)]
    now = datetime(2026, 12, 24, 6, tzinfo=UTC)
    found = common_opening((ALWAYS,), "27831234567", ms(now), Holidays.collect(days))

    assert (opens and ms(datetime.fromisoformat(f"{opens}+00:00"))) == found
