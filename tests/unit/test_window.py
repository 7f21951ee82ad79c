"""Sending windows: read as written, open when the recipient is up, and exact when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from threelane.contract import zones
from threelane.contract.hours import WeeklyHours
from threelane.contract.schedule import DAY, MINUTE
from threelane.contract.window import Window, Windows, common_opening, opening, parse, parse_scope

ZA = "27831234567"  # UTC+2, no summer time
GERMANY = "491711234567"
NEW_YORK = "12125551234"
TOLL_FREE = "18005551234"  # anywhere in the United States
INDIA = "919812345678"
SATELLITE = "870773111632"


def ms(text: str) -> int:
    """A time of UTC, or of the offset behind it."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def opens(window: str, at: str, to: str = ZA) -> str:
    """When the window opens, in UTC; "now" if it is open."""
    found = opening(parse(window), to, ms(at))
    return "now" if found == ms(at) else datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mon-fri 08:00-20:00 Africa/Johannesburg", "mon-fri 08:00-20:00 Africa/Johannesburg"),
        ("mon-sat,sun 09:00-17:30 recipient", "daily 09:00-17:30 recipient"),
        ("daily 08:00-21:00 recipient", "daily 08:00-21:00 recipient"),
        ("mon-fri 08:00-20:00; sat 09:00-13:00 recipient", "mon-fri 08:00-20:00; sat 09:00-13:00 recipient"),
        (" FRI - Mon  8:00 – 20:00  Recipient ", "mon,fri-sun 08:00-20:00 recipient"),
        ("sat,friday 20:00-02:00 europe/berlin", "fri-sat 20:00-02:00 Europe/Berlin"),
        ("daily 00:00-24:00 Etc/GMT-3", "daily 00:00-24:00 Etc/GMT-3"),
        ("tue,thu 20:00-00:00 UTC", "tue,thu 20:00-24:00 UTC"),
    ],
)
def test_a_window_has_one_canonical_text(text: str, canonical: str) -> None:
    """However an operator writes it, the list shows one form, and that one is read again."""
    assert canonical == str(parse(text))
    assert parse(text) == parse(canonical)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the window is empty: write days, hours and a zone"),
        ("always", "is not a window: write days, hours and a zone"),
        ("mon-fri 08:00-20:00", "the zone is missing"),
        ("mon 08:00-20:00 UTC; tue 08:00-20:00 UTC", "give it once, after the last hours"),
        ("mon 08:00-20:00; UTC", "is not a window"),
        ("mon 08:00-20:00;", "is not a window"),
        ("mo 08:00-20:00 UTC", "'mo' is not a day: write mon tue"),
        ("mon- 08:00-20:00 UTC", "'' is not a day"),
        ("mon, 08:00-20:00 UTC", "'' is not a day"),
        ("mon,,tue 08:00-20:00 UTC", "'' is not a day"),
        ("mon 8-20 UTC", "'8-20' is not a range of hours: write HH:MM-HH:MM"),
        ("mon 08:00-24:01 UTC", "close from 00:01 to 24:00"),
        ("mon 24:00-08:00 UTC", "open from 00:00 to 23:59"),
        ("mon 08:60-09:00 UTC", "is not a range of hours"),
        ("mon 08:00-08:00 UTC", "for a whole day write 00:00-24:00"),
        ("mon ٠٨:٠٠-٢٠:٠٠ UTC", "is not a range of hours"),
        ("mon 08:00-20:00 Berlin", "'Berlin' is not a zone: did you mean Europe/Berlin?"),
        ("mon 08:00-20:00 Europe/Berln", "did you mean Europe/Berlin?"),
        ("mon 08:00-20:00 ../../etc/passwd", "is not a zone"),
        ("mon 08:00-20:00 \udce9", "is not a zone"),
    ],
)
def test_an_invalid_window_is_refused_with_the_right_form(text: str, problem: str) -> None:
    """The sentence names the word that is wrong and shows a right one."""
    with pytest.raises(ValueError, match=r".") as wrong:
        parse(text)

    assert problem in str(wrong.value)


