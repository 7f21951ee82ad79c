"""Windows: the operator's sending windows and holidays, in Redis."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import redis

from threelane.contract.holidays import MOST, Holiday, Holidays
from threelane.contract.window import Window, Windows, parse, parse_scope
from threelane.store import keys, rows


def set_window(client: redis.Redis, scope: str, text: str) -> Window:
    """Set the window of a lane or a tag; raises ValueError with the correct form."""
    scope, window = parse_scope(scope), parse(text)
    client.hset(keys.WINDOWS, scope, str(window))
    return window


def remove(client: redis.Redis, scope: str) -> bool:
    """Remove a window, even an invalid one; returns whether there was one."""
    return bool(client.hdel(keys.WINDOWS, scope.strip().encode(errors="surrogateescape")))


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
    return len(new.keys() - {one.row for one in known})


def remove_holidays(client: redis.Redis, removed: Iterable[Holiday]) -> list[Holiday]:
    """Remove holidays; returns those that there were."""
    return [one for one in removed if client.hdel(keys.HOLIDAYS, one.row)]


def today(now: int) -> date:
    """Return the earliest date that it is anywhere, since a holiday is the recipient's day."""
    return (datetime.fromtimestamp(now / 1000, UTC) - timedelta(hours=12)).date()
