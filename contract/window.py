"""Window: the hours in which messages of a lane or a tag may be sent, and when it opens next."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache, reduce
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from threelane.contract import fields
from threelane.contract.holidays import Holidays
from threelane.contract.hours import Interval, WeeklyHours, parse_weekly_hours, whole_day
from threelane.contract.refusal import Refusal
from threelane.contract.schedule import DAY
from threelane.contract.zones import NOWHERE, Place, place, zones

RECIPIENT = "recipient"
LOOK_AHEAD_DAYS = 8  # the longest validity of a message
NO_HOLIDAYS = Holidays()

_LOOSE = re.compile(r"(?<=[a-z])\s*([,-])\s*(?=[a-z])|(?<=\d)\s*(-)\s*(?=\d)", re.IGNORECASE)  # mon - fri, 8:00 - 9:00
_FORM = "write days, hours and a zone, as in mon-fri 08:00-20:00; sat 09:00-13:00 Africa/Johannesburg"


class Window(msgspec.Struct, frozen=True, cache_hash=True):
    """Weekly hours in an IANA zone, or in the recipient's; ``parse`` reads the text that ``str`` returns."""

    spans: tuple[WeeklyHours, ...]
    zone: str

    def __post_init__(self) -> None:
        """Raise ValueError for a window that never opens."""
        if not self.spans:
            raise ValueError(f"the window has no hours: {_FORM}")

    def __str__(self) -> str:
        """Return the canonical text."""
        return "; ".join(map(str, self.spans)) + " " + self.zone

    def zones(self, to: str) -> tuple[ZoneInfo, ...]:
        """Return the zones that apply to a recipient; the first one decides if they never agree."""
        return _zones(self, _place((self,), NO_HOLIDAYS, to).zones)


@lru_cache(maxsize=1024)
def parse(text: str) -> Window:
    """Parse a text such as ``mon-fri 08:00-20:00; sat 09:00-13:00 recipient``.

    Days are ``daily``, or weekdays and ranges with commas; hours go from 00:00 to 24:00 and may pass midnight
    (``fri 20:00-02:00`` ends on Saturday); the zone is an IANA name or ``recipient``, once, at the end.
    Raises ValueError with the problem and the correct form.
    """
    if not text.strip():
        raise ValueError(f"the window is empty: {_FORM}")
    *spans, last = (part.split() for part in _LOOSE.sub(r"\1\2", text.strip().replace("–", "-")).split(";"))
    if len(last) == 2:
        raise ValueError(
            "the zone is missing: end with one, as in Europe/Berlin, or with recipient for the recipient's zone"
        )
    if any(len(words) == 3 for words in spans):
        raise ValueError("the zone is in the wrong place: give it once, after the last hours")
    if len(last) != 3 or any(len(words) != 2 for words in spans):
        raise ValueError(f"{text.strip()!r} is not a window: {_FORM}")
    *last, zone = last
    return Window(tuple(parse_weekly_hours(days, hours) for days, hours in [*spans, last]), _zone_name(zone))


def opening(window: Window, to: str, now_ms: int) -> int:
    """Return ``now_ms`` if the window is open for the recipient, else when it opens next, in milliseconds.

    ``to`` is an MSISDN.  With ``recipient`` the zones are those of the number's area code, if it has one, else those of
    its country (zones.py; UTC for numbers without one).  With several zones the window is open only if it is open in
    all of them, so that nobody is woken at night.  If that never happens on the day of ``now_ms`` (in UTC) or in the
    8 days after it, as with a short window in a wide country, the zone with the most people decides.

    A time that clocks skip in spring maps to the first time after the gap; of a time that they show twice in autumn,
    the first counts.  Hours that lie within the skipped hour do not open on that day.
    """
    where, day = _place((window,), NO_HOLIDAYS, to), now_ms // DAY
    while True:  # terminates: no clock skips the same hours every week
        found = _calendar((window,), where.zones, day).next(now_ms)
        if found is not None:
            return found
        day += LOOK_AHEAD_DAYS


