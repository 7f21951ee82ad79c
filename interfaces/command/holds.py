"""Command line of what stands still: holds, by hand or not, and what stands for a prefix."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from threelane.interfaces.command.caller import Json, out, print_json, say
from threelane.interfaces.command.query import asked, now_of, shown
from threelane.runtime.settings import load_or_exit

MINUTE_MS = 60_000
Scope = Annotated[str, typer.Argument(help="account, lane:1, sender:ACME or prefix:2783123.")]
Cause = Annotated[str, typer.Option(help="Why, for whoever finds it later.")]
Minutes = Annotated[float, typer.Option(min=0, max=525_600, help="For how long; 0: until it is resumed.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the one command line."""
    panel = "Operator"
    app.command(rich_help_panel=panel, epilog="Example: threelane holds --json")(holds)
    app.command("hold", rich_help_panel=panel, epilog="Example: threelane hold sender:ACME --cause 'wrong link'")(put)
    app.command(rich_help_panel=panel, epilog="Example: threelane pause 3 --cause 'newsletter is wrong' --minutes 30")(
        pause
    )
    app.command(rich_help_panel=panel, epilog="Example: threelane resume lane:3")(resume)
    app.command(rich_help_panel=panel, epilog="Example: threelane prefix 2783123")(prefix)


def holds(as_json: Json = False) -> None:
    """List what is on hold, and why."""
    from threelane.worker.account import hold

    found = asked(lambda client: hold.holds(client, now_of(client)))
    if as_json:
        print_json(found)
        return
    table = Table("scope", "code", "cause", "since", "until")
    for scope, one in sorted(found.items()):
        ends = shown(one.until) if one.until else hold.way_back(one)
        table.add_row(escape(scope), one.code, escape(one.cause), shown(one.since), ends)
    out.print(table if found else "nothing is on hold")


def put(scope: Scope, cause: Cause, minutes: Minutes = 0, as_json: Json = False) -> None:
    """Stop the account, a lane, a sender or a prefix; what is accepted meanwhile waits."""
    from threelane.worker.account import hold

    scope = asked(lambda _: hold.parse_scope(scope))

    def stop(now: int) -> int:
        return now + int(minutes * MINUTE_MS) if minutes else 0

    before, until = asked(lambda client: (hold.put(client, scope, cause, now := now_of(client), stop(now)), stop(now)))
    if as_json:
        print_json({"scope": scope, "cause": cause, "until": until, "replaced": before})
        return
    ends = f"until {shown(until)}" if until else f"until threelane resume {scope}"
    say(f"{scope} is on hold {ends}")
    if before:
        say(f"it takes the place of the hold {before.code} {before.cause}")


def pause(
    lane: Annotated[str, typer.Argument(help="1, 2 or 3.")],
    cause: Cause,
    minutes: Minutes = 0,
    as_json: Json = False,
) -> None:
    """Stop a lane: short for hold lane:N."""
    put(f"lane:{lane.removeprefix('lane:')}", cause, minutes, as_json)


def resume(
    scope: Scope = "account",
    redrive: Annotated[str | None, typer.Option(help="Put the dead letters of this code back, too.")] = None,
    as_json: Json = False,
) -> None:
    """Lift a hold; sending goes on where it stopped."""
    from threelane.worker.account import hold

    def lift() -> tuple[str, bool]:
        named = f"lane:{scope}" if scope in ("1", "2", "3") else scope
        return asked(lambda client: (parsed := hold.parse_scope(named), hold.resume(client, parsed, now_of(client))))

    named, lifted = lift()
    if as_json:
        print_json({"scope": named, "resumed": lifted})
    else:
        say(f"{named} resumed" if lifted else f"{named} was not on hold")
    if redrive:
        from threelane.interfaces.command.dead import redrive_code

        redrive_code(redrive, as_json=as_json)


def prefix(
    digits: Annotated[
        str, typer.Argument(help="The beginning of numbers, or a number; without it, all there are.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Tell which prefixes are on hold, what a part costs there, and whether a staging system sends to them."""
    from threelane.operations import prefix as prefixes
    from threelane.worker.process.settings import WorkerSettings

    settings = load_or_exit(WorkerSettings)
    if digits:
        one = asked(lambda client: prefixes.look(client, digits, now_of(client), settings))
        if as_json:
            print_json(one)
            return
        held = f"on hold by {', '.join(one.held_by)}" if one.held_by else "not on hold"
        say(f"{one.prefix} ({one.country}): {held}, {one.price:g} credits a part, sent to: {one.allowed}")
        return
    found = asked(lambda client: prefixes.every(client, now_of(client), settings))
    if as_json:
        print_json(found)
        return
    for scope, hold in found.held.items():
        say(f"{scope} is on hold: {hold.code} {hold.cause}")
    for name, price in found.priced.items():
        say(f"{name} costs {price:g} credits a part, as THREELANE_PRICES says")
    for name, price in found.learned.items():
        say(f"{name} cost {price:g} credits a part when it was charged last")
    say(f"sent to: {', '.join(found.allow_only) or 'all numbers'}")
