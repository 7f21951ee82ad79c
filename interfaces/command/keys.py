"""Commands for API keys."""

from __future__ import annotations

from typing import Annotated

import msgspec
import redis
import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape

from threelane.contract.schedule import DAY
from threelane.interfaces.command.caller import Json, not_found, out, print_json, print_line
from threelane.interfaces.command.query import now_of, shown, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.store import access

app = typer.Typer(help="API keys: their rights and rate limits.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The producer that uses the key.")]


@app.command(epilog="Example: threelane producers key make shop --lane 1 --sender ACME --rate 50")
def make(
    name: Name,
    lane: Annotated[list[int] | None, typer.Option(help="A lane it may use; repeatable; default: all.")] = None,
    sender: Annotated[list[str] | None, typer.Option(help="A sender ID it may use; repeatable; default: any.")] = None,
    cost_centre: Annotated[
        list[str] | None,
        typer.Option(
            help="A cost centre it may charge; repeatable; the first is the default; without the option: any."
        ),
    ] = None,
    bypass: Annotated[
        bool,
        typer.Option("--bypass", help="May bypass opt-outs: legal notices, bypass_dnc; its producer needs it, too."),
    ] = False,
    suppression: Annotated[bool, typer.Option("--suppression", help="May change the suppression list.")] = False,
    operator: Annotated[bool, typer.Option("--operator", help="Operator rights, for all producers.")] = False,
    viewer: Annotated[
        bool, typer.Option("--viewer", help="May read what operators read, for all producers, and change nothing.")
    ] = False,
    texts: Annotated[
        bool, typer.Option("--texts", help="May read message texts in the console; needs --operator or --viewer.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0, help="Messages and other requests per second; 0: no limit.")] = 0,
    days: Annotated[float, typer.Option(min=0, max=36_500, help="Days until it expires; 0: never.")] = 0,
    note: Annotated[str, typer.Option(help="A note, such as who holds the key.")] = "",
    as_json: Json = False,
) -> None:
    """Create an API key.  It is printed once: Threelane stores only its hash."""

    def put(client: redis.Redis) -> access.NewApiKey:
        now = now_of(client)
        rights = {"bypass": bypass, "suppression": suppression, "operator": operator, "viewer": viewer, "texts": texts}
        named = {"lanes": tuple(lane or ()), "senders": tuple(sender or ()), "cost_centres": tuple(cost_centre or ())}
        expires = now + int(days * DAY) if days else 0
        return access.create(client, name, now, expires=expires, rate=rate, note=note, **rights, **named)

    made = with_redis(put)
    if as_json:
        print_json(_row(made.key) | {"key": made.token})
        return
    print_line(f"key {made.key.id} of {name}: {_rights(made.key)}")
    print_line(made.token)
    print_line("Save it now: it is shown only once. Send it as Authorization: Bearer <key>.")


@app.command("list", epilog="Example: threelane producers key list shop --json")
def show(
    name: Annotated[str, typer.Argument(help="Only keys of this producer.")] = "",
    as_json: Json = False,
) -> None:
    """List API keys and their rights. The keys themselves are never shown."""
    found = with_redis(lambda client: access.list_keys(client, name))
    if as_json:
        print_json([_row(one) for one in found])
        return
    table = Table("id", "producer", "rights", "created", "expires", "note", box=SIMPLE_HEAD)
    for one in found:
        expires = shown(one.expires) if one.expires else "never"
        table.add_row(one.id, escape(one.producer), escape(_rights(one)), shown(one.made), expires, escape(one.note))
    for column in table.columns:
        column.overflow = "fold"
    out.print(table if found else "no keys; create one: threelane producers key make NAME")


@app.command(epilog="Example: threelane producers key revoke k4f1c09a2b7e3")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as shown by list.")]) -> None:
    """Revoke a key; the next request with it is refused."""
    if not with_redis(lambda client: access.revoke(client, key_id)):
        not_found(f"no key {key_id!r}: threelane producers key list")
    print_line(f"key {key_id} revoked")


def _row(key: access.ApiKey) -> dict[str, object]:
    row = msgspec.structs.asdict(key)
    del row["digest"]
    return row


def _rights(key: access.ApiKey) -> str:
    """Return the rights of a key in one line."""
    rights = [f"lanes {','.join(map(str, key.lanes))}"]
    rights += [f"senders {', '.join(key.senders)}"] if key.senders else []
    rights += [f"cost centres {', '.join(key.cost_centres)}"] if key.cost_centres else []
    rights += [name for name in ("bypass", "suppression", "operator", "viewer", "texts") if getattr(key, name)]
    return "; ".join([*rights, f"{key.rate:g} per second" if key.rate else "no rate limit"])
