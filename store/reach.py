"""Reach: which messages a STOP stops: all of the installation, or fewer by an operator's choice.

A reach belongs to one of our numbers, or to every other number that receives replies.  It decides the scope of the
entry that a STOP adds (reply.lua); earlier entries keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

import redis

from threelane.contract import senders
from threelane.contract.refusal import Refusal
from threelane.contract.reply_address import senders_of
from threelane.contract.subscriber import spellings
from threelane.store import audit, keys, rows, suppression

OTHERS = "*"
"""The row for all numbers that have none of their own."""
ALL, SENDER = suppression.ALL, "sender"
FORMS = "all, sender (the number that the reply went to), lanes:2,3 (not lane 1) or tag:<tag>"


def parse(raw: str) -> str:
    """Return a reach; raises ValueError with the correct form."""
    given = raw.strip().lower()
    if given in (ALL, SENDER):
        return given
    if given.partition(":")[0].strip() not in ("lanes", "tag"):
        raise ValueError(f"{raw!r} is not a reach; write {FORMS}")
    return suppression.parse_scope(raw)


def parse_number(raw: str) -> str:
    """Return one of our numbers as replies have it; raises ValueError."""
    if raw.strip() == OTHERS:
        return OTHERS
    number = senders.parse(raw, "number")
    if isinstance(number, Refusal):
        raise ValueError(f"{number.problem}; write the number that receives the replies, as in 12025550100")
    return senders_of(number)[0]


def put(client: redis.Redis, number: str, reach: str, who: str = "") -> None:
    """Set the reach of a STOP that comes to a number (``OTHERS``: to any other), with an audit entry."""
    _change(client, number, reach, _listed(client, number) or audit.NOT_SET, who)


def remove(client: redis.Redis, number: str, who: str = "") -> bool:
    """Remove the reach of a number, with an audit entry; returns whether it had one."""
    before = _listed(client, number)
    if before is not None:
        _change(client, number, audit.NOT_SET, before, who)
    return before is not None


def read(client: redis.Redis) -> Mapping[str, str]:
    """Return the reach of each number that has one."""
    return {rows.text(number): rows.text(reach) for number, reach in rows.table(client, keys.REACH).items()}


def check_row(number: bytes, reach: bytes) -> None:
    """Raise ValueError for a row that has no reach: a STOP to that number reaches all messages."""
    if parse(reach.decode()) != reach.decode() or not number:
        raise ValueError(reach)


def _listed(client: redis.Redis, number: str) -> str | None:
    """Return the reach of a number, under whichever spelling an earlier version stored it."""
    listed = read(client)
    return next((listed[one] for one in spellings(number) if one in listed), None)


def _change(client: redis.Redis, number: str, reach: str, before: str, who: str) -> None:
    with client.pipeline(transaction=True) as pipe:
        pipe.hdel(keys.REACH, *spellings(number))
        if reach != audit.NOT_SET:
            pipe.hset(keys.REACH, number, reach)
        audit.add(pipe, "reach", f"of a STOP to {described(number)}: {reach} (before: {before})", who)
        pipe.execute()


def described(number: str) -> str:
    """Return a number for people."""
    return "every other number" if number == OTHERS else number
