"""When a message is due, and until when it is worth sending."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from threelane.contract import schedule
from threelane.contract.refusal import Code, Refusal
from threelane.contract.schedule import DAY, HORIZON, MINUTE

NOW = 1_900_000_000_000


@pytest.mark.parametrize(
    ("raw", "instant"),
    [
        (datetime(2031, 6, 30, 14, tzinfo=UTC), 1_940_594_400_000),
        (datetime(2031, 6, 30, 16, tzinfo=timezone(timedelta(hours=2))), 1_940_594_400_000),
        ("2031-06-30T14:00:00Z", 1_940_594_400_000),
        (" 2031-06-30 16:00:00.000+02:00\n", 1_940_594_400_000),
    ],
)
def test_a_time_with_a_zone_is_one_instant(raw: object, instant: int) -> None:
    """The same moment in any zone and notation is the same number."""
    assert instant == schedule.instant(raw, "deliver_at")


@pytest.mark.parametrize(
    "raw",
    [
        datetime(2031, 6, 30, 14),  # noqa: DTZ001, RUF100 - the lack of a zone is the subject
        "2031-06-30T14:00:00",
        "2031-06-30",
        "tomorrow",
        "",
        "\ud800",
        1_940_594_400,
        None,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_an_invalid_instant_is_refused(raw: object) -> None:
    """A time without a zone is refused, never guessed: an hour's error at night is a complaint."""
    refused = schedule.instant(raw, "deliver_at")

    assert isinstance(refused, Refusal)
    assert (Code.TIME_OR_CLIENT_ID, "deliver_at") == (refused.code, refused.field)


@pytest.mark.parametrize(
    ("raw", "milliseconds"),
    [(0, 0), (90, 90_000), (1.5, 1_500), ("90", 90_000), (timedelta(minutes=2), 120_000), (604_800, HORIZON)],
)
def test_a_delay_is_seconds_or_a_timedelta(raw: object, milliseconds: int) -> None:
    """Also as text, which is all that a CSV cell can be."""
    assert milliseconds == schedule.wait(raw, "delay")


@pytest.mark.parametrize(
    "raw", [-1, 604_801, "soon", "", None, True, float("nan"), float("inf"), "inf", 10**400, timedelta(days=8)]
)
def test_an_invalid_delay_is_refused(raw: object) -> None:
    """Up to the gateway's horizon of a week, and only forward."""
    refused = schedule.wait(raw, "delay")

    assert isinstance(refused, Refusal)
    assert (Code.TIME_OR_CLIENT_ID, "delay") == (refused.code, refused.field)


@pytest.mark.parametrize(
    ("at", "delay", "due"),
    [
        (None, None, 0),
        (None, 0, 0),
        (None, 5_000, NOW + 5_000),
        (NOW, None, 0),
        (NOW - schedule.SLACK, None, 0),
        (NOW + 1, None, NOW + 1),
        (NOW + HORIZON, None, NOW + HORIZON),
    ],
)
def test_a_message_is_due_at_once_or_at_its_time(at: int | None, delay: int | None, due: int) -> None:
    """A caller's "now" is a little past when it arrives; that is at once."""
    assert due == schedule.due(at, delay, NOW, "deliver_at")


@pytest.mark.parametrize(
    ("at", "delay", "field"),
    [
        (NOW - schedule.SLACK - 1, None, "deliver_at"),
        (NOW + HORIZON + 1, None, "deliver_at"),
        (NOW + DAY, 0, "delay"),
    ],
)
def test_a_time_outside_the_week_ahead_is_refused(at: int, delay: int | None, field: str) -> None:
    """The gateway schedules seven days ahead; and one message has one time."""
    refused = schedule.due(at, delay, NOW, field)

    assert isinstance(refused, Refusal)
    assert (Code.TIME_OR_CLIENT_ID, field) == (refused.code, refused.field)


def test_validity_counts_from_now_and_its_default_from_the_delivery() -> None:
    """A validity is the gateway's: minutes from acceptance; a day after delivery is the default."""
    assert NOW + 5 * MINUTE == schedule.expiry(5, 0, NOW, "validity")
    assert NOW + DAY == schedule.expiry(None, 0, NOW, "validity")
    assert NOW + 6 * DAY == schedule.expiry(None, NOW + 5 * DAY, NOW, "validity")


