"""Commands for the audit log: list."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from threelane.interfaces.command.printing import Json, out, print_json, print_limit
from threelane.interfaces.command.query import with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import shown_at
from threelane.store import audit

app = typer.Typer(
    help="The audit log: who changed what decides who is sent to, how much and when.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keep ``list`` a command of its own."""


@app.command("list", epilog="Example: threelane audit list --json")
def show(
    most: Annotated[int, typer.Option(min=1, max=audit.MOST, help="Maximum number of entries to show.")] = 100,
    as_json: Json = False,
) -> None:
    """List the latest changes, the newest first."""
    found = with_redis(lambda client: audit.read(client, most))
    if as_json:
        print_json(list(found))
        return
    table = Table("when", "who", "what", "detail")
    for one in found:
        table.add_row(shown_at(one.at), escape(one.who), escape(one.what), escape(one.detail))
    out.print(table if found else "no change is recorded")
    print_limit(len(found), most)
