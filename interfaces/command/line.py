"""Command line: the options of all commands; the registry has the commands."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from threelane.demo.stack_file import use_stack
from threelane.interfaces.command.commands import Commands

app = typer.Typer(
    name="threelane",
    cls=Commands,
    help="An outbound SMS queue for Clickatell with three priority lanes: nothing is lost, nothing is sent twice.",
    epilog="Exit codes: 0 done, 1 some messages were refused, 2 invalid usage or settings, 3 Redis is unavailable, "
    "4 ledgers differ, 5 unhealthy, 6 not found, 7 stopped by a canary, 11 nothing matched; all codes are in "
    "docs/command-line.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from threelane.runtime.version import version_line

        print(version_line())
        raise typer.Exit


@app.callback()
def every_command(
    utc: Annotated[
        bool, typer.Option("--utc", help="Show times in UTC; default: in your zone (TZ). Also after the command.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Apply the options of the whole command line."""
    from threelane.interfaces.command.values import use_utc  # which the help does not need

    use_utc(utc)


def main() -> None:
    """Run the command line, on the stack of ``threelane up`` where one runs in this folder."""
    use_stack(os.environ)
    app()
