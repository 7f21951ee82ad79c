"""Opt-out lines: the sentences that an operator has added to the texts of a lane or a tag, in Redis."""

from __future__ import annotations

import redis

from threelane.contract.opt_out_line import OptOutLine, OptOutLines, parse_line, parse_scope
from threelane.store import audit, keys, rows

_ALL_DAMAGED = {b"lane:2": b"", b"lane:3": b""}  # a key of another type: nothing is sent without its line


def set_line(client: redis.Redis, scope: str, text: str, *, who: str = "") -> OptOutLine:
    """Set the line of a lane or a tag; raises ValueError with the correct form."""
    line = OptOutLine(parse_scope(scope), parse_line(text))
    with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.OPT_OUT_LINES, line.scope, line.text)
        audit.add(pipe, "opt-out line", f"{line.scope}: {line.text}", who)
        pipe.execute()
    return line


def remove(client: redis.Redis, scope: str, *, who: str = "") -> bool:
    """Remove a line, even an unreadable one; returns whether there was one."""
    name = scope.strip()
    removed = bool(client.hdel(keys.OPT_OUT_LINES, name.encode(errors="surrogateescape")))
    if removed:
        audit.add(client, "opt-out line", f"{name}: removed", who)
    return removed


def read(client: redis.Redis) -> OptOutLines:
    """Return all lines."""
    return OptOutLines.decode(
        rows.unless_damaged(keys.OPT_OUT_LINES, lambda: client.hgetall(keys.OPT_OUT_LINES), _ALL_DAMAGED)
    )


def check_row(name: bytes, value: bytes) -> None:
    """Raise ValueError for an unreadable row of the table."""
    parse_scope(name.decode())
    parse_line(value.decode())
