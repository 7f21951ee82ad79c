"""Commands that try the product out: demo and up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from threelane.contract import gateways
from threelane.runtime.exits import Exit
from threelane.runtime.settings import gateway_problems


def _declared(gateway: str) -> str:
    if wrong := [*gateway_problems()]:
        print("\n".join(f"threelane: {one}" for one in wrong), file=sys.stderr)
        raise typer.Exit(Exit.USAGE)
    if gateway not in gateways.declared():
        raise typer.BadParameter(f"{gateway!r} is none of {', '.join(gateways.declared())}")
    return gateway


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


def up() -> None:
    """Run the demo stack until Ctrl-C; its addresses are written to .threelane/stack.json."""
    from threelane.demo.up import keep_up

    raise typer.Exit(keep_up())
