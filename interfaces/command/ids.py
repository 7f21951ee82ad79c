"""Ids in arguments: whole, or any unique beginning of eight letters or more, as the console shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import redis
from redis.exceptions import NoPermissionError

from threelane.interfaces.command.printing import wrong_usage
from threelane.interfaces.command.query import with_redis

LEAST = 8  # letters of a shortened id
_SHORTENED = re.compile(r"([0-9a-z]{1,31})(?:…|\.\.\.)?")
_HEXADECIMAL = frozenset("0123456789abcdef")


def whole_id(given: str) -> str:
    """Return the id of a message as ``whole_ids`` does."""
    (one,) = whole_ids([given])
    return one


def whole_ids(given: Sequence[str]) -> list[str]:
    """Return the ids of messages, each given whole or shortened; ends the command if two begin with the same letters.

    What no id begins with stays as it is, for the command to report.  Only shortened ids cost a search.
    """
    starts = [shortened(one) for one in given]
    found = beginnings(list(dict.fromkeys(filter(None, starts))))
    return [only(start, found.get(start, ()), "messages") or one for one, start in zip(given, starts, strict=True)]


def beginnings(starts: Sequence[str]) -> dict[str, set[str]]:
    """Return the ids that begin with each of these, two at most; ends the command if this user may not search."""

    def search(client: redis.Redis) -> dict[str, set[str]]:
        from threelane.store import find  # a whole id needs no search

        try:
            return find.beginnings(client, starts)
        except NoPermissionError:
            raise ValueError(
                f"{starts[0]}: this user of Redis may not search for a shortened id; give the whole id"
            ) from None

    return with_redis(search) if starts else {}


def shortened(given: str) -> str:
    """Return the letters of a shortened message id, "" for anything else; ends the command if they are too few.

    They are in lower case.  What is too short and not hexadecimal is another word.
    """
    match = _SHORTENED.fullmatch(given.strip().lower())
    if not match or len(match[1]) >= LEAST:
        return match[1] if match else ""
    if _HEXADECIMAL.issuperset(match[1]):
        wrong_usage(f"{given}: give at least {LEAST} letters of the id")
    return ""


def only(start: str, candidates: Iterable[str], what: str) -> str:
    """Return the one id that begins with these letters, "" if there is none; ends the command if there are two."""
    found = sorted(one for one in candidates if one.lower().startswith(start))
    if len(found) > 1:
        wrong_usage(f"two {what} begin with {start}: give more letters")
    return found[0] if found else ""
