"""Windows: the operator's sending windows and holidays, in Redis."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import redis

from threelane.contract.holidays import MOST, Holiday, Holidays
from threelane.contract.window import Window, Windows, parse, parse_scope
from threelane.store import audit, keys, rows

KIND, KIND_OF_HOLIDAYS = "window", "holidays"
"""What the audit log calls these changes."""
MOST_LISTED = 20  # holidays in an entry of the audit log


def set_window(client: redis.Redis, scope: str, text: str) -> Window:
    """Set the window of a lane or a tag; raises ValueError with the correct form."""
    scope, window = parse_scope(scope), parse(text)
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.WINDOWS, scope)
        pipe.hset(keys.WINDOWS, scope, str(window))
        before, _ = pipe.execute()
    audit.record_change(client, KIND, scope, str(window), rows.text(before))
    return window


def remove(client: redis.Redis, scope: str) -> bool:
    """Remove a window, even an invalid one; returns whether there was one."""
    row = scope.strip().encode(errors="surrogateescape")
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.WINDOWS, row)
        pipe.hdel(keys.WINDOWS, row)
        before, removed = pipe.execute()
    if removed:
        audit.record_change(client, KIND, rows.text(row), "", rows.text(before))
    return bool(removed)


def read(client: redis.Redis) -> Windows:
    """Return all windows, and the holidays that close them."""
    return Windows.decode(rows.table(client, keys.WINDOWS), rows.table(client, keys.HOLIDAYS))


def holidays(client: redis.Redis) -> Holidays:
    """Return all holidays."""
    return Holidays.decode(rows.table(client, keys.HOLIDAYS))


def add_holidays(client: redis.Redis, added: Iterable[Holiday], *, now: int, replace: Iterable[str] = ()) -> int:
    """Add holidays, or replace all of some countries; returns how many are new.  Those that are over are removed.

    Raises ValueError when there would be too many; then nothing changes.
    """
    known, replaced, over = holidays(client).known, set(replace), today(now) - timedelta(days=7)
    kept = {one.row for one in known if one.country not in replaced and one.day >= over}
    new: dict[Any, Any] = {one.row: one.name for one in added}
    if len(kept | new.keys()) > MOST:
        raise ValueError(f"at most {MOST:,} holidays are kept: remove some, or add fewer years or countries")
    dropped = {one.row for one in known} - kept - new.keys()
    with client.pipeline() as pipe:
        if dropped:
            pipe.hdel(keys.HOLIDAYS, *sorted(dropped))
        if new:
            pipe.hset(keys.HOLIDAYS, mapping=new)
        pipe.execute()
    if new:
        audit.record(client, KIND_OF_HOLIDAYS, f"added: {_listed(new)}")
    if replaced_rows := sorted(one.row for one in known if one.country in replaced and one.row in dropped):
        audit.record(client, KIND_OF_HOLIDAYS, f"replaced: {_listed(replaced_rows)}")
    return len(new.keys() - {one.row for one in known})


def remove_holidays(client: redis.Redis, removed: Iterable[Holiday]) -> list[Holiday]:
    """Remove holidays; returns those that there were."""
    gone = [one for one in removed if client.hdel(keys.HOLIDAYS, one.row)]
    if gone:
        audit.record(client, KIND_OF_HOLIDAYS, f"removed: {_listed(one.row for one in gone)}")
    return gone


def _listed(rows_of_holidays: Iterable[str]) -> str:
    """Return holidays as country and day, such as ``ZA:2031-12-25``."""
    listed = sorted(rows_of_holidays)
    more = f" and {len(listed) - MOST_LISTED:,} more" if len(listed) > MOST_LISTED else ""
    return ", ".join(listed[:MOST_LISTED]) + more


def today(now: int) -> date:
    """Return the earliest date that it is anywhere, since a holiday is the recipient's day."""
    return (datetime.fromtimestamp(now / 1000, UTC) - timedelta(hours=12)).date()
