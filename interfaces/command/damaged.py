"""Commands for damaged rows of stored tables: list, remove."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from threelane.interfaces.command.printing import Json, out, print_json, print_line
from threelane.interfaces.command.query import with_redis
from threelane.interfaces.command.terminal import Table
from threelane.runtime.exits import Exit

app = typer.Typer(
    help="Damaged rows: stored holds, suppressions, budgets, keys and other rows that cannot be read.",
    no_args_is_help=True,
)


@app.command("list", epilog="Example: threelane damaged list --json")
def show(as_json: Json = False) -> None:
    """List the rows that cannot be read, what each means, and the command that removes it."""
    from threelane.operations import damage

    found = with_redis(lambda client: [*damage.find(client)])
    if as_json:
        print_json([one._asdict() for one in found])
        return
    table = Table("key", "row", "effect", "command")
    for one in found:
        table.add_row(*map(escape, one))
    out.print(table if found else "no row is damaged")


@app.command(epilog="Example: threelane damaged remove tl:budgets centre:shop:day")
def remove(
    key: Annotated[str, typer.Argument(help="The key, as list shows it.")],
    row: Annotated[str, typer.Argument(help="The row, as list shows it; none: the whole key is of another type.")] = "",
) -> None:
    """Remove a row that cannot be read, and print what it held; a row that can be read stays."""
    from threelane.operations import damage

    held = with_redis(lambda client: damage.remove(client, key, row))
    if held is None:
        print_line(f"{key} has no such row")
        raise typer.Exit(Exit.NOT_FOUND)
    print_line(f"removed; it held {msgspec.json.encode(held.decode('utf-8', 'backslashreplace')).decode()}")
