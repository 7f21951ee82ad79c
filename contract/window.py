"""Window: the hours in which a lane's or a tag's messages may be sent, and when they open next."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache, reduce
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from threelane.contract import fields
from threelane.contract.hours import Interval, WeeklyHours, parse_weekly_hours
from threelane.contract.refusal import Refusal
from threelane.contract.schedule import DAY
from threelane.contract.zones import NOWHERE, country, zones

RECIPIENT = "recipient"
LOOK_AHEAD_DAYS = 8  # as long as a message can be valid

_LOOSE = re.compile(r"(?<=[a-z])\s*([,-])\s*(?=[a-z])|(?<=\d)\s*(-)\s*(?=\d)", re.IGNORECASE)  # mon - fri, 8:00 - 9:00
_FORM = "write days, hours and a zone, as in mon-fri 08:00-20:00; sat 09:00-13:00 Africa/Johannesburg"


class Window(msgspec.Struct, frozen=True, cache_hash=True):
    """Spans of hours by the clocks of a named IANA zone, or of the recipient; ``parse`` reads what ``str`` writes."""

    spans: tuple[WeeklyHours, ...]
    zone: str

    def __post_init__(self) -> None:
        """Refuse one that never opens."""
        if not self.spans:
            raise ValueError(f"the window has no hours: {_FORM}")

    def __str__(self) -> str:
        """Its one canonical text."""
        return "; ".join(map(str, self.spans)) + " " + self.zone

    def zones(self, to: str) -> tuple[ZoneInfo, ...]:
        """Return the zones whose clocks count for a recipient, the one that decides a disagreement first."""
        return _zones(self, _country((self,), to))


@lru_cache(maxsize=1024)
def parse(text: str) -> Window:
    """Return the window of a text such as ``mon-fri 08:00-20:00; sat 09:00-13:00 recipient``.

    Days are ``daily``, or weekdays and ranges with commas; hours go from 00:00 to 24:00 and may pass midnight
    (``fri 20:00-02:00`` ends on Saturday); the zone is an IANA name or ``recipient`` and stands once, at the end.
    Raises ValueError with a sentence: what is wrong, and what would be right.
    """
    if not text.strip():
        raise ValueError(f"the window is empty: {_FORM}")
    *spans, last = (part.split() for part in _LOOSE.sub(r"\1\2", text.strip().replace("–", "-")).split(";"))
    if len(last) == 2:
        raise ValueError(
            "the zone is missing: end with one, as in Europe/Berlin, or with recipient for the recipient's"
        )
    if any(len(words) == 3 for words in spans):
        raise ValueError("the zone is given too early: it stands once, behind the last hours")
    if len(last) != 3 or any(len(words) != 2 for words in spans):
        raise ValueError(f"{text.strip()!r} is no window: {_FORM}")
    *last, zone = last
    return Window(tuple(parse_weekly_hours(days, hours) for days, hours in [*spans, last]), _zone_name(zone))


def opening(window: Window, to: str, now_ms: int) -> int:
    """Return ``now_ms`` when the window is open for the recipient, else when it opens next, in milliseconds.

    ``to`` is an MSISDN, digits alone.  With ``recipient`` the clocks are those of the number's country (see
    zones.py; UTC for numbers without one).  A country with several zones is open only when all of them are: nobody
    is woken at night.  Where that does not happen on the day of ``now_ms`` (in UTC) or in the 8 days after it, as in
    a long country with a short window, the zone in which most people live decides.

    A time that clocks skip in spring opens or closes with the first that exists, of one that they show twice in
    autumn the first counts; a span that lies in the skipped hour as a whole does not open on that day.
    """
    where, day = _country((window,), to), now_ms // DAY
    while True:  # ends: no clock skips the same hours of a weekday week after week
        found = _calendar((window,), where, day).next(now_ms)
        if found is not None:
            return found
        day += LOOK_AHEAD_DAYS


def common_opening(windows: tuple[Window, ...], to: str, now_ms: int) -> int | None:
    """Return the first moment from ``now_ms`` on at which all are open, or None when 8 days have none."""
    if not windows:
        return now_ms
    found = _calendar(windows, _country(windows, to), now_ms // DAY).next(now_ms)
    return found if found is not None and found <= now_ms + LOOK_AHEAD_DAYS * DAY else None


class Windows(msgspec.Struct, frozen=True):
    """All windows by their scope, ``lane:2``, ``lane:3`` or ``tag:<tag>``.

    ``unreadable`` has the entries that make no sense, with the reason: they hold nothing back, so raise an alarm.
    """

    by_scope: dict[str, Window] = {}
    unreadable: dict[str, str] = {}

    @classmethod
    def decode(cls, entries: Mapping[bytes, bytes]) -> Self:
        """Read the hash ``tl:windows``; never raises for what stands in it."""
        by_scope, unreadable = {}, {}
        for scope, text in entries.items():
            try:
                by_scope[parse_scope(scope.decode())] = parse(text.decode())
            except ValueError as wrong:
                unreadable[scope.decode(errors="replace")] = str(wrong)
        return cls(by_scope, unreadable)

    def applying_to(self, lane: int, tags: Iterable[str]) -> tuple[Window, ...]:
        """Return the windows that apply to a message; never one to lane 1."""
        if lane == 1 or not self.by_scope:
            return ()
        scopes = (f"lane:{lane}", *(f"tag:{tag}" for tag in tags))
        return tuple(self.by_scope[scope] for scope in scopes if scope in self.by_scope)

    def opening(self, lane: int, tags: Iterable[str], to: str, now_ms: int) -> int | None:
        """Return when a message may go, in milliseconds: ``now_ms`` at once, None when not within 8 days."""
        return common_opening(self.applying_to(lane, tags), to, now_ms)


def parse_scope(text: str) -> str:
    """Return what a window is for; raises ValueError with a sentence when nothing can have one by that name."""
    kind, colon, name = text.strip().partition(":")
    if kind == "lane" and name == "1":
        raise ValueError(
            "lane:1 has no window: login codes and alarms go at any hour; give lane:2, lane:3 or tag:<tag>"
        )
    if kind == "lane" and name in ("2", "3"):
        return f"lane:{name}"
    if kind != "tag" or not colon:
        raise ValueError(f"{text!r} has no window: give lane:2, lane:3 or tag:<tag>, as in tag:promo")
    tag = fields.label(name, "tag")
    if isinstance(tag, Refusal):
        raise ValueError(f"{tag.problem}: a tag has {tag.remedy}")
    return f"tag:{tag}"


class _Calendar(NamedTuple):
    """When windows are open from the beginning of a UTC day on: sorted, and nothing touches or overlaps."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def next(self, now_ms: int) -> int | None:
        at = bisect_right(self.ends, now_ms)
        return max(now_ms, self.begins[at]) if at < len(self.ends) else None


