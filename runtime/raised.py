"""Raised: names an exception by its type and place, never by its text, which may contain numbers and texts."""

from __future__ import annotations

import traceback

MOST_CHARACTERS = 200


def place_of(failed: BaseException) -> str:
    """Return an exception's type, and the module and line of Threelane that raised it or called what did."""
    places = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(failed.__traceback__)]
    own = [place for place in places if place[0].startswith("threelane.")] or places
    where = f" at {own[-1][0]}:{own[-1][1]}" if own else ""
    return f"{type(failed).__name__}{where}"[:MOST_CHARACTERS]