def common_opening(windows: tuple[Window, ...], to: str, now_ms: int, holidays: Holidays = NO_HOLIDAYS) -> int | None:
    """Return the first time from ``now_ms`` at which all are open, or None if there is none within 8 days.

    They are closed while it is a holiday of the recipient's country in any of the recipient's zones.
    """
    if not windows:
        return now_ms
    return opening_at(windows, _place(windows, holidays, to), now_ms, holidays)


def opening_at(windows: tuple[Window, ...], where: Place, now_ms: int, holidays: Holidays = NO_HOLIDAYS) -> int | None:
    """Return the same for a place instead of a number."""
    day = now_ms // DAY
    found = _calendar(windows, where.zones, day, _closed_days(holidays, where, day)).next(now_ms)
    return found if found is not None and found <= now_ms + LOOK_AHEAD_DAYS * DAY else None


class Windows(msgspec.Struct, frozen=True):
    """All windows by their scope, ``lane:2``, ``lane:3`` or ``tag:<tag>``.

    ``unreadable`` has the invalid entries with the reason; they hold nothing back, so they raise an alarm.
    ``holidays`` close every window.
    """

    by_scope: dict[str, Window] = {}
    unreadable: dict[str, str] = {}
    holidays: Holidays = NO_HOLIDAYS

    @classmethod
    def decode(cls, entries: Mapping[bytes, bytes], holidays: Mapping[bytes, bytes] | None = None) -> Self:
        """Parse the hashes ``tl:windows`` and ``tl:holidays``; does not raise for their content."""
        by_scope, unreadable = {}, {}
        for scope, text in entries.items():
            try:
                by_scope[parse_scope(scope.decode())] = parse(text.decode())
            except ValueError as wrong:
                unreadable[scope.decode(errors="replace")] = str(wrong)
        return cls(by_scope, unreadable, Holidays.decode(holidays or {}))

    def applying_to(self, lane: int, tags: Iterable[str]) -> tuple[Window, ...]:
        """Return the windows that apply to a message; none for lane 1."""
        if lane == 1 or not self.by_scope:
            return ()
        scopes = (f"lane:{lane}", *(f"tag:{tag}" for tag in tags))
        return tuple(self.by_scope[scope] for scope in scopes if scope in self.by_scope)

    def opening(self, lane: int, tags: Iterable[str], to: str, now_ms: int) -> int | None:
        """Return when a message may be sent, in milliseconds: ``now_ms`` if now, None if not within 8 days."""
        return common_opening(self.applying_to(lane, tags), to, now_ms, self.holidays)


def parse_scope(text: str) -> str:
    """Return the scope of a window; raises ValueError for a scope that cannot have one."""
    kind, colon, name = text.strip().partition(":")
    if kind == "lane" and name == "1":
        raise ValueError(
            "lane:1 cannot have a window: login codes and alarms are sent at any hour; give lane:2, lane:3 or tag:<tag>"
        )
    if kind == "lane" and name in ("2", "3"):
        return f"lane:{name}"
    if kind != "tag" or not colon:
        raise ValueError(f"{text!r} cannot have a window: give lane:2, lane:3 or tag:<tag>, as in tag:promo")
    tag = fields.label(name, "tag")
    if isinstance(tag, Refusal):
        raise ValueError(f"{tag.problem}: a tag has {tag.remedy}")
    return f"tag:{tag}"