@lru_cache(maxsize=8192)
def _calendar(windows: tuple[Window, ...], where: str, day: int) -> _Calendar:
    """Return when all windows are open; worked out once for each country and day (UTC, since 1970): asking is cheap."""
    found = reduce(_both, (_open(window, where, day) for window in windows))
    return _Calendar(tuple(begins for begins, _ in found), tuple(ends for _, ends in found))


def _open(window: Window, where: str, day: int) -> list[Interval]:
    by_zone = [_open_in(window.spans, zone, day) for zone in _zones(window, where)]
    return reduce(_both, by_zone) or by_zone[0]


def _open_in(spans: Iterable[WeeklyHours], zone: ZoneInfo, day: int) -> list[Interval]:
    """Return what is open by one clock on the day or in the 8 days after it, in order and merged."""
    first = datetime.fromtimestamp(day * DAY // 1000, UTC).date() - timedelta(days=2)  # west of UTC, past midnight
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


def _country(windows: tuple[Window, ...], to: str) -> str:
    """Return the recipient's country, if any window asks for it."""
    for window in windows:
        if window.zone == RECIPIENT:
            return country(to)
    return NOWHERE


def _zones(window: Window, where: str) -> tuple[ZoneInfo, ...]:
    return zones(where) if window.zone == RECIPIENT else (ZoneInfo(window.zone),)


@lru_cache(maxsize=1)
def _zone_names() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones())}


def _zone_name(text: str) -> str:
    """Return a zone's name as it is spelled; raises ValueError, with the names that come near."""
    wanted, names = text.casefold(), _zone_names()
    if wanted == RECIPIENT:
        return RECIPIENT
    if wanted in names:
        return names[wanted]
    near = [name for key, name in names.items() if key.rpartition("/")[2] == wanted]
    near = near or [names[key] for key in get_close_matches(wanted, names, n=1)]
    hint = f"did you mean {near[0]}?" if near else "write an IANA name such as Europe/Berlin, or recipient"
    raise ValueError(f"{text!r} is no zone: {hint}")