@pytest.mark.parametrize(("wait", "refused"), [(5 * MINUTE - 1, False), (5 * MINUTE, True), (DAY, True)])
def test_a_validity_that_ends_before_the_delivery_is_refused(wait: int, refused: bool) -> None:
    """It would expire in the queue for certain."""
    assert refused is isinstance(schedule.expiry(5, NOW + wait, NOW, "validity"), Refusal)


@pytest.mark.parametrize(("left", "refused"), [(0, True), (1, True), (6 * MINUTE - 1, True), (6 * MINUTE, False)])
def test_a_validity_that_the_gateway_s_scheduler_may_miss_is_refused(left: int, refused: bool) -> None:
    """It may deliver 5 minutes late; a message that Threelane keeps leaves in time."""
    due_at = NOW + 61 * MINUTE - left
    found = schedule.expiry(61, due_at, NOW, "validity", at_gateway=True)
    assert refused is isinstance(found, Refusal)
    if isinstance(found, Refusal):
        least = int(re.findall("[0-9]+", found.remedy)[0]) if left else 0
        assert (Code.TIME_OR_CLIENT_ID, "validity") == (found.code, found.field)
        assert not left or not isinstance(schedule.expiry(least, due_at, NOW, "validity", at_gateway=True), Refusal)
        assert not left or isinstance(schedule.expiry(least - 1, due_at, NOW, "validity", at_gateway=True), Refusal)
        assert not left or not isinstance(schedule.expiry(61, due_at, NOW, "validity"), Refusal)


@pytest.mark.parametrize("waited", [0, 1, 29_999, 59_999, 47 * MINUTE + 3])
@pytest.mark.parametrize("seconds", [60, 3_600, 3_601, 7_259])
def test_the_least_validity_outlasts_a_late_delivery_in_whole_minutes(seconds: int, waited: int) -> None:
    """On the XML API the delivery is in minutes from the handover, rounded up, and the validity is rounded down."""
    due_at = NOW + seconds * 1_000
    least = -(-(due_at + schedule.GATEWAY_LATE - NOW) // MINUTE)
    expires_at = schedule.expiry(least, due_at, NOW, "validity", at_gateway=True)
    assert not isinstance(expires_at, Refusal)
    assert expires_at is not None
    now = min(NOW + waited, due_at - 1)
    delivered = -(-(due_at - now) // MINUTE) + 5
    assert delivered <= schedule.minutes_left(expires_at, now)


@pytest.mark.parametrize(
    ("left", "most", "minutes"),
    [
        (-DAY, 10_080, 1),
        (0, 10_080, 1),
        (90_000, 10_080, 1),
        (10_080 * MINUTE - 1, 10_080, 10_079),
        (10_080 * MINUTE, 10_080, 10_080),
        (11_520 * MINUTE, 10_080, 10_080),
        (11_520 * MINUTE, 1_440, 1_440),
        (11_520 * MINUTE, 20_000, 11_520),
    ],
)
def test_the_gateway_gets_what_is_left_within_what_it_takes(left: int, most: int, minutes: int) -> None:
    """Whole minutes, never none and never more than it takes: either is refused."""
    assert minutes == schedule.minutes_left(NOW + left, NOW, most)


@pytest.mark.parametrize("most", [2, 60, 1_440, 2_880, 10_080, 20_000])
@pytest.mark.parametrize("valid_days", [0.01, 1, 5, 8])
def test_a_handover_is_before_the_delivery_and_leaves_validity_after_it(most: int, valid_days: float) -> None:
    """Whatever the limit is, the gateway has the message in time, and does not drop it at its delivery time."""
    due_at = NOW + 7 * DAY
    expires_at = due_at + round(valid_days * DAY)
    at = schedule.handover(due_at, expires_at, most)
    assert at < due_at < min(expires_at, at + schedule.minutes_left(expires_at, at, most) * MINUTE)
