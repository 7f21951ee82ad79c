"""Audience: finds the producers that may get a reply: who owns its number or keyword, and who last texted the person.

The script of the reply chooses among them, since it also reads the message that the reply answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis.asyncio

from threelane.contract import phone
from threelane.contract.reply_address import keyword_of, number_of
from threelane.store import keys, reply_owners, rows, texted
from threelane.store.events import Route
from threelane.store.keys import HERE, Space


class Audience(NamedTuple):
    """The producers that may get a reply; ``texted`` is "" for a producer without a name, and None for nobody."""

    owner: str = ""
    owned_by: str = ""
    texted: str | None = None
    default: str = ""


async def find(client: redis.asyncio.Redis, sender: str, to: str, text: str, now: int, space: Space = HERE) -> Audience:
    """Return the candidates for a reply from ``sender`` to our number ``to``."""
    number = number_of(to)
    owned = _owner_rows(number, keyword_of(text))
    marks = [*texted.places(sender, number, now, space)]
    async with client.pipeline(transaction=False) as pipe:
        pipe.hmget(keys.REPLY_OWNERS, list(owned.values()))
        for key, fields in marks:
            pipe.hmget(key, fields)
        found = await pipe.execute(raise_on_error=False)
    listed = rows.known(keys.REPLY_OWNERS, found[0], [None] * len(owned))
    names = {by: _name(row, value) for (by, row), value in zip(owned.items(), listed, strict=True)}
    owned_by = next((by for by in (Route.KEYWORD, Route.NUMBER) if names.get(by)), "")
    by_day = [rows.known(key, one, [None, None]) for (key, _), one in zip(marks, found[1:], strict=True)]
    return Audience(names.get(owned_by, ""), owned_by, _last_texted(by_day), names[Route.DEFAULT])


def _owner_rows(number: str, keyword: str) -> Mapping[str, str]:
    """Return the rows of owners that a reply may belong to, by how they are found."""
    found: dict[str, str] = {Route.DEFAULT: reply_owners.ANY}
    if number:
        found[Route.NUMBER] = reply_owners.name_of(number)
    if number and keyword:
        found[Route.KEYWORD] = reply_owners.name_of(number, keyword)
    return found


def _name(row: str, value: bytes | None) -> str:
    """Return the producer in a row; an unreadable row counts as absent."""
    return (rows.decode(keys.REPLY_OWNERS, phone.mask(row), value, reply_owners.read_row) or "") if value else ""


def _last_texted(by_day: Sequence[Sequence[bytes | None]]) -> str | None:
    """Return who last texted from this number, else from the account's default number, which has no name here."""
    for place in (0, 1):
        for marks in by_day:
            if (producer := marks[place]) is not None:
                return rows.text(producer)
    return None
