"""Commands for the health of an installation: check, health, doctor."""

from __future__ import annotations

import os
import socket
from typing import Annotated

import typer
from pydantic_settings import BaseSettings
from redis.exceptions import RedisError
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from threelane.interfaces.command.caller import Json, err, out, print_json, print_line
from threelane.interfaces.command.query import now_of, with_redis
from threelane.operations.finding import Finding, Grade
from threelane.runtime.exits import Exit
from threelane.runtime.settings import load_or_exit
from threelane.store.connect import connect
from threelane.worker.process.settings import WorkerSettings

Live = Annotated[bool, typer.Option("--live", help="Also query the gateway: credentials and balance.")]
_COLOURS = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.ERROR: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    panel = "Operator"
    app.command(rich_help_panel=panel, epilog="Example: threelane health --worker web-7")(health)
    app.command(rich_help_panel=panel, epilog="Example: threelane check --live")(check)
    app.command(rich_help_panel=panel, epilog="Example: threelane doctor --json")(doctor)


def health(
    name: Annotated[str, typer.Option("--worker", help="The worker's name; default: this host's.")] = "",
    as_json: Json = False,
) -> None:
    """Check that a worker is consuming (exit code 5 if not), and that nothing waits too long in its lanes (8)."""
    from threelane.operations.health import problem_of, waits_of
    from threelane.worker.account.hold import holds

    name = name or os.environ.get("THREELANE_WORKER_NAME", "") or socket.gethostname()
    problem = with_redis(lambda client: problem_of(client, name, now_of(client)))
    waits = with_redis(lambda client: waits_of(client, name, now_of(client)))
    if as_json:
        found = with_redis(lambda client: holds(client, now_of(client)))
        print_json({"worker": name, "consumes": not problem, "problem": problem, "waits": waits, "holds": found})
    else:
        for line in filter(None, (problem, *waits)):
            err.print(line, markup=False, highlight=False)
        if not problem:
            print_line(f"worker {name} consumes")
    raise typer.Exit(Exit.UNHEALTHY if problem else Exit.WAITING if waits else Exit.OK)


def check(live: Live = False, as_json: Json = False) -> None:
    """Check the settings, Redis and the broker, and, with --live, the account."""
    from threelane.operations.check import check as findings_of

    findings = list(findings_of(live=live, independent=_independent()))
    _print(findings, as_json=as_json)
    raise typer.Exit(Exit.USAGE if _is_wrong(findings) else Exit.OK)


def doctor(live: Live = False, as_json: Json = False) -> None:
    """List each problem with its owner and the command that fixes it; exits with 5 if any problem is an error."""
    from threelane.operations import doctor as diagnosis
    from threelane.operations.check import check as findings_of
    from threelane.worker.gateway.overrides import WrongPolicy, in_force

    settings = load_or_exit(WorkerSettings)
    try:
        table = in_force(settings.gateway, settings.policy_file)
    except WrongPolicy:  # check reports it
        table = in_force(settings.gateway, None)
    findings, unavailable = list(findings_of(live=live, independent=_independent())), False
    try:
        with connect(settings) as client:
            findings += diagnosis.diagnose(client, now_of(client), table)
    except (RedisError, OSError):  # check has reported it
        unavailable = True
    _print(findings, as_json=as_json)
    if unavailable:
        raise typer.Exit(Exit.UNAVAILABLE)
    raise typer.Exit(Exit.UNHEALTHY if _is_wrong(findings) else Exit.OK)


def _independent() -> dict[str, type[BaseSettings]]:
    from threelane.sandbox.settings import SandboxSettings

    return {"sandbox": SandboxSettings}


def _is_wrong(findings: list[Finding]) -> bool:
    return any(one.grade is Grade.ERROR for one in findings)


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([one._asdict() | {"told": one.detail} for one in findings])  # told: the former name of detail
        return
    table = Table("", "what", "finding", "next step", "owner", box=SIMPLE_HEAD)
    for one in findings:
        grade = f"[{_COLOURS[one.grade]}]{one.grade}[/]"
        owner = "" if one.grade is Grade.OK else one.owner
        table.add_row(grade, escape(one.what), escape(one.detail), escape(one.step), owner)
    out.print(table)
