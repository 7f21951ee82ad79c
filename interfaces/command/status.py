"""Command status: where a message is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from redis.exceptions import RedisError
from rich.markup import escape

from threelane.contract import duration
from threelane.interfaces.command.ids import whole_id
from threelane.interfaces.command.printing import Json, not_found, out, print_json, unavailable
from threelane.interfaces.command.query import now_of
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import age, credits, masked, shown_at
from threelane.producer.explanation import explain
from threelane.runtime.settings import ProducerSettings, load_or_exit
from threelane.store import status as statuses
from threelane.store.connect import connect
from threelane.store.status import MessageStatus


def status(
    message_id: Annotated[str, typer.Argument(help="The message id.")],
    as_json: Json = False,
) -> None:
    """Show the status of a message."""
    message_id = whole_id(message_id)
    with connect(load_or_exit(ProducerSettings)) as client:
        try:
            (found,), now = statuses.read(client, [message_id]), now_of(client)
        except RedisError as failed:
            unavailable(explain(failed), as_json)
    if found is None:
        not_found(f"{message_id}: unknown, or no longer remembered")
    if as_json:
        print_json(found)
        return
    out.print(_described(found, now))


def _described(found: MessageStatus, now: int) -> Table:
    """Return the status of a message with its values as people read them."""
    table = Table(show_header=False, box=None)
    for name, value in msgspec.structs.asdict(found).items():
        if value not in ("", 0, ()):
            shown = _DESCRIBED[name](value, now) if name in _DESCRIBED else str(value)
            table.add_row(_NAMES.get(name, name.replace("_", " ")), escape(shown))
    return table


def _when(at: int, now: int) -> str:
    return f"{shown_at(at)} ({age(at, now)})"


def _report(line: str, now: int) -> str:
    at, _, status = line.partition(" ")
    return f"{_when(int(at), now)} {status}" if at.isdigit() else line


_NAMES = {
    "accepted_at": "accepted",
    "expires_at": "valid until",
    "due_at": "due",
    "sent_at": "sent",
    "ended_at": "ended",
    "erased_at": "erased",
    "charge_millionths": "charge",
}
_DESCRIBED: dict[str, Callable[[Any, int], str]] = {
    "to": lambda to, _: masked(to),
    **dict.fromkeys(("accepted_at", "expires_at", "due_at", "sent_at", "ended_at", "erased_at"), _when),
    "waits": lambda waits, _: ", ".join(map(duration.written, waits)),
    "charge_millionths": lambda charge, _: f"{credits(charge)} credits",
    "reports": lambda reports, now: "\n".join(_report(one, now) for one in reports),
}
