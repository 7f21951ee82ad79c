"""Opening: the zones and holidays that decide when a message's windows open, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from threelane.contract.holidays import Holiday, Holidays
from threelane.contract.window import LOOK_AHEAD_DAYS, RECIPIENT, Window, common_opening
from threelane.contract.zones import place


def reason(windows: tuple[Window, ...], holidays: Holidays, to: str, now_ms: int) -> Iterator[str]:
    """Yield the recipient's zones with their reason, if a window depends on them, and the holidays it waits for."""
    if any(window.zone == RECIPIENT for window in windows):
        yield f"the recipient's time: {place(to)}"
    if met := holidays_met(windows, holidays, to, now_ms):
        yield f"closed on holidays: {', '.join(map(str, met))}"


def holidays_met(windows: tuple[Window, ...], holidays: Holidays, to: str, now_ms: int) -> tuple[Holiday, ...]:
    """Return the holidays for which a message waits; none if it would be sent at the same time without them."""
    opens = common_opening(windows, to, now_ms, holidays)
    if opens == common_opening(windows, to, now_ms):
        return ()
    where = place(to)
    since = datetime.fromtimestamp(now_ms / 1000, UTC)
    until = since + timedelta(days=LOOK_AHEAD_DAYS) if opens is None else datetime.fromtimestamp(opens / 1000, UTC)
    first = min(since.astimezone(zone).date() for zone in where.zones)
    last = max(until.astimezone(zone).date() for zone in where.zones)
    return holidays.on(where.country, holidays.days(where.country, first, last))
