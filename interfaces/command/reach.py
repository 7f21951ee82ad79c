"""Commands for the reach of a STOP: set, list, remove; each change has an audit entry."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from threelane.interfaces.command.printing import Json, out, print_json, wrong_usage
from threelane.interfaces.command.query import with_redis
from threelane.interfaces.command.terminal import Table
from threelane.runtime.exits import Exit
from threelane.store import reach

app = typer.Typer(help="Which messages a STOP stops: all, unless an operator narrows it.", no_args_is_help=True)
Number = Annotated[str, typer.Option(help="Our number to which the STOP comes; *: every number without its own reach.")]


@app.command("set", epilog="Example: threelane suppress reach set lanes:2,3 --number 12025550100")
def set_reach(
    wanted: Annotated[str, typer.Argument(metavar="REACH", help=f"{reach.FORMS}.")], number: Number = reach.OTHERS
) -> None:
    """Decide which messages a STOP stops from now on; earlier entries keep their scope."""
    try:
        to, parsed = reach.parse_number(number), reach.parse(wanted)
    except ValueError as wrong:
        wrong_usage(str(wrong))
    with_redis(lambda client: reach.put(client, to, parsed))
    out.print(f"a STOP to {reach.described(to)} now stops: {parsed}", markup=False, highlight=False, soft_wrap=True)


@app.command("list", epilog="Example: threelane suppress reach list --json")
def list_reaches(as_json: Json = False) -> None:
    """List the reaches; a STOP to any other number stops all messages."""
    found = dict(sorted({reach.OTHERS: reach.ALL, **with_redis(reach.read)}.items()))
    if as_json:
        print_json(found)
        return
    table = Table("STOP to", "stops")
    for number, one in found.items():
        table.add_row(escape(reach.described(number)), escape(one))
    out.print(table)


@app.command(epilog="Example: threelane suppress reach remove --number 12025550100")
def remove(number: Number = reach.OTHERS) -> None:
    """Remove a reach: a STOP to that number again stops what the reach of * has, or all messages."""
    try:
        to = reach.parse_number(number)
    except ValueError as wrong:
        wrong_usage(str(wrong))
    removed = with_redis(lambda client: reach.remove(client, to))
    out.print(f"{reach.described(to)}: {'removed' if removed else 'had no reach'}", markup=False, highlight=False)
    raise typer.Exit(Exit.OK if removed else Exit.REFUSED)
