"""Command line of erasure: what is known of one recipient goes when they ask for it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from threelane.contract import phone
from threelane.interfaces.command.caller import Json, err, out, wrong_usage
from threelane.interfaces.command.query import asked, now_of
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store import suppression
from threelane.worker.upkeep import erase as erasing
from threelane.worker.upkeep.erase import Erased, Rewriting


def erase(
    number: Annotated[str, typer.Argument(help="The number, in international form.")],
    stop: Annotated[bool, typer.Option("--cancel", help="Cancel first what still waits to be sent.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Take it off the list of suppressed numbers, too.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a recipient: number, texts, replies, events.  Counts and cost stay, and a STOP without --forget."""
    try:
        msisdn = suppression.parse_number(number)
    except ValueError as wrong:
        wrong_usage(str(wrong))
    keep = load_or_exit(Settings).retention_ms
    told = asked(lambda client: erasing.erase(client, msisdn, keep, now_of(client), stop=stop, forget=forget))
    if as_json:
        print(msgspec.json.encode(told).decode())
    else:
        _tell(phone.mask(msisdn), told)
    raise typer.Exit(Exit.OK if told.complete else Exit.REFUSED)


def _tell(masked: str, told: Erased) -> None:
    done = {
        "messages": told.messages,
        "events": told.events,
        "events on their way to webhooks": told.deliveries,
        "parts of replies": told.replies,
        "entries on the list of suppressed numbers": told.suppressed,
    }
    said = ", ".join(f"{n} {what}" for what, n in done.items() if n) or "nothing"
    out.print(f"{masked}: erased {said}", markup=False, highlight=False, soft_wrap=True)
    if told.waiting:
        _left(f"{told.waiting} messages still wait to be sent: erase again with --cancel, or when they have gone")
    if told.under_way:
        _left(f"{told.under_way} messages are under way and cannot be erased yet: erase again when their end is known")
    if told.file is Rewriting.REFUSED:
        _left("Redis' append-only file still holds it: have it written anew (BGREWRITEAOF)")
    elif told.file is Rewriting.BEGUN:
        out.print("Redis writes its append-only file anew: until it is done, the old one holds what was erased")


def _left(what: str) -> None:
    err.print(what, markup=False, highlight=False, soft_wrap=True)
