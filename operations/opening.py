"""Opening: the zones and holidays that decide when windows open, in words, and the windows that holidays close."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from threelane.contract.holidays import EVERYWHERE, Holiday, Holidays
from threelane.contract.window import LOOK_AHEAD_DAYS, RECIPIENT, Window, Windows, deciding_alone, opening_at
from threelane.contract.zones import NOWHERE, Place, place, zones


class Closed(NamedTuple):
    """A window that is closed for holidays now, or for all of the next 8 days: then ``opens`` is None."""

    scope: str
    country: str
    holidays: tuple[Holiday, ...]
    opens: int | None


def reason(windows: tuple[Window, ...], holidays: Holidays, to: str, now_ms: int) -> Iterator[str]:
    """Yield the recipient's zones with their reason, if a window depends on them, and the holidays it waits for."""
    if any(window.zone == RECIPIENT for window in windows):
        where = place(to)
        yield f"the recipient's time: {where}"
        if alone := deciding_alone(windows, where, now_ms):
            yield f"the hours are never open in all of these zones at once, so {alone.key} decides alone"
    if met := holidays_met(windows, holidays, to, now_ms):
        yield f"closed on holidays: {', '.join(map(str, met))}"


def holidays_met(windows: tuple[Window, ...], holidays: Holidays, to: str, now_ms: int) -> tuple[Holiday, ...]:
    """Return the holidays for which a message waits; none if it would be sent at the same time without them."""
    return _met(windows, holidays, place(to), now_ms) if windows and holidays.known else ()


def closed(windows: Windows, now_ms: int) -> Iterator[Closed]:
    """Yield the windows that holidays close, by country; EVERYWHERE stands for the countries without their own."""
    for country in sorted(windows.holidays.by_country):
        where = Place(country, zones(NOWHERE if country == EVERYWHERE else country))
        for scope, window in sorted(windows.by_scope.items()):
            opens = opening_at((window,), where, now_ms, windows.holidays)
            if opens is None or (opens != now_ms and opening_at((window,), where, now_ms) == now_ms):
                met = _met((window,), windows.holidays, where, now_ms)
                yield from [Closed(scope, country, met, opens)] if met else []


def _met(windows: tuple[Window, ...], holidays: Holidays, where: Place, now_ms: int) -> tuple[Holiday, ...]:
    opens = opening_at(windows, where, now_ms, holidays)
    if opens == opening_at(windows, where, now_ms):
        return ()
    since = datetime.fromtimestamp(now_ms / 1000, UTC)
    until = since + timedelta(days=LOOK_AHEAD_DAYS) if opens is None else datetime.fromtimestamp(opens / 1000, UTC)
    first = min(since.astimezone(zone).date() for zone in where.zones)
    last = max(until.astimezone(zone).date() for zone in where.zones)
    return holidays.on(where.country, holidays.days(where.country, first, last))
