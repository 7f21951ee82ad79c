"""Command line of an operator: the keys of the HTTP API."""

from __future__ import annotations

from typing import Annotated

import msgspec
import redis
import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from threelane.contract.schedule import DAY
from threelane.interfaces.command.caller import Json, not_found, out, print_json, say
from threelane.interfaces.command.query import asked, now_of, shown
from threelane.store import access

app = typer.Typer(help="Keys of the HTTP API: what their holders may do, and how fast.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The producer whose messages are sent with it.")]


@app.command(epilog="Example: threelane producers key make shop --lane 1 --sender ACME --rate 50")
def make(
    name: Name,
    lane: Annotated[list[int] | None, typer.Option(help="A lane it may use, once for each; without: all.")] = None,
    sender: Annotated[list[str] | None, typer.Option(help="A sender it may name; without: any.")] = None,
    cost_centre: Annotated[
        list[str] | None, typer.Option(help="A cost centre it may charge, the first by default; without: any.")
    ] = None,
    bypass: Annotated[bool, typer.Option("--bypass", help="May send legal notices; its producer must, too.")] = False,
    suppression: Annotated[bool, typer.Option("--suppression", help="May change the list of suppressed.")] = False,
    operator: Annotated[bool, typer.Option("--operator", help="May do what operators do, for all producers.")] = False,
    texts: Annotated[bool, typer.Option("--texts", help="An operator who may read texts, at /console.")] = False,
    rate: Annotated[float, typer.Option(min=0, help="Messages and other requests a second; 0: no limit.")] = 0,
    days: Annotated[float, typer.Option(min=0, max=36_500, help="Until it expires; 0: never.")] = 0,
    note: Annotated[str, typer.Option(help="Who holds it, for whoever asks later.")] = "",
    as_json: Json = False,
) -> None:
    """Make a key.  It is shown once, here: Threelane keeps its digest alone."""

    def put(client: redis.Redis) -> access.Made:
        now = now_of(client)
        rights = {"bypass": bypass, "suppression": suppression, "operator": operator, "texts": texts}
        named = {"lanes": tuple(lane or ()), "senders": tuple(sender or ()), "cost_centres": tuple(cost_centre or ())}
        expires = now + int(days * DAY) if days else 0
        return access.make(client, name, now, expires=expires, rate=rate, note=note, **rights, **named)

    made = asked(put)
    if as_json:
        print_json(_row(made.key) | {"key": made.token})
        return
    say(f"key {made.key.id} of {name}: {_rights(made.key)}")
    say(made.token)
    say("Keep it: it is not shown again. Send it as Authorization: Bearer <key>.")


@app.command("list", epilog="Example: threelane producers key list shop --json")
def show(
    name: Annotated[str, typer.Argument(help="Those of one producer.")] = "",
    as_json: Json = False,
) -> None:
    """List keys and what they may do; never the keys themselves."""
    found = asked(lambda client: access.listed(client, name))
    if as_json:
        print_json([_row(one) for one in found])
        return
    table = Table("id", "producer", "may", "made", "expires", "note", box=SIMPLE_HEAD)
    for one in found:
        expires = shown(one.expires) if one.expires else "never"
        table.add_row(one.id, escape(one.producer), escape(_rights(one)), shown(one.made), expires, escape(one.note))
    for column in table.columns:
        column.overflow = "fold"
    out.print(table if found else "there is no key: threelane producers key make NAME")


@app.command(epilog="Example: threelane producers key revoke k4f1c09a2b7e3")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as list shows it.")]) -> None:
    """Take a key back; the next request with it is refused."""
    if not asked(lambda client: access.revoke(client, key_id)):
        not_found(f"no key {key_id!r}: threelane producers key list")
    say(f"key {key_id} revoked")


def _row(key: access.Key) -> dict[str, object]:
    row = msgspec.structs.asdict(key)
    del row["digest"]
    return row


def _rights(key: access.Key) -> str:
    """Return what a key may do, in a line."""
    told = [f"lanes {','.join(map(str, key.lanes))}"]
    told += [f"senders {', '.join(key.senders)}"] if key.senders else []
    told += [f"cost centres {', '.join(key.cost_centres)}"] if key.cost_centres else []
    told += [name for name in ("bypass", "suppression", "operator", "texts") if getattr(key, name)]
    return "; ".join([*told, f"{key.rate:g} a second" if key.rate else "no limit a second"])
