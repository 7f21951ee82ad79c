"""Command to erase the personal data of one recipient on request."""

from __future__ import annotations

from typing import Annotated

import typer

from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.printing import Json, err, out, print_json
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.values import masked
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings, load_or_exit
from threelane.worker.upkeep import erase as erasing
from threelane.worker.upkeep.erase import Erased, Rewriting


def erase(
    number: Annotated[str, typer.Argument(help="The number; without + or 00 read as THREELANE_NUMBERS says.")],
    stop: Annotated[bool, typer.Option("--cancel", help="First cancel messages that have not been sent yet.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Also remove it from the suppression list.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a recipient's number, texts, replies and events.  Keeps counts, costs and, without --forget, a STOP."""
    msisdn = number_of(number)
    keep = load_or_exit(Settings).retention_ms
    erased = with_redis(lambda client: erasing.erase(client, msisdn, keep, now_of(client), stop=stop, forget=forget))
    if as_json:
        print_json(erased)
    else:
        _report(masked(msisdn), erased)
    raise typer.Exit(Exit.OK if erased.complete else Exit.REFUSED)


def _report(whom: str, erased: Erased) -> None:
    done = {
        "messages": erased.messages,
        "events": erased.events,
        "events on their way to webhooks": erased.deliveries,
        "parts of replies": erased.replies,
        "entries on the suppression list": erased.suppressed,
    }
    summary = ", ".join(f"{n} {what}" for what, n in done.items() if n) or "nothing"
    out.print(f"{whom}: erased {summary}", markup=False, highlight=False, soft_wrap=True)
    if erased.waiting:
        _remaining(f"{erased.waiting} messages still wait to be sent: erase again with --cancel, or when they are sent")
    if erased.under_way:
        _remaining(
            f"{erased.under_way} messages are in progress and cannot be erased yet: erase again when they have ended"
        )
    if erased.file is Rewriting.REFUSED:
        _remaining("the append-only file of Redis still contains it: rewrite the file (BGREWRITEAOF)")
    elif erased.file is Rewriting.BEGUN:
        out.print("Redis is rewriting its append-only file; until it is done, the old file contains the erased data")


def _remaining(problem: str) -> None:
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
