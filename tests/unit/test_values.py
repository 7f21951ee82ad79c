"""Values on the command line are written and read as people do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from threelane.contract import duration
from threelane.contract.duration import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS
from threelane.interfaces.command import values

SUMMER = 1_940_594_400_000  # 2031-06-30 14:00 UTC


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reader in Berlin."""
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_times_are_in_the_readers_zone_with_its_offset() -> None:
    """The same text is understood by the options that take a time."""
    shown = values.shown_at(SUMMER)
    assert "2031-06-30 16:00:00+02:00" == shown
    assert SUMMER / 1000 == datetime.fromisoformat(shown).timestamp()
    assert "2031-06-30 16:00:00.007+02:00" == values.shown_exactly(SUMMER + 7)


@pytest.mark.usefixtures("berlin")
def test_times_are_in_utc_on_request() -> None:
    """For a log or a colleague elsewhere."""
    values.use_utc(True)
    try:
        assert "2031-06-30 14:00:00Z" == values.shown_at(SUMMER)
    finally:
        values.use_utc(False)


@pytest.mark.parametrize("at", [2**53, -(2**60), 10**30])
def test_a_time_that_no_calendar_has_is_shown_as_it_is(at: int) -> None:
    """A damaged row must not take the rest of its table with it."""
    assert f"{at} ms" == values.shown_at(at)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (59.9, "59 s ago"),
        (200, "3 min ago"),
        (7_300, "2 h ago"),
        (200_000, "2 days ago"),
        (-90, "in 1 min"),
    ],
)
def test_ages_are_in_one_unit(seconds: float, words: str) -> None:
    """As people say them."""
    assert words == values.age(SUMMER, SUMMER + int(seconds * 1000))


@pytest.mark.parametrize(
    ("millionths", "shown"),
    [
        (0, "0.00"),
        (400_000, "0.40"),
        (125_000, "0.125"),
        (1, "0.000001"),
        (-2_500_000, "-2.50"),
        (12e11, "1,200,000.00"),
    ],
)
def test_amounts_are_in_credits_and_not_rounded(millionths: int, shown: str) -> None:
    """A charge of a thousandth is none of 0.00."""
    assert shown == values.credits(millionths)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5h", 5_400),
        ("1h30m", 5_400),
        ("1 h 30 min", 5_400),
        ("1 Hour and 30 minutes", 5_400),
        ("2 days", 2 * DAY_SECONDS),
        ("1w", 7 * DAY_SECONDS),
        ("0", 0),
    ],
)
def test_durations_are_read_as_people_write_them(written: str, seconds: float) -> None:
    """A number alone is in the option's own unit."""
    assert seconds == duration.parse(written)


def test_a_number_alone_is_in_the_unit_of_its_option() -> None:
    """Options had numbers of minutes, hours or days before durations."""
    assert 120 == duration.parse("2", MINUTE_SECONDS)
    assert 1_800 == duration.parse("0.5", HOUR_SECONDS)


@pytest.mark.parametrize("written", ["", "x", "-5", "-1h", "1h30", "30m30m", "1 fortnight", "nan", "9" * 90, "101y"])
def test_anything_else_is_refused_with_the_right_form(written: str) -> None:
    """A sentence, and never a guess."""
    with pytest.raises(ValueError, match=r"write 90s, 30m, 1h30m or 2 days|give 0 or more"):
        duration.parse(written)
    with pytest.raises(typer.BadParameter):
        values.duration_in(1)(written)


@given(st.integers(0, 10 * DAY_SECONDS))
def test_a_written_duration_is_read_again(seconds: int) -> None:
    """To within what its two units leave out."""
    lost = MINUTE_SECONDS if seconds < DAY_SECONDS else HOUR_SECONDS
    assert 0 <= seconds - duration.parse(duration.written(seconds)) < lost


def test_a_duration_out_of_range_is_refused_with_the_range() -> None:
    """In the words of the options."""
    with pytest.raises(typer.BadParameter, match="give at most 7 d"):
        values.duration_in(HOUR_SECONDS, most=168)("8 days")
    assert 24 == values.duration_in(HOUR_SECONDS, most=168)("1 day")