def test_a_window_that_never_opens_cannot_be_made() -> None:
    """A message that waited for it would wait forever."""
    with pytest.raises(ValueError, match="no hours"):
        Window((), "UTC")
    with pytest.raises(ValueError, match="no days"):
        WeeklyHours(frozenset(), 0, 60)
    with pytest.raises(ValueError, match="close when they open"):
        WeeklyHours(frozenset({0}), 60, 60)
    with pytest.raises(ValueError, match="00:00 to 24:00"):
        WeeklyHours(frozenset({0}), 60, 1441)


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        ("daily 08:00-20:00 recipient", "2031-06-30 06:00", "now"),  # its first moment
        ("daily 08:00-20:00 recipient", "2031-06-30 05:59:59.999", "2031-06-30 06:00"),
        ("daily 08:00-20:00 recipient", "2031-06-30 17:59:59.999", "now"),  # its last
        ("daily 08:00-20:00 recipient", "2031-06-30 18:00", "2031-07-01 06:00"),
        ("mon-fri 08:00-20:00 recipient", "2031-06-27 18:00", "2031-06-30 06:00"),  # over a weekend
        ("mon-fri 08:00-20:00; sat 09:00-13:00 recipient", "2031-06-27 18:00", "2031-06-28 07:00"),
        ("mon 08:00-09:00 recipient", "2031-06-30 07:00", "2031-07-07 06:00"),  # a week, to the minute
        ("fri 20:00-02:00 recipient", "2031-06-27 23:59", "now"),  # Saturday 01:59 belongs to Friday
        ("fri 20:00-02:00 recipient", "2031-06-28 00:00", "2031-07-04 18:00"),
        ("sun 20:00-02:00 recipient", "2031-06-29 23:00", "now"),  # into Monday
        ("daily 00:00-24:00 recipient", "2031-06-30 22:00", "now"),  # no gap at midnight
        ("fri 20:00-24:00; sat 00:00-02:00 recipient", "2031-06-27 22:00", "now"),
        ("daily 08:00-20:00 Asia/Kathmandu", "2031-06-30 02:14", "2031-06-30 02:15"),  # UTC+5:45
        ("daily 08:00-20:00 Pacific/Kiritimati", "2031-06-30 17:59", "2031-06-30 18:00"),  # UTC+14: the 1st there
        ("mon 00:00-01:00 Pacific/Kiritimati", "2031-06-29 10:00", "now"),
        ("sun 23:00-24:00 Pacific/Pago_Pago", "2031-06-30 10:30", "now"),  # UTC-11: still Sunday
        ("sat 22:00-03:00 Pacific/Pago_Pago", "2031-06-29 13:59", "now"),
        ("fri 20:00-15:00 Pacific/Pago_Pago", "2031-06-29 01:59", "now"),  # two dates ago, by UTC
    ],
)
def test_a_window_opens_by_the_clock_of_its_zone(window: str, at: str, expected: str) -> None:
    """Days and hours are those of the zone, wherever the workers run."""
    assert expected == opens(window, at)


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        # Berlin: 2031-03-30 02:00+01 becomes 03:00+02, that is 01:00 UTC; 2031-10-26 03:00+02 becomes 02:00+01
        ("daily 08:00-20:00 Europe/Berlin", "2031-03-29 19:00", "2031-03-30 06:00"),
        ("daily 08:00-20:00 Europe/Berlin", "2031-10-25 18:00", "2031-10-26 07:00"),
        ("daily 02:30-04:00 Europe/Berlin", "2031-03-30 00:00", "2031-03-30 01:00"),  # the first moment that exists
        ("daily 01:00-02:30 Europe/Berlin", "2031-03-30 00:59", "now"),
        ("daily 01:00-02:30 Europe/Berlin", "2031-03-30 01:00", "2031-03-30 23:00"),  # closes when 02:30 is skipped
        ("sun 02:10-02:50 Europe/Berlin", "2031-03-30 00:00", "2031-04-06 00:10"),  # skipped as a whole
        ("sun 02:10-02:50 Europe/Berlin", "2031-03-23 02:00", "2031-04-06 00:10"),  # more than 8 days away
        ("daily 02:30-04:00 Europe/Berlin", "2031-10-26 00:00", "2031-10-26 00:30"),  # the first of two 02:30
        ("daily 02:30-04:00 Europe/Berlin", "2031-10-26 01:15", "now"),  # 02:15 again, but it opened before
        ("daily 01:00-02:30 Europe/Berlin", "2031-10-26 01:15", "2031-10-27 00:00"),  # closed with the first 02:30
        ("daily 20:00-08:00 Europe/Berlin", "2031-03-30 05:59", "now"),  # a night of eleven hours
        ("daily 20:00-08:00 Europe/Berlin", "2031-03-30 06:00", "2031-03-30 18:00"),
        # New York: 2031-03-09 02:00-05 becomes 03:00-04 (07:00 UTC); 2031-11-02 02:00-04 becomes 01:00-05 (06:00 UTC)
        ("daily 08:00-20:00 America/New_York", "2031-03-09 01:00", "2031-03-09 12:00"),
        ("daily 08:00-20:00 America/New_York", "2031-11-02 00:00", "2031-11-02 13:00"),
        ("daily 02:15-02:45; daily 05:00-06:00 America/New_York", "2031-03-09 06:59", "2031-03-09 09:00"),
        ("daily 02:15-05:00 America/New_York", "2031-03-09 06:59", "2031-03-09 07:00"),
        ("daily 01:30-02:00 America/New_York", "2031-11-02 05:29", "2031-11-02 05:30"),
        ("daily 01:30-02:00 America/New_York", "2031-11-02 06:59", "now"),  # the second 01:59: 02:00 has not come
        ("daily 00:00-01:30 America/New_York", "2031-11-02 05:30", "2031-11-03 05:00"),
        # half an hour's summer time; and midnight that is skipped (Santiago: 2031-09-07 00:00-04 becomes 01:00-03)
        ("daily 02:15-04:00 Australia/Lord_Howe", "2031-10-04 15:00", "2031-10-04 15:30"),
        ("sun 00:00-02:00 America/Santiago", "2031-09-07 03:59", "2031-09-07 04:00"),
        ("sat 22:00-24:00 America/Santiago", "2031-09-07 04:00", "2031-09-14 01:00"),
    ],
)
def test_a_window_is_exact_when_clocks_change(window: str, at: str, expected: str) -> None:
    """Times that are skipped come with the first that exists; of those that come twice the first counts."""
    assert expected == opens(window, at)


