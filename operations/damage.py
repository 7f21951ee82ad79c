"""Damage: the unreadable rows of stored tables, what each means, and the command that removes it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import redis
from redis.exceptions import ResponseError

from threelane.contract.accounts.account import option
from threelane.contract.holidays import parse_row
from threelane.contract.prices import Prices
from threelane.contract.window import Windows
from threelane.store import (
    api_key,
    budgets,
    countries,
    keys,
    limits,
    opt_out_lines,
    pauses,
    reach,
    registry,
    reply_owners,
    rows,
    suppression,
    templates,
    wrong_type,
)
from threelane.store.keys import HERE, space_of
from threelane.store.spaces import spaces
from threelane.worker.account import hold
from threelane.worker.gateway import breaking
from threelane.worker.webhooks import delivery

MOST_READ = 100_000  # rows of one table; the daily look at suppressed numbers logs the others
MOST_KEPT = 2_000  # bytes that are shown of a row
BATCH = 500
_NUMBER = ("credits", "at", "left", "since_credits", "since_charged", "drift", "drift_before", "lifted", "floor")


class Checked(NamedTuple):
    """A table whose rows are checked: its key, how a row is read, and what an unreadable one means."""

    key: str
    read: Callable[[bytes, bytes], Any]  # of name and value; raises ValueError for an unreadable row
    effect: str
    is_number: bool = False  # the name of a row is a phone number
    account: str = ""  # whose it is, as in keys


class DamagedRow(NamedTuple):
    """An unreadable row; ``row`` is "" if the whole key is of another type."""

    key: str
    row: str
    effect: str
    command: str


def _json(read: Callable[[bytes], Any]) -> Callable[[bytes, bytes], Any]:
    def check(name: bytes, value: bytes) -> None:
        name.decode()
        read(value)

    return check


def _price(name: bytes, value: bytes) -> None:
    if not Prices({}).with_learned({name: value}).learned:
        raise ValueError(name)


def _windows(name: bytes, value: bytes) -> None:
    name.decode()
    if len([int(one) for one in value.split(b":")]) != 3:
        raise ValueError(name)


def _window(name: bytes, value: bytes) -> None:
    if Windows.decode({name: value}).unreadable:
        raise ValueError(name)


def _holiday(name: bytes, value: bytes) -> None:
    parse_row(name.decode(), value.decode())


def _reading(name: bytes, value: bytes) -> None:
    if name.decode().partition(":")[0] in _NUMBER:
        int(value)


TABLES = (
    Checked(keys.HOLDS, _json(hold.read_row), "its scope stays on hold"),
    Checked(keys.PAUSES, _json(pauses.decode), "nothing of its batch is sent"),
    Checked(keys.SUPPRESSED, _json(suppression.read_row), "nothing is sent to this number", is_number=True),
    Checked(keys.BUDGETS, _json(budgets.read_row), "nothing that it limits is accepted"),
    Checked(keys.LIMITS, limits.check_row, "the default applies in its place, or no limit"),
    Checked(keys.LIMIT_COUNTS, _windows, "the limit counts from 0 again"),
    Checked(keys.PRODUCERS, _json(registry.read_row), "the producer has no right and no webhook"),
    Checked(
        keys.RIGHTS,
        _json(registry.read_row),
        "nothing of this producer is accepted, and it has no right",
    ),
    Checked(keys.API_KEYS, _json(api_key.decode), "the key is refused"),
    Checked(keys.SUSPECTS, _json(msgspec.json.decode), "it counts as no evidence"),
    Checked(keys.PRICES, _price, "the price of this country is as configured"),
    Checked(keys.COUNTRIES, countries.check_row, "a first message to this country raises no alarm"),
    Checked(keys.REACH, reach.check_row, "a STOP to this number stops all messages"),
    Checked(keys.WINDOWS, _window, "the window does not apply"),
    Checked(keys.TEMPLATES, templates.check_row, "messages that name the template are refused"),
    Checked(keys.OPT_OUT_LINES, opt_out_lines.check_row, "nothing that gets this line is accepted"),
    Checked(keys.HOLIDAYS, _holiday, "the day is not a holiday"),
    Checked(keys.REPLY_OWNERS, _json(reply_owners.read_row), "its replies go to whoever gets them without an owner"),
    Checked(keys.BALANCE, _reading, "the balance is unknown until a worker reads it"),
)
"""The tables and what is safe for an unreadable row of each; reports of workers and breakers are written again."""


_BY_ACCOUNT = ("HOLDS", "SUSPECTS", "PRICES", "BALANCE")


def tables(client: redis.Redis) -> tuple[Checked, ...]:
    """Return the tables of all accounts."""
    found, by_key = [*TABLES], {one.key: one for one in TABLES}
    for space in spaces(client):
        if space != HERE:
            names = ((getattr(keys.names(space), name), by_key[getattr(keys, name)]) for name in _BY_ACCOUNT)
            found += [one._replace(key=key, account=space.account) for key, one in names]
    return tuple(found)


def find(client: redis.Redis) -> Iterator[DamagedRow]:
    """Yield the unreadable rows of all tables, and of the deliveries to webhooks."""
    yield from of_another_type(client)
    for one in tables(client):
        yield from _of_table(client, one)
    for name in registry.read_all(client):
        effect = "the event is not posted"
        yield from _of_table(client, Checked(keys.delivery(name), _json(delivery.decode), effect))


def of_another_type(client: redis.Redis) -> Iterator[DamagedRow]:
    """Yield the other keys that are of another type: indexes, counts, locks."""
    known = {one.key for one in tables(client)}
    for key in wrong_type.find(client):
        if key not in known:
            effect = "commands on this key fail; an index of a lane stops the lane"
            yield DamagedRow(key, "", effect, f"threelane damaged remove {key}")


def remove(client: redis.Redis, key: str, row: str) -> bytes | None:
    """Remove an unreadable row, or for "" a key of another type; returns what it held, None if there is none.

    Raises ValueError for a row that can be read, or for another key.
    """
    if not row and key in wrong_type.find(client):
        _delete(client, key)
        return b"a key of another type"
    table = next((one for one in (*tables(client), *_deliveries(client)) if one.key == key), None)
    if table is None:
        raise ValueError(f"{key} is not a table with rows: threelane damaged lists what is damaged")
    if not _is_hash(client, key):
        _delete(client, key)
        return b"a key of another type"
    for name, value in client.hscan_iter(key, count=BATCH):
        if rows.text(name) == row:
            if _is_readable(table, name, value):
                raise ValueError(f"the row {row!r} of {key} can be read: change it with its own command")
            _delete(client, key, name)
            return bytes(value[:MOST_KEPT])
    return None


def _delete(client: redis.Redis, key: str, row: bytes | None = None) -> None:
    """Delete a row, or for None a key; rights are restored, since accept takes their absence for no list."""
    if key == keys.RIGHTS:
        if not _is_hash(client, keys.PRODUCERS):
            raise ValueError(
                f"{key} is restored from {keys.PRODUCERS}, which is damaged, too: restore or remove that first"
            )
        registry.restore_rights(client, row)
    elif row is None:
        client.delete(key)
    else:
        client.hdel(key, row)


def _deliveries(client: redis.Redis) -> Iterator[Checked]:
    for name in registry.read_all(client):
        yield Checked(keys.delivery(name), _json(delivery.decode), "the event is not posted")


def _of_table(client: redis.Redis, table: Checked) -> Iterator[DamagedRow]:
    if not _is_hash(client, table.key):
        yield DamagedRow(table.key, "", "each of its rows counts as damaged", _command(table, ""))
        return
    for name, value in islice(client.hscan_iter(table.key, count=BATCH), MOST_READ):
        if not _is_readable(table, name, value):
            yield DamagedRow(table.key, rows.text(name), table.effect, _command(table, rows.text(name)))


def _is_hash(client: redis.Redis, key: str) -> bool:
    try:
        client.hlen(key)
    except ResponseError as failed:
        rows.known(key, failed, None)
        return False
    return True


def _is_readable(table: Checked, name: bytes, value: bytes) -> bool:
    try:
        table.read(name, value)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return False
    return True


def _command(table: Checked, row: str) -> str:
    if table.key == keys.names(space_of(table.account)).HOLDS and _is_resumable(row):
        return f"threelane resume {shlex.quote(row or 'account')}{option(table.account)}"
    return f"threelane damaged remove {table.key}" + (f" {shlex.quote(row)}" if row else "")


def _is_resumable(row: str) -> bool:
    try:
        return not row.startswith(breaking.SCOPE) and bool(hold.parse_resumable(row or "account"))
    except ValueError:
        return False
