"""Command line: commands for producers and operators, and the processes."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from threelane.contract import gateways
from threelane.demo.stack_file import use_stack
from threelane.interfaces.command import (
    audit as cli_audit,
)
from threelane.interfaces.command import (
    batch as cli_batch,
)
from threelane.interfaces.command import caller as producer_cli
from threelane.interfaces.command import (
    check as cli_check,
)
from threelane.interfaces.command import (
    countries as cli_countries,
)
from threelane.interfaces.command import (
    damaged as cli_damaged,
)
from threelane.interfaces.command import (
    dead as cli_dead,
)
from threelane.interfaces.command import (
    erase as cli_erase,
)
from threelane.interfaces.command import (
    find as cli_find,
)
from threelane.interfaces.command import (
    holds as cli_holds,
)
from threelane.interfaces.command import (
    limits as cli_limits,
)
from threelane.interfaces.command import (
    money as cli_money,
)
from threelane.interfaces.command import (
    producers as cli_producers,
)
from threelane.interfaces.command import (
    replies as cli_replies,
)
from threelane.interfaces.command import schedule as cli_schedule
from threelane.interfaces.command import (
    suppress as cli_suppress,
)
from threelane.interfaces.command import template as cli_template
from threelane.interfaces.command import (
    top as cli_top,
)
from threelane.interfaces.command import (
    windows as cli_windows,
)
from threelane.interfaces.command.bulk import command as cli_bulk
from threelane.interfaces.command.commands import Commands
from threelane.interfaces.command.values import use_utc
from threelane.runtime import extras
from threelane.runtime.exits import Exit
from threelane.runtime.settings import gateway_problems, load_or_exit
from threelane.store import keys

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


@app.callback()
def every_command(
    utc: Annotated[
        bool, typer.Option("--utc", help="Show times in UTC; default: in your zone (TZ). Also after the command.")
    ] = False,
) -> None:
    """Apply the options of the whole command line."""
    use_utc(utc)


producer_cli.register(app)
cli_bulk.register(app)
app.add_typer(cli_batch.app, name="batch")
cli_schedule.register(app)
cli_find.register(app)
cli_check.register(app)
cli_holds.register(app)
app.add_typer(cli_dead.app, name="dead", rich_help_panel="Operator")
app.command("redrive", rich_help_panel="Operator", epilog="Example: threelane redrive 301")(cli_dead.redrive_code)
app.add_typer(cli_damaged.app, name="damaged", rich_help_panel="Operator")
app.add_typer(cli_suppress.app, rich_help_panel="Operator")
app.add_typer(cli_replies.app, rich_help_panel="Operator")
app.add_typer(cli_money.app, name="money", rich_help_panel="Operator")
app.add_typer(cli_limits.app, name="limits", rich_help_panel="Operator")
app.add_typer(cli_audit.app, name="audit", rich_help_panel="Operator")
app.add_typer(cli_windows.app, name="windows", rich_help_panel="Operator")
app.add_typer(cli_template.app, name="template", rich_help_panel="Operator")
app.add_typer(cli_countries.app, name="countries", rich_help_panel="Operator")
app.add_typer(cli_producers.producers, name="producers", rich_help_panel="Operator")
app.command(rich_help_panel="Operator", epilog="Example: threelane erase 27831234567")(cli_erase.erase)
app.command(rich_help_panel="Operator", epilog="Example: threelane top --once")(cli_top.top)
app.command(rich_help_panel="Processes", epilog="Example: threelane webhooks")(cli_producers.webhooks)


@app.command(rich_help_panel="Processes", epilog="Example: THREELANE_GATEWAY_URL=... threelane worker")
def worker(
    lanes: Annotated[
        str, typer.Option(help="Lanes to fetch from, such as 1,2,3; or 1 for a worker reserved for lane 1.")
    ] = "1,2,3",
) -> None:
    """Run a worker, which fetches messages from its lanes and sends them."""
    queues = [keys.queue(int(lane)) for lane in lanes.split(",") if lane in ("1", "2", "3")]
    if len(queues) != len(lanes.split(",")):
        raise typer.BadParameter(
            f"{lanes!r}: give lanes from 1 to 3, separated by commas, as in 1,2,3", param_hint="--lanes"
        )
    from threelane.worker.app import app as celery

    process = celery.Worker(  # not Celery's command line, which also reads options from variables such as APP
        queues=queues,
        loglevel="WARNING",
        quiet=True,
    )
    process.start()
    raise typer.Exit(process.exitcode or 0)


@app.command(rich_help_panel="Processes", epilog="Example: THREELANE_CALLBACK_SECRET=... threelane callbacks")
def callbacks() -> None:
    """Run the endpoint for Clickatell's callbacks: receipts and replies."""
    from threelane.interfaces.callbacks.serve import serve
    from threelane.worker.process.settings import CallbackSettings

    serve(load_or_exit(CallbackSettings))


@app.command(rich_help_panel="Processes", epilog="Example: THREELANE_API_PORT=8080 threelane api")
def api() -> None:
    """Run the HTTP API for producers and operators, and the console; reference at /docs."""
    from threelane.interfaces.web.serve import serve
    from threelane.runtime.settings import ApiSettings

    serve(load_or_exit(ApiSettings))


@app.command(rich_help_panel="Processes", epilog="Example: threelane exporter")
def exporter() -> None:
    """Run the exporter, which reads fleet metrics from Redis: depths, ages, holds, counts and credits."""
    from threelane.operations.exporter import serve
    from threelane.worker.process.settings import ExporterSettings

    serve(load_or_exit(ExporterSettings))


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


if extras.includes("demo.run"):
    app.command(rich_help_panel="Try it", epilog="Example: threelane demo --json summary.json")(demo)
    app.command(rich_help_panel="Try it", epilog="Example: threelane up")(up)


def mount_sandbox() -> None:
    """Add the command sandbox, with the simulated parts of all gateways; nothing else loads their code.

    An image for production does not contain it, and has no such command.
    """
    if not extras.includes("sandbox"):
        return
    from threelane.sandbox.cli import sandbox

    @functools.wraps(sandbox)
    def with_doubles(**given: Any) -> None:
        sandbox(**given | {"part": [*(given.get("part") or ()), *gateways.simulators()]})

    app.command(rich_help_panel="Try it", epilog="Example: threelane sandbox --port 8090")(with_doubles)


def main() -> None:
    """Run the command line, on the stack of ``threelane up`` where one runs in this folder."""
    use_stack(os.environ)
    mount_sandbox()
    app()
