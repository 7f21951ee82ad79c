"""Commands for credits: balance, forecast, spending and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import redis
import typer
from rich.markup import escape

from threelane.contract.accounts.account import shown
from threelane.contract.prices import CREDIT
from threelane.interfaces.command import values
from threelane.interfaces.command.of_account import Account, wanted
from threelane.interfaces.command.printing import Json, not_found, out, print_json, print_line
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.operations import each_account, forecast
from threelane.operations.forecast import Forecast
from threelane.store import budgets
from threelane.store.budgets import Budget, BudgetUse

MOST = 10  # rows of the largest spenders
app = typer.Typer(help="Show credits: balance, forecast, spending and budgets.", invoke_without_command=True)
budget = typer.Typer(
    help="Daily and monthly budgets for cost centres and producers; days and months are in UTC.", no_args_is_help=True
)
app.add_typer(budget, name="budget")
Scope = Annotated[str, typer.Argument(help="centre:<cost centre> or producer:<name>.")]
Period = Annotated[str, typer.Argument(help="day or month.")]


@app.callback(epilog="Example: threelane money --json")
def money(context: typer.Context, account: Account = "", as_json: Json = False) -> None:
    """Show the balance, committed credits, the burn rate and the largest spenders.

    Without --account, those of each account.
    """
    if context.invoked_subcommand:
        return
    each, now = with_redis(lambda client: (_read(client, account), now_of(client)))
    if as_json:
        fields = {name: _fields(found) for name, found in each.items()}
        first = next(iter(fields.values()))
        print_json(first | ({"accounts": fields} if len(fields) > 1 else {}))
        return
    for name, found in each.items():
        if len(each) > 1:
            print_line(f"account {name}")
        _print(found, now)
    if budgets_of_all := next(iter(each.values())).budgets:
        out.print(_budgets(budgets_of_all))


def _read(client: redis.Redis, account: str) -> dict[str, Forecast]:
    """Return the forecast of an account, or of each that is in use."""
    places = wanted(client, account) if account else each_account.read(client).places
    return {shown(one.account): forecast.read(client, now_of(client), one) for one in places}


def _fields(found: Forecast) -> dict[str, Any]:
    return {**msgspec.to_builtins(found), "hours_left": found.hours_left, "short": found.short}


def _print(found: Forecast, now: int) -> None:
    out.print(_standing(found, now))
    for title, sums in (
        ("cost centre", found.by_centre),
        ("producer", found.by_producer),
    ):
        if sums:
            out.print(_spenders(title, sums))
    if found.by_country or found.messages_by_country:
        out.print(_countries(found))


@budget.command("set", epilog="Example: threelane money budget set centre:marketing day 500 --over hold")
def set_budget(
    scope: Scope,
    period: Period,
    credits: Annotated[float, typer.Argument(min=0, help="The limit, in credits.")],
    over: Annotated[
        str, typer.Option(help="What happens to messages over the limit: refuse, or hold until the next day.")
    ] = "refuse",
) -> None:
    """Set a budget; messages over it are refused with code 302, or wait."""
    with_redis(lambda client: budgets.put(client, scope, period, Budget(round(credits * CREDIT), over)))
    print_line(f"{scope} may spend {credits:g} credits per {period}")


@budget.command("remove", epilog="Example: threelane money budget remove centre:marketing day")
def remove_budget(scope: Scope, period: Period) -> None:
    """Remove a budget."""
    removed = with_redis(lambda client: budgets.remove(client, scope, period))
    if not removed:
        not_found(f"{scope} has no budget per {period}: threelane money")
    print_line(f"{scope} has no budget per {period} any more")


def _standing(found: Forecast, now: int) -> Table:
    table = Table(show_header=False)
    if found.balance is None:
        table.add_row("balance", escape(found.error) or "not read yet: is a worker running?")
    else:
        error = f"; the last reading failed: {escape(found.error)}" if found.error else ""
        table.add_row("balance", f"{values.credits(found.balance)} credits, {values.age(found.balance_at, now)}{error}")
        table.add_row("left now", f"about {values.credits(found.left)}")
    table.add_row("committed", f"{values.credits(sum(found.committed.values()))} for waiting messages" + _short(found))
    table.add_row("burn", f"{values.credits(found.burn)} per hour")
    hours = found.hours_left
    if hours is not None:
        table.add_row("runs out", f"in {hours:.1f} hours, {values.shown_at(now + int(hours * forecast.HOUR_MS))}")
    if found.waiting_lanes:
        table.add_row("[bold red]reserve[/]", f"lanes {', '.join(map(str, found.waiting_lanes))} wait: top up")
    table.add_row("drift", f"{values.credits(found.drift)} spent without a known charge")
    table.add_row("charged", f"{values.credits(sum(found.by_lane.values()))} in total")
    return table


def _short(found: Forecast) -> str:
    return f" [bold red]({values.credits(found.short)} short)[/]" if found.short else ""


def _spenders(title: str, sums: Mapping[str, int]) -> Table:
    table = Table(title, "credits")
    ranked = sorted(sums.items(), key=lambda one: -one[1])
    for name, amount in ranked[:MOST]:
        table.add_row(escape(name), values.credits(amount))
    if len(ranked) > MOST:
        table.add_row("others", values.credits(sum(amount for _, amount in ranked[MOST:])))
    return table


def _countries(found: Forecast) -> Table:
    table = Table("country", "messages", "parts", "credits")
    credits, messages, parts = found.by_country, found.messages_by_country, found.parts_by_country
    ranked = sorted(credits.keys() | messages.keys(), key=lambda name: (-credits.get(name, 0), name))
    for name in ranked[:MOST]:
        counts = (f"{messages.get(name, 0):,}", f"{parts.get(name, 0):,}")
        table.add_row(escape(name), *counts, values.credits(credits.get(name, 0)))
    if rest := ranked[MOST:]:
        sums = [sum(one.get(name, 0) for name in rest) for one in (messages, parts, credits)]
        table.add_row("others", f"{sums[0]:,}", f"{sums[1]:,}", values.credits(sums[2]))
    return table


def _budgets(found: Sequence[BudgetUse]) -> Table:
    table = Table("budget", "period", "limit", "reserved and spent", "over it")
    for one in found:
        table.add_row(
            escape(one.scope), one.period, values.credits(one.budget.limit), values.credits(one.spent), one.budget.over
        )
    return table