@pytest.mark.parametrize(
    ("to", "found"),
    [
        (ZA, "ZA"),
        (GERMANY, "DE"),
        (NEW_YORK, "US"),
        ("14165551234", "CA"),  # Toronto
        ("14161111111", "CA"),  # no valid number, but Toronto's area all the same
        ("18765551234", "JM"),
        ("18095551234", "DO"),
        ("12425551234", "BS"),
        ("17875551234", "PR"),
        ("16715551234", "GU"),
        ("12995551234", "US"),  # an area that no country has claimed yet
        ("79161234567", "RU"),
        ("77011234567", "KZ"),
        ("262692123456", "RE"),
        ("262639012345", "YT"),
        ("447700900123", "GB"),
        ("38344123456", "XK"),
        (SATELLITE, zones.NOWHERE),
        ("80012345678", zones.NOWHERE),
        ("99912345678", zones.NOWHERE),
        ("", zones.NOWHERE),
    ],
)
def test_a_number_gives_its_country(to: str, found: str) -> None:
    """By calling code, and by area where countries share one."""
    assert found == zones.country(to)


def test_every_country_has_zones_and_the_first_is_its_own() -> None:
    """A country that fell through to UTC would be woken at night."""
    utc = (ZoneInfo("UTC"),)
    assert set() == {region for region in phonenumbers.SUPPORTED_REGIONS if zones.zones(region) == utc}
    for region, first in zones._MOST_PEOPLED.items():
        assert first in {zone.key for zone in zones.zones(region)}
        assert first == zones.zones(region)[0].key
    assert utc == zones.zones(zones.NOWHERE)


