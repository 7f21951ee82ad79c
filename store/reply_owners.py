"""Reply owners: which producer gets the replies to a number of ours, or to a keyword on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import redis

from threelane.contract import phone
from threelane.contract.fields import LABEL
from threelane.contract.reply_address import parse_keyword, parse_number
from threelane.store import audit, keys, rows
from threelane.store.registry import check_name

KIND = "reply owner"
"""What the audit log calls these changes."""
ANY = "*"
"""Stands for all numbers: the producer that gets the replies that belong to nobody else."""


class ReplyOwner(NamedTuple):
    """A row of the table; without a keyword, the producer owns the number itself."""

    number: str
    keyword: str
    producer: str


def own(client: redis.Redis, number: str, keyword: str, producer: str) -> tuple[ReplyOwner, str]:
    """Let a producer have the replies to a number or keyword; returns the row, and the earlier owner or "".

    Raises ValueError for a number, keyword or name in a wrong form.
    """
    check_name(producer)
    row = row_of(number, keyword)
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.REPLY_OWNERS, row)
        pipe.hset(keys.REPLY_OWNERS, row, producer)
        before, _ = pipe.execute()
    audit.record_change(client, KIND, row, producer, rows.text(before))
    return _owner(row, producer), rows.text(before)


def disown(client: redis.Redis, number: str, keyword: str) -> str:
    """Remove the owner of a number or keyword; returns its name, or "" if there was none.  Raises ValueError."""
    row = row_of(number, keyword)
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.REPLY_OWNERS, row)
        pipe.hdel(keys.REPLY_OWNERS, row)
        before, removed = pipe.execute()
    if removed:
        audit.record_change(client, KIND, row, "", rows.text(before))
    return (rows.text(before) or "?") if removed else ""


def owners(client: redis.Redis) -> Iterator[ReplyOwner]:
    """Yield all readable rows, by number and keyword."""
    for row, producer in sorted(rows.table(client, keys.REPLY_OWNERS).items()):
        name = rows.decode(keys.REPLY_OWNERS, phone.mask(rows.text(row)), producer, read_row)
        if name and rows.is_text(row):
            yield _owner(row.decode(), name)


def row_of(number: str, keyword: str = "") -> str:
    """Return the name of the row of a number, or of a keyword on it; raises ValueError with the correct form."""
    if number.strip() == ANY:
        if keyword:
            raise ValueError("a keyword needs a number: give the number on which people write it")
        return ANY
    return name_of(parse_number(number), parse_keyword(keyword) if keyword else "")


def name_of(number: str, keyword: str = "") -> str:
    """Return the name of the row of a number and a keyword that are in their form."""
    return f"{number} {keyword}" if keyword else number


def read_row(row: bytes) -> str:
    """Return the producer in a row; raises ValueError if that is no name of a producer."""
    name = row.decode()
    if not LABEL.fullmatch(name):
        raise ValueError("not a name of a producer")
    return name


def _owner(row: str, producer: str) -> ReplyOwner:
    number, _, keyword = row.partition(" ")
    return ReplyOwner(number, keyword, producer)
