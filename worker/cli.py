"""Command line: the caller's commands, the processes, and the operator's levers."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from producer import cli as producer_cli
from producer import cli_bulk, cli_schedule, keys
from producer.exits import Exit
from producer.features import Api
from producer.find import Filter
from producer.settings import Settings, load_or_exit
from worker import cli_money, cli_producers, cli_suppress, cli_top, cli_windows
from worker.asking import asked, now_of, shown

app = typer.Typer(
    name="threelane",
    help="An outbound SMS queue for Clickatell: three lanes, nothing lost, nothing sent twice.",
    epilog="Exit codes: 0 done, 1 some messages were refused, 2 wrong usage or settings, 3 Redis is away, "
    "4 ledgers differ, 5 a worker does not consume.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
producer_cli.register(app)
cli_bulk.register(app)
cli_schedule.register(app)
app.add_typer(cli_suppress.app, rich_help_panel="Operator")
app.add_typer(cli_money.app, name="money", rich_help_panel="Operator")
app.add_typer(cli_windows.app, name="windows", rich_help_panel="Operator")
app.add_typer(cli_producers.producers, name="producers", rich_help_panel="Operator")
app.command(rich_help_panel="Processes", epilog="Example: threelane webhooks")(cli_producers.webhooks)
app.command(rich_help_panel="Operator", epilog="Example: threelane top --once")(cli_top.top)
_out, _err = Console(), Console(stderr=True)
Json = producer_cli.Json


@app.command(rich_help_panel="Processes", epilog="Example: THREELANE_GATEWAY_URL=... threelane worker")
def worker(
    lanes: Annotated[str, typer.Option(help="Lanes to fetch: 1,2,3, or 1 for a reserved worker.")] = "1,2,3",
) -> None:
    """Run a worker: fetches its lanes and sends."""
    queues = [keys.queue(int(lane)) for lane in lanes.split(",") if lane in ("1", "2", "3")]
    if len(queues) != len(lanes.split(",")):
        raise typer.BadParameter(f"{lanes!r}: give lanes from 1 to 3 with commas, as in 1,2,3", param_hint="--lanes")
    from worker.app import app as celery

    celery.worker_main(
        [
            "--quiet",
            "worker",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=WARNING",
            f"--queues={','.join(queues)}",
        ]
    )


@app.command(rich_help_panel="Processes", epilog="Example: THREELANE_CALLBACK_SECRET=... threelane callbacks")
def callbacks() -> None:
    """Run the door for Clickatell's status callbacks."""
    from worker.inbound.serve import serve
    from worker.settings import CallbackSettings

    serve(load_or_exit(CallbackSettings))


@app.command(rich_help_panel="Processes", epilog="Example: THREELANE_API_PORT=8080 threelane api")
def api() -> None:
    """Serve the HTTP API: messages for producers, holds and dead letters for operators; described at /docs."""
    from producer.settings import ApiSettings
    from worker.http.serve import serve

    serve(load_or_exit(ApiSettings))


@app.command(rich_help_panel="Processes", epilog="Example: threelane exporter")
def exporter() -> None:
    """Serve the fleet's metrics: depths, ages, holds, counts and credits, once, from Redis."""
    from worker.exporter import serve
    from worker.settings import ExporterSettings

    serve(load_or_exit(ExporterSettings))


@app.command(rich_help_panel="Operator", epilog="Example: threelane health --worker web-7")
def health(
    name: Annotated[str, typer.Option("--worker", help="Its name.")] = "",
) -> None:
    """Tell whether a worker consumes: fails when it fetched nothing for a minute while its lanes hold work."""
    from worker.health import ailment

    name = name or os.environ.get("THREELANE_WORKER_NAME", "") or socket.gethostname()
    problem = asked(lambda client: ailment(client, name, now_of(client)))
    if problem:
        _err.print(problem, markup=False, highlight=False)
        raise typer.Exit(Exit.UNHEALTHY)
    _out.print(f"worker {name} consumes", markup=False, highlight=False)