def test_a_number_is_taken_for_a_country_with_other_clocks_only_if_it_is_a_landline_of_two_islands() -> None:
    """The table of deciding digits follows the numbering plans: a country that keeps another clock needs a row."""
    year = [datetime(2031, month, 15, hour, tzinfo=UTC) for month in range(1, 13) for hour in (0, 12)]
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    wrong = set()
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in kinds:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            to = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
            clocks = [
                {tuple(at.astimezone(zone).utcoffset() for at in year) for zone in zones.zones(code)}
                for code in (phonenumbers.region_code_for_number(number), zones.country(to))
            ]
            if clocks[0] != clocks[1]:
                wrong.add(region)
    assert {"CC", "CX"} == wrong


@pytest.mark.parametrize(
    ("window", "to", "at", "expected"),
    [
        # winter: 08:00 in Hawaii (UTC-10) is the last to come, 21:00 in New York (UTC-5) the first to end
        ("daily 08:00-21:00 recipient", TOLL_FREE, "2031-01-15 13:00", "2031-01-15 18:00"),
        ("daily 08:00-21:00 recipient", TOLL_FREE, "2031-01-15 18:00", "now"),
        ("daily 08:00-21:00 recipient", TOLL_FREE, "2031-01-16 02:00", "2031-01-16 18:00"),
        ("mon-fri 08:00-21:00 recipient", TOLL_FREE, "2031-01-18 01:59", "now"),  # Friday 20:59 in New York
        ("mon-fri 08:00-21:00 recipient", TOLL_FREE, "2031-01-18 02:00", "2031-01-20 18:00"),
        # two hours on one day: never in all of the United States at once, so New York decides
        ("daily 10:00-12:00 recipient", TOLL_FREE, "2031-01-15 13:00", "2031-01-15 15:00"),
        # an area code leaves its own zone alone
        ("daily 08:00-21:00 recipient", NEW_YORK, "2031-01-15 12:59", "2031-01-15 13:00"),
        ("daily 08:00-21:00 recipient", NEW_YORK, "2031-01-16 01:59", "now"),
        ("daily 08:00-21:00 recipient", "18085551234", "2031-01-15 13:00", "2031-01-15 18:00"),  # Honolulu
        ("daily 08:00-21:00 recipient", "16025551234", "2031-07-15 14:59", "2031-07-15 15:00"),  # Phoenix, UTC-7
        ("daily 08:00-21:00 recipient", "74951234567", "2031-01-15 17:59", "now"),  # a landline in Moscow
        ("daily 08:00-21:00 recipient", "5592991234567", "2031-01-15 11:59", "2031-01-15 12:00"),  # Manaus
        # Kaliningrad (UTC+2) to Kamchatka (UTC+12): 06:00 to 09:00 UTC; Moscow (UTC+3) decides on four hours
        ("daily 08:00-21:00 recipient", "79161234567", "2031-01-15 05:59", "2031-01-15 06:00"),
        ("daily 08:00-21:00 recipient", "79161234567", "2031-01-15 09:00", "2031-01-16 06:00"),
        ("daily 10:00-14:00 recipient", "79161234567", "2031-01-15 05:59", "2031-01-15 07:00"),
        ("daily 10:00-12:00 recipient", "61412345678", "2031-07-15 12:00", "2031-07-16 00:00"),  # Sydney
        ("daily 10:00-11:00 recipient", "5511961234567", "2031-07-15 12:00", "2031-07-15 13:00"),  # Sao Paulo
        ("daily 10:00-12:00 recipient", "14165551234", "2031-01-15 13:00", "2031-01-15 15:00"),  # Toronto
        # one country, one zone, and the neighbours on the same calling code
        ("daily 08:00-21:00 recipient", "18765551234", "2031-07-15 12:00", "2031-07-15 13:00"),  # Jamaica
        ("daily 08:00-21:00 recipient", "17875551234", "2031-07-15 11:59", "2031-07-15 12:00"),  # Puerto Rico
        ("daily 08:00-20:00 recipient", INDIA, "2031-06-30 02:29", "2031-06-30 02:30"),
        ("daily 08:00-20:00 recipient", SATELLITE, "2031-06-30 07:59", "2031-06-30 08:00"),  # UTC
    ],
)
def test_a_recipients_window_is_open_in_all_zones_of_the_number(window: str, to: str, at: str, expected: str) -> None:
    """Nobody is woken at night; where that leaves no time at all, the zone of most people decides."""
    assert expected == opens(window, at, to)


