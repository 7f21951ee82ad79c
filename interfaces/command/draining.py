"""Commands that list accounts, and that drain them and use them again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column

from threelane.interfaces.command.printing import Json, out, print_json, print_line
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import shown_at
from threelane.operations import accounts
from threelane.operations.accounts import AccountRow
from threelane.store import accounts as stored
from threelane.store import audit

Name = Annotated[str, typer.Argument(help="The account, as in threelane account list.")]


def show(as_json: Json = False) -> None:
    """List the accounts: their state, what waits in each by lane, what is at the gateway, and the balance."""
    found = with_redis(lambda client: accounts.read(client, now_of(client)))
    if as_json:
        print_json(found)
        return
    names = ("API", "state", "waiting 1 / 2 / 3", "scheduled", "in doubt", "at the gateway", "balance")
    table = Table(Column("account", no_wrap=True, overflow="fold"), *names)
    for one in found:
        waits = " / ".join(f"{number:,}" for number in one.waiting.values())
        balance = "" if one.balance is None else f"{one.balance:,.2f}"
        counts = (f"{one.scheduled:,}", f"{one.in_doubt:,}", f"{one.at_gateway:,}")
        table.add_row(one.name, one.gateway, _state(one), waits, *counts, balance)
    out.print(table)


def drain(name: Name, as_json: Json = False) -> None:
    """Let an account take nothing new; it finishes what it has. Its workers keep answering look-ups and receipts."""
    changed = with_redis(lambda client: stored.drain(client, name, audit.user()))
    _report(name, as_json, is_drained=True, changed=changed)


def use(name: Name, as_json: Json = False) -> None:
    """Let a drained account take messages again."""
    changed = with_redis(lambda client: stored.use(client, name, audit.user()))
    _report(name, as_json, is_drained=False, changed=changed)


def _report(name: str, as_json: bool, *, is_drained: bool, changed: bool) -> None:
    one = with_redis(
        lambda client: next((row for row in accounts.read(client, now_of(client)) if row.name == name), None)
    )
    if as_json:
        print_json({"name": name, "drained": is_drained, "changed": changed, "account": one})
    elif not is_drained:
        print_line(f"{name} takes messages again" if changed else f"{name} was not drained")
    else:
        print_line(f"{name} takes nothing new{'' if changed else ', as before'}{_left(one)}")


def _left(one: AccountRow | None) -> str:
    if one is None or not (one.unfinished or one.at_gateway):
        return "; it has nothing left"
    return (
        f"; it has {one.unfinished:,} unsent, and {one.at_gateway:,} at the gateway without a final receipt: keep its "
        "workers until threelane account list shows none of either, six days at most"
    )


def _state(one: AccountRow) -> str:
    words = [one.state + (f" since {shown_at(one.since)}" if one.since else "")]
    if one.drained_since:
        words.append(f"drained since {shown_at(one.drained_since)} by {one.drained_by}")
    return "; ".join(words)