@app.command(rich_help_panel="Operator", epilog="Example: threelane check --live")
def check(
    live: Annotated[bool, typer.Option("--live", help="Ask the gateway, too: credentials and balance.")] = False,
    as_json: Json = False,
) -> None:
    """Tell whether the settings are sound, Redis keeps its word, and, with --live, whether the account answers."""
    from worker.check import Grade
    from worker.check import check as look

    findings = list(look(live=live))
    if as_json:
        print(msgspec.json.encode([one._asdict() for one in findings]).decode())
    else:
        table = Table("", "what", "told", "next step", box=SIMPLE_HEAD)
        for one in findings:
            table.add_row(*map(escape, one))
        _out.print(table)
    if any(one.grade is Grade.ERROR for one in findings):
        raise typer.Exit(Exit.USAGE)


@app.command(rich_help_panel="Operator", epilog="Example: threelane holds --json")
def holds(as_json: Json = False) -> None:
    """List what is on hold, and why."""
    from worker.account import hold

    found = asked(lambda client: hold.holds(client, now_of(client)))
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    table = Table("scope", "code", "cause", "since", "until")
    for scope, one in sorted(found.items()):
        ends = shown(one.until) if one.until else hold.way_back(one)
        table.add_row(scope, one.code, one.cause, shown(one.since), ends)
    _out.print(table if found else "nothing is on hold")


@app.command(rich_help_panel="Operator", epilog="Example: threelane resume --redrive 301")
def resume(
    scope: Annotated[str, typer.Argument(help="account, lane:1, sender:ACME or prefix:2783123.")] = "account",
    redrive: Annotated[str | None, typer.Option(help="Put the dead letters of this code back, too.")] = None,
) -> None:
    """Lift a hold; sending goes on where it stopped."""
    from worker.account import hold

    lifted = asked(lambda client: hold.resume(client, scope, now_of(client)))
    _out.print(f"{scope} resumed" if lifted else f"{scope} was not on hold")
    if redrive:
        redrive_code(redrive)


@app.command("redrive", rich_help_panel="Operator", epilog="Example: threelane redrive 301")
def redrive_code(code: Annotated[str, typer.Argument(help="The dead letters' code, as 301.")]) -> None:
    """Put the dead letters of a code back on their lanes, each once."""
    from producer.enqueue import Nudger
    from worker import redrive as dead_letters

    nudger = Nudger(load_or_exit(Settings))
    told = asked(lambda client: dead_letters.redrive(client, nudger, Filter(code=code), now_of(client)))
    over = f", {told['over_budget']} over their budget" if told["over_budget"] else ""
    _out.print(f"{told['redriven']} redriven, {told['expired']} past their validity{over} and left dead")


@app.command(rich_help_panel="Try it", epilog="Example: threelane demo --json summary.json")
def demo(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
    messages: Annotated[Path | None, typer.Option(help="Send this CSV in place of the one that ships.")] = None,
    gateway: Annotated[Api, typer.Option(help="Which of Clickatell's APIs to send through.")] = Api.HTTP,
) -> None:
    """Run the whole main job on this machine: Redis, sandbox, worker, callbacks; ends with three ledgers."""
    from worker.demo.run import demonstrate

    raise typer.Exit(demonstrate(json_file, messages, gateway))


@app.command(rich_help_panel="Try it", epilog="Example: threelane up, and in another terminal: threelane send ...")
def up() -> None:
    """Keep the same stack running until Ctrl-C; its addresses are in .threelane/stack.json."""
    from worker.demo.up import keep_up

    raise typer.Exit(keep_up())


def _mount_sandbox() -> None:
    from sandbox.cli import sandbox

    app.command(rich_help_panel="Try it")(sandbox)


def main() -> None:
    """Run the command line."""
    _mount_sandbox()
    app()