def test_lane_1_never_waits() -> None:
    """A login code goes at any hour, with any tags."""
    windows = Windows.decode({b"lane:3": b"mon 08:00-09:00 UTC", b"tag:promo": b"mon 08:00-09:00 UTC"})

    assert () == windows.applying_to(1, ["promo"])
    assert ms("2031-06-29 03:00") == windows.opening(1, ["promo"], ZA, ms("2031-06-29 03:00"))


def test_a_message_waits_until_all_of_its_windows_are_open() -> None:
    """A lane's window and those of its tags; the ones of others do not count."""
    windows = Windows.decode(
        {
            b"lane:3": b"mon-fri 08:00-20:00 recipient",
            b"tag:promo": b"daily 17:00-19:00 Europe/London",
            b"tag:news": b"sun 08:00-20:00 recipient",
            b"tag:a:b": b"daily 00:00-24:00 UTC",
        }
    )
    saturday = ms("2031-06-28 12:00")

    assert saturday == windows.opening(2, ["other"], ZA, saturday)
    assert ms("2031-06-30 06:00") == windows.opening(3, (), ZA, saturday)
    assert ms("2031-06-28 16:00") == windows.opening(2, ["promo"], ZA, saturday)
    assert ms("2031-06-30 16:00") == windows.opening(3, ["promo"], ZA, saturday)
    assert ms("2031-06-30 16:00") == windows.opening(3, ["promo", "a:b"], "447700900123", saturday)
    assert windows.opening(3, ["news"], ZA, saturday) is None
    assert 2 == len(windows.applying_to(3, ["promo", "other"]))
    assert saturday == common_opening((), ZA, saturday)


def test_windows_that_meet_later_than_in_8_days_never_do() -> None:
    """A message is valid for 8 days at most, so to wait longer is to be lost."""
    skipped = Windows.decode({b"lane:2": b"sun 02:10-02:50 Europe/Berlin"})  # on 2031-03-30 it does not exist

    assert skipped.opening(2, (), ZA, ms("2031-03-23 02:00")) is None
    assert skipped.opening(2, (), ZA, ms("2031-03-29 00:09")) is None
    assert ms("2031-04-06 00:10") == skipped.opening(2, (), ZA, ms("2031-03-29 00:10"))


def test_an_unreadable_entry_holds_nothing_back_and_is_reported() -> None:
    """Neither a silent stop nor a crash: the others apply, and the reader can raise an alarm."""
    windows = Windows.decode(
        {
            b"lane:3": b"daily 08:00-20:00 UTC",
            b"lane:2": b"whenever",
            b"lane:1": b"daily 08:00-20:00 UTC",
            b"tag:\xff": b"daily 08:00-20:00 UTC",
            b"tag:": b"daily 08:00-20:00 UTC",
            b"tag:x": b"\xff\xfe",
            b"tag:y": b"daily 08:00-20:00 Mars/Olympus",
        }
    )

    assert {"lane:3"} == set(windows.by_scope)
    assert {"lane:2", "lane:1", "tag:\ufffd", "tag:", "tag:x", "tag:y"} == set(windows.unreadable)
    assert ms("2031-06-29 03:00") == windows.opening(2, ["x"], ZA, ms("2031-06-29 03:00"))


@pytest.mark.parametrize(
    ("scope", "problem"),
    [
        ("lane:1", "sent at any hour"),
        ("lane:4", "give lane:2, lane:3 or tag:<tag>"),
        ("promo", "give lane:2, lane:3 or tag:<tag>"),
        ("tag", "give lane:2"),
        ("tag:", "is not a valid name"),
        ("tag:<b>", "is not a valid name"),
        ("", "give lane:2"),
    ],
)
def test_a_scope_without_windows_is_refused_with_the_reason(scope: str, problem: str) -> None:
    """Lane 1 by intent, all else by name."""
    with pytest.raises(ValueError, match=r".") as wrong:
        parse_scope(scope)

    assert problem in str(wrong.value)


# what hypothesis tries: odd zones, around the days on which clocks change

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"]
ZONES += ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns", "Africa/Casablanca", "America/Havana"]

