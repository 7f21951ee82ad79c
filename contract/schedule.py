"""Schedule: when a message is due, and when it expires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from threelane.contract import quantity
from threelane.contract.refusal import Code, Refusal

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
HORIZON = 7 * DAY  # the gateway schedules no further ahead
SLACK = 1_000  # a caller's "now" has passed when it is parsed
DEFAULT_VALIDITY = DAY  # the gateway's own default
_LATEST_SECONDS = 253_402_300_800  # the year 10000, as of a datetime
_MOST_DIGITS = 13
MAX_VALIDITY_MINUTES = 8 * 24 * 60  # the retention of a client message id
GATEWAY_LATE = 6 * MINUTE  # its scheduler may be 5 minutes late, and takes whole minutes on the XML API
GATEWAY_VALIDITY_MINUTES = 7 * 24 * 60  # the most that the gateway is known to take


def instant(raw: object, field: str) -> int | Refusal:
    """Return a time in milliseconds of Unix time; a time without a zone is refused, never guessed."""
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw.strip())
        except ValueError:
            return _refused(field, "not a time", "write ISO 8601 with a zone, as in 2031-06-30T14:00:00Z")
    if not isinstance(raw, datetime):
        return _refused(field, f"expected a time, got {type(raw).__name__}", "give a datetime or an ISO 8601 string")
    if raw.tzinfo is None or raw.utcoffset() is None:
        return _refused(field, "the time has no zone", "add Z or an offset such as +02:00")
    try:
        return round(raw.astimezone(UTC).timestamp() * 1000)
    except (OverflowError, ValueError):
        return _refused(field, "the time is out of range", "give a time within the next 7 days")


def wait(raw: object, field: str) -> int | Refusal:
    """Return a delay in milliseconds, given in seconds or as a timedelta."""
    if isinstance(raw, timedelta):
        raw = raw.total_seconds()
    seconds = quantity.number(raw)
    if seconds is None:
        return _refused(field, "not a number of seconds", "write seconds, as in 90")
    if seconds < 0:
        return _refused(field, "the delay is negative", "give 0 or more seconds")
    if seconds * 1000 > HORIZON:
        return _refused(field, "more than 7 days ahead", "give at most 7 days, 604800 seconds")
    return round(seconds * 1000)


def unix_seconds(raw: object, field: str) -> int | Refusal:
    """Return a time in milliseconds of Unix time, given in seconds, as the gateway's ``scheduled_time`` is."""
    seconds = _whole(raw)
    if seconds is None or not 0 < seconds < _LATEST_SECONDS:
        return _refused(field, "not a Unix time in seconds", "write seconds since 1970, as in 1940596200")
    return seconds * 1000


def wait_minutes(raw: object, field: str) -> int | Refusal:
    """Return a delay in milliseconds, given in minutes, as the gateway's ``deliv_time`` is."""
    minutes = _whole(raw)
    if minutes is None or minutes * MINUTE > HORIZON:
        return _refused(field, "not a number of minutes from 0 to 10080", "write whole minutes, as in 15")
    return minutes * MINUTE


def _whole(raw: object) -> int | None:
    if isinstance(raw, str):
        raw = raw.strip()
        return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < _MOST_DIGITS else None
    is_number = isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 10**_MOST_DIGITS
    return raw if is_number else None  # type: ignore[return-value]


def due(at: int | None, delay: int | None, now: int, field: str) -> int | Refusal:
    """Return when the message is due (0: now), within the next 7 days."""
    if at is None:
        return now + delay if delay else 0
    if delay is not None:
        return _refused("delay", "a delay and a delivery time", "give one of the two")
    if at < now - SLACK:
        return _refused(field, "the time is in the past", "leave it out to send at once")
    if at > now + HORIZON:
        return _refused(field, "more than 7 days ahead", "give a time within 7 days, or send it later")
    return at if at > now else 0


def expiry(minutes: int | None, due_at: int, now: int, field: str, *, at_gateway: bool = False) -> int | Refusal:
    """Return the time after which the message is no longer sent.

    A given validity counts from now; the default of one day counts from the delivery time.  The gateway's scheduler may
    deliver some minutes late, and a message whose validity ends by then would be accepted and expire there.
    """
    if minutes is None:
        return (due_at or now) + DEFAULT_VALIDITY
    expires_at = now + minutes * MINUTE
    if expires_at <= due_at:
        return Refusal(
            code=Code.TIME_OR_CLIENT_ID,
            field=field,
            problem="the validity ends before the delivery time",
            remedy="give more minutes: the validity counts from now",
        )
    if at_gateway and expires_at < due_at + GATEWAY_LATE:
        late = GATEWAY_LATE // MINUTE
        least = -(-(due_at + GATEWAY_LATE - now) // MINUTE)
        return Refusal(
            code=Code.TIME_OR_CLIENT_ID,
            field=field,
            problem=f"the validity ends less than {late} minutes after the delivery time, and the gateway may be late",
            remedy=f"give {least} minutes or more, or leave out at_gateway: then Threelane keeps the delivery time",
        )
    return expires_at


def minutes_left(expires_at: int, now: int, most: int = GATEWAY_VALIDITY_MINUTES) -> int:
    """Return the validity to give the gateway: the minutes left, 1 to ``most``, counted from when it gets the message.

    Never leave it out: the gateway's default of 24 hours also counts from then, whatever the delivery time is.
    """
    return max(1, min((expires_at - now) // MINUTE, most))


def lead(most: int) -> int:
    """Return how long before its delivery time the gateway gets a message at the latest, in milliseconds.

    It is a day, or half of the validity that the gateway takes, so that as much is left after the delivery time.
    """
    return min(DAY, most * MINUTE // 2)


def handover(due_at: int, expires_at: int, most: int = GATEWAY_VALIDITY_MINUTES) -> int:
    """Return when a message for the gateway's scheduler is handed over: once it takes what is left of its validity."""
    return min(expires_at - most * MINUTE, due_at - lead(most))


def is_long(due_at: int, expires_at: int, now: int, *, at_gateway: bool) -> bool:
    """Return whether more of the validity is left when the message is sent than the gateway is known to take."""
    sent_at = max(now, handover(due_at, expires_at)) if at_gateway else due_at or now
    return expires_at - sent_at > GATEWAY_VALIDITY_MINUTES * MINUTE


def _refused(field: str, problem: str, remedy: str) -> Refusal:
    return Refusal(code=Code.TIME_OR_CLIENT_ID, field=field, problem=problem, remedy=remedy)


def bound(raw: datetime | str | None, field: str) -> int | None:
    """Return a search bound in milliseconds of Unix time, or None; raises ValueError with problem and remedy."""
    at = instant(raw, field) if raw else None
    if isinstance(at, Refusal):
        raise ValueError(f"{field}: {at.problem}; {at.remedy}")
    return at