class _Calendar(NamedTuple):
    """The open intervals from the start of a UTC day on, sorted and disjoint."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def next(self, now_ms: int) -> int | None:
        at = bisect_right(self.ends, now_ms)
        return max(now_ms, self.begins[at]) if at < len(self.ends) else None


@lru_cache(maxsize=8192)
def _calendar(
    windows: tuple[Window, ...], where: tuple[ZoneInfo, ...], day: int, closed: tuple[date, ...] = ()
) -> _Calendar:
    """Return when all windows are open; computed once for each set of zones and day (UTC days since 1970)."""
    found = reduce(_both, (_open(window, where, day) for window in windows))
    for holiday in closed:
        for zone in where:
            found = list(_without(found, whole_day(holiday, zone)))
    return _Calendar(tuple(begins for begins, _ in found), tuple(ends for _, ends in found))


def _open(window: Window, where: tuple[ZoneInfo, ...], day: int) -> list[Interval]:
    by_zone = [_open_in(window.spans, zone, day) for zone in _zones(window, where)]
    return reduce(_both, by_zone) or by_zone[0]


def deciding_alone(windows: tuple[Window, ...], where: Place, now_ms: int) -> ZoneInfo | None:
    """Return the zone, of several, that alone decides for a window, since that is never open in all of them."""
    own = (window for window in windows if window.zone == RECIPIENT)
    by_window = ([_open_in(window.spans, zone, now_ms // DAY) for zone in where.zones] for window in own)
    return where.zones[0] if any(not reduce(_both, by_zone) for by_zone in by_window if by_zone[0]) else None


def _open_in(spans: Iterable[WeeklyHours], zone: ZoneInfo, day: int) -> list[Interval]:
    """Return the open intervals in one zone on the day and the 8 days after it, sorted and merged."""
    first = _date(day) - timedelta(days=2)  # west of UTC, past midnight
    found = sorted(interval for span in spans for interval in span.intervals(zone, first, LOOK_AHEAD_DAYS + 5))
    merged: list[Interval] = []
    for begins, ends in found:
        if merged and begins <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(ends, merged[-1][1]))
        else:
            merged.append((begins, ends))
    since, until = day * DAY, (day + LOOK_AHEAD_DAYS + 1) * DAY
    return [(begins, ends) for begins, ends in merged if ends > since and begins < until]


def _both(some: list[Interval], others: list[Interval]) -> list[Interval]:
    overlaps = ((max(a, b), min(a_ends, b_ends)) for a, a_ends in some for b, b_ends in others)
    return sorted((begins, ends) for begins, ends in overlaps if begins < ends)


def _without(found: Iterable[Interval], closed: Interval) -> Iterator[Interval]:
    for begins, ends in found:
        yield from (
            (first, last)
            for first, last in ((begins, min(ends, closed[0])), (max(begins, closed[1]), ends))
            if first < last
        )


def _closed_days(holidays: Holidays, where: Place, day: int) -> tuple[date, ...]:
    """Return the holidays that a calendar may meet, by the date of any zone."""
    if not holidays.by_country:
        return ()
    today = _date(day)
    return holidays.days(where.country, today - timedelta(days=1), today + timedelta(days=LOOK_AHEAD_DAYS + 2))


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * DAY // 1000, UTC).date()


def _place(windows: tuple[Window, ...], holidays: Holidays, to: str) -> Place:
    """Return where the recipient may live, if a window or a holiday depends on it."""
    if holidays.by_country or any(window.zone == RECIPIENT for window in windows):
        return place(to)
    return Place(NOWHERE, zones(NOWHERE))


def _zones(window: Window, where: tuple[ZoneInfo, ...]) -> tuple[ZoneInfo, ...]:
    return where if window.zone == RECIPIENT else (ZoneInfo(window.zone),)


@lru_cache(maxsize=1)
def _zone_names() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones())}


def _zone_name(text: str) -> str:
    """Return the canonical name of a zone; raises ValueError with the nearest name."""
    wanted, names = text.casefold(), _zone_names()
    if wanted == RECIPIENT:
        return RECIPIENT
    if wanted in names:
        return names[wanted]
    near = [name for key, name in names.items() if key.rpartition("/")[2] == wanted]
    near = near or [names[key] for key in get_close_matches(wanted, names, n=1)]
    hint = f"did you mean {near[0]}?" if near else "write an IANA name such as Europe/Berlin, or recipient"
    raise ValueError(f"{text!r} is not a zone: {hint}")