days = st.frozensets(st.integers(0, 6), min_size=1)
times = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda pair: pair[0] != pair[1])
spans = st.builds(lambda days, pair: WeeklyHours(days, *pair), days, times)
windows = st.builds(
    Window, st.lists(spans, min_size=1, max_size=3).map(tuple), st.sampled_from(ZONES) | st.just("recipient")
)
changes = ["2031-03-09", "2031-03-30", "2031-04-06", "2031-09-07", "2031-10-05", "2031-10-26", "2031-11-02"]
moments = st.builds(
    lambda day, shift: ms(day) + shift, st.sampled_from(changes), st.integers(-8 * DAY // MINUTE, 2 * DAY // MINUTE)
).map(lambda minute: minute - minute % MINUTE) | st.integers(ms("2026-01-01"), ms("2036-01-01"))


class Walk:
    """Computes what is open from the clock at every minute, without any knowledge of when clocks change."""

    def __init__(self, window: Window, zone: ZoneInfo, since: int, until: int) -> None:
        """Note for each wall time the first minute at which the clock shows it or a later one."""
        self.minutes = range(since - since % MINUTE - 2 * DAY, until + 2 * MINUTE, MINUTE)
        shown = [datetime.fromtimestamp(at // 1000, zone).replace(tzinfo=None) for at in self.minutes]
        self.open: set[int] = set()
        for span in window.spans:
            for day in (shown[0].date() + timedelta(days=n) for n in range((shown[-1] - shown[0]).days + 2)):
                if day.weekday() in span.days:
                    closes = span.closes + (1440 if span.closes < span.opens else 0)
                    self.open.update(range(self._first(shown, day, span.opens), self._first(shown, day, closes)))

    def _first(self, shown: list[datetime], day: date, minutes: int) -> int:
        wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
        around = range(max(0, (wall - shown[0]) // timedelta(minutes=1) - 180), len(shown))
        return next((at for at in around if shown[at] >= wall), len(shown))

    def is_open(self, at: int) -> bool:
        return (at - self.minutes.start) // MINUTE in self.open


@given(windows)
def test_a_window_is_read_as_it_was_written(window: Window) -> None:
    """The list on Redis is text, and nothing is lost on the way."""
    assert window == parse(str(window))


@given(windows, st.sampled_from([ZA, INDIA, "18765551234", SATELLITE]), moments)
@example(parse("sun 02:10-02:50 Europe/Berlin"), ZA, ms("2031-03-23 02:00"))
@example(parse("daily 01:30-02:30 Europe/Berlin"), ZA, ms("2031-10-26 00:30"))
def test_it_goes_at_the_first_open_minute(window: Window, to: str, now: int) -> None:
    """The moment is open, and no minute before it is; held against a walk along the clock."""
    found = opening(window, to, now)
    (zone,) = window.zones(to)
    walk = Walk(window, zone, now, found)

    assert now <= found
    assert found == opening(window, to, found)
    assert walk.is_open(found)
    assert found == now or not walk.is_open(now)
    assert [] == [at for at in range(now - now % MINUTE + MINUTE, found, MINUTE) if walk.is_open(at)]


@settings(max_examples=25)  # 29 zones each
@given(windows, st.sampled_from([TOLL_FREE, "12705551234", "79161234567", GERMANY]), moments)
def test_in_a_long_country_it_goes_when_all_are_awake_or_the_most(window: Window, to: str, now: int) -> None:
    """Each zone on its own is open at that moment, unless they are never open together."""
    window = Window(window.spans, "recipient")
    found = opening(window, to, now)
    single = [Window(window.spans, zone.key) for zone in window.zones(to)]

    together = common_opening(tuple(single), to, now)
    if together is None:
        assert found >= opening(single[0], to, now)
    else:
        assert found == together
        assert all(found == opening(one, to, found) for one in single)


def test_a_look_up_is_cheap() -> None:
    """A newsletter of a million passes here: all that is worked out is kept, for each country and day."""
    from threelane.contract.window import _calendar

    window = parse("mon-fri 08:00-20:00; sat 09:00-13:01 recipient")
    now = ms("2031-06-29 12:00")
    opening(window, ZA, now)
    worked_out = _calendar.cache_info().misses
    for number in range(1000):
        opening(window, f"2783123{number:04}", now + number)

    assert worked_out == _calendar.cache_info().misses
