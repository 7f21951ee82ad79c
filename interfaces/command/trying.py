"""Commands that try the product out: demo and up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from threelane.contract import gateways
from threelane.contract.accounts.account import parse_name
from threelane.runtime.exits import Exit
from threelane.runtime.settings import gateway_problems


def _declared(gateway: str) -> str:
    if wrong := [*gateway_problems()]:
        print("\n".join(f"threelane: {one}" for one in wrong), file=sys.stderr)
        raise typer.Exit(Exit.USAGE)
    if gateway not in gateways.declared():
        raise typer.BadParameter(f"{gateway!r} is none of {', '.join(gateways.declared())}")
    return gateway


def _names(accounts: list[str] | None) -> list[str] | None:
    """Refuse what is no name of an account, or is given twice."""
    for name in accounts or ():
        try:
            parse_name(name)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong)) from None
        if accounts and accounts.count(name) > 1:
            raise typer.BadParameter(f"{name} is there twice; give each account once")
    return accounts


def demo(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
    messages: Annotated[Path | None, typer.Option(help="Send this CSV instead of the built-in one.")] = None,
    gateway: Annotated[
        str,
        typer.Option(help=f"The gateway API to send through: {', '.join(gateways.declared())}.", callback=_declared),
    ] = "http",
) -> None:
    """Run the complete system with the sandbox on this machine, and compare three ledgers at the end."""
    from threelane.demo.run import demonstrate

    raise typer.Exit(demonstrate(json_file, messages, gateway))


def up(
    accounts: Annotated[
        list[str] | None,
        typer.Option("--account", help="A further account, with its own sandbox and worker.", callback=_names),
    ] = None,
    routes: Annotated[
        Path | None,
        typer.Option(help="A TOML file whose [\\[routes]] choose the account of each message.", exists=True),
    ] = None,
) -> None:
    """Run the demo stack until Ctrl-C; its addresses are written to .threelane/stack.json."""
    from threelane.demo.up import keep_up

    raise typer.Exit(keep_up(accounts or [], routes.read_text(encoding="utf-8") if routes else ""))
