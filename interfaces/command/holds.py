"""Commands for holds, and for what applies to a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import redis
import typer
from rich.markup import escape
from rich.table import Column

from threelane.contract.accounts.account import option
from threelane.contract.duration import MINUTE_SECONDS
from threelane.interfaces.command.of_account import Account, Meant, meant, meant_by, wanted
from threelane.interfaces.command.printing import Json, out, print_json, print_line
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import duration_in, shown_at
from threelane.runtime.settings import load_or_exit
from threelane.store.find import Filter

if TYPE_CHECKING:
    from threelane.worker.account.hold import Held

MINUTE_MS = 60_000
Scope = Annotated[str, typer.Argument(help="account, lane:1, sender:ACME, sender:ACME:GB or prefix:2783123.")]
Cause = Annotated[str, typer.Option(help="The cause, for the next operator.")]
Minutes = Annotated[
    float,
    typer.Option(
        "--for",
        "--minutes",
        metavar="DURATION",
        parser=duration_in(MINUTE_SECONDS, most=525_600),
        help="How long, as in 30m or 2h; a number alone is in minutes; 0: until you resume it.",
    ),
]


def holds(account: Account = "", as_json: Json = False) -> None:
    """List active holds, their causes and the evidence for them.

    Without --account, those of all accounts.
    """
    from threelane.worker.account import hold

    def read(client: redis.Redis) -> dict[str, tuple[str, Held]]:
        each = ((one, hold.holds(client, now_of(client), one)) for one in wanted(client, account))
        return {hold.prefixed(space, scope): (scope, one) for space, held in each for scope, one in held.items()}

    found = with_redis(read)
    if as_json:
        print_json({name: one for name, (_, one) in found.items()})
        return
    table = Table(
        Column("scope", no_wrap=True, overflow="fold"), "code", "cause", "evidence", "since", "until", "next probe"
    )
    for name, (scope, one) in sorted(found.items()):
        ends = shown_at(one.until) if one.until else hold.way_back(one)
        probe = shown_at(at) if (at := hold.next_probe_at(scope, one)) else ""
        evidence = hold.evidence_of(one)
        table.add_row(escape(name), one.code, escape(one.cause), evidence, shown_at(one.since), ends, probe)
    out.print(table if found else "nothing is on hold")


def put(scope: Scope, cause: Cause, minutes: Minutes = 0, account: Account = "", as_json: Json = False) -> None:
    """Put the account, a lane, a sender or a prefix on hold; messages are still accepted and wait."""
    from threelane.worker.account import hold

    def stop(now: int) -> int:
        return now + int(minutes * MINUTE_MS) if minutes else 0

    def place(client: redis.Redis) -> tuple[Meant, str, Held | None, int]:
        of, named = meant_by(client, scope, account)
        parsed, until = hold.parse_scope(named), stop(now := now_of(client))
        return of, parsed, hold.put(client, parsed, cause, now, until, of.space), until

    of, scope, before, until = with_redis(place)
    if as_json:
        print_json({"scope": scope, "cause": cause, "until": until, "replaced": before} | of.json())
        return
    ends = f"until {shown_at(until)}" if until else f"until threelane resume {scope}{option(of.space.account)}"
    print_line(f"{of.label(scope)} is on hold {ends}")
    if before:
        print_line(f"it replaces the hold {before.code} {before.cause}")


def pause(
    lane: Annotated[str, typer.Argument(help="The lane: 1, 2 or 3.")],
    cause: Cause,
    minutes: Minutes = 0,
    account: Account = "",
    as_json: Json = False,
) -> None:
    """Put a lane on hold; shorthand for hold lane:N."""
    put(f"lane:{lane.removeprefix('lane:')}", cause, minutes, account, as_json)


def resume(
    scope: Annotated[
        str, typer.Argument(help="account, lane:1, sender:ACME, prefix:2783123, or gateway, without a probe.")
    ] = "account",
    redrive: Annotated[
        str | None, typer.Option(help="Also redrive the dead letters of this code; of the same account.")
    ] = None,
    account: Account = "",
    as_json: Json = False,
) -> None:
    """Lift a hold; sending continues where it stopped."""
    from threelane.worker.account import hold

    def lift(client: redis.Redis) -> tuple[Meant, str, bool]:
        of, named = meant_by(client, scope, account)
        parsed = hold.parse_resumable(f"lane:{named}" if named in ("1", "2", "3") else named)
        return of, parsed, hold.resume(client, parsed, now_of(client), of.space)

    of, named, lifted = with_redis(lift)
    if as_json:
        print_json({"scope": named, "resumed": lifted} | of.json())
    else:
        print_line(f"{of.label(named)} resumed" if lifted else f"{of.label(named)} was not on hold")
    if redrive:
        from threelane.interfaces.command.dead import by_filter

        by_filter(Filter(code=redrive, account=of.name if of.others else ""), 0, None, 0, as_json=as_json)


def prefix(
    digits: Annotated[str, typer.Argument(help="A prefix or a whole number; default: all known prefixes.")] = "",
    account: Account = "",
    as_json: Json = False,
) -> None:
    """Show holds, the price of a part and the staging allow-list for one prefix or for all."""
    from threelane.operations import prefix as prefixes
    from threelane.worker.process.settings import WorkerSettings

    settings = load_or_exit(WorkerSettings)
    if digits:
        one = with_redis(
            lambda client: prefixes.look(client, digits, now_of(client), settings, meant(client, account).space)
        )
        if as_json:
            print_json(one)
            return
        held = f"on hold by {', '.join(one.held_by)}" if one.held_by else "not on hold"
        print_line(f"{one.prefix} ({one.country}): {held}, {one.price:g} credits per part, allowed: {one.allowed}")
        return
    found = with_redis(lambda client: prefixes.every(client, now_of(client), settings, meant(client, account).space))
    if as_json:
        print_json(found)
        return
    for scope, hold in found.held.items():
        print_line(f"{scope} is on hold: {hold.code} {hold.cause}")
    for name, price in found.priced.items():
        print_line(f"{name} costs {price:g} credits per part, from THREELANE_PRICES")
    for name, price in found.learned.items():
        print_line(f"{name} costs {price:g} credits per part, from the last charge")
    print_line(f"allowed: {', '.join(found.allow_only) or 'all numbers'}")
