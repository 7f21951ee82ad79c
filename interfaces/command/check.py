"""Commands for the health of an installation: check, health, doctor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from pydantic_settings import BaseSettings
from redis.exceptions import RedisError
from rich.markup import escape

from threelane.contract.accounts.account import DEFAULT
from threelane.interfaces.command.printing import Json, err, out, print_json, print_line
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.operations.finding import Finding, Grade
from threelane.runtime import extras
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store.connect import connect
from threelane.worker.process.settings import WorkerSettings

if TYPE_CHECKING:
    from threelane.operations.own_health import Health, InRedis
    from threelane.worker.process.announcements import Announced

Live = Annotated[bool, typer.Option("--live", help="Also query the gateway: credentials and balance.")]
HIDDEN = "whether a worker runs cannot be seen: correct the run folder; a restart would not help"
_COLOURS = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.ERROR: "bold red"}


def health(
    name: Annotated[str, typer.Option("--worker", help="A worker by name, on any host; default: this host's.")] = "",
    ready: Annotated[bool, typer.Option("--ready", help="Also fail if it sends nothing for now: readiness.")] = False,
    account: Annotated[
        str, typer.Option(help="Only workers of this account; default: THREELANE_ACCOUNT, or those of all accounts.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that this host's workers run and consume: exit code 5 if a restart would help, 8 if messages wait long."""
    from threelane.operations import own_health
    from threelane.worker.process.identity import around

    if account:
        os.environ["THREELANE_ACCOUNT"] = account
    settings, of_workers = load_or_exit(Settings), load_or_exit(WorkerSettings)
    only = of_workers.account if account or of_workers.account != DEFAULT else ""

    def is_meant(one: Announced) -> bool:
        return one.name == name if name else not only or one.account == only

    announced, unknown = around(of_workers)
    here = [*filter(is_meant, announced)]
    if not here and not name:
        here = [*filter(is_meant, own_health.unannounced(of_workers, own_health.UNANNOUNCED_SECONDS))]
        unknown += [f"worker {one.name} answers at {one.metrics}, and is not announced" for one in here]
    if here:
        names = [one.name for one in here]
        found = own_health.read(here, lambda: _look(settings, names), own_health.seconds_left(), unknown)
    elif unknown and not name:
        found = own_health.Health(workers=(), warnings=(*unknown, HIDDEN))
    else:
        found = _elsewhere(name, settings, only)
    if as_json:
        print_json(_fields(found))
    else:
        _print_health(found)
    raise typer.Exit(found.code(ready=ready))


def _look(settings: Settings, names: Sequence[str]) -> InRedis:
    from threelane.operations import own_health

    with connect(settings) as client:
        return own_health.look(client, names, now_of(client))


def _elsewhere(name: str, settings: Settings, account: str) -> Health:
    """Return the health of a worker of another host, by its reports in Redis; ends the command if Redis is away."""
    from threelane.operations.health import reported
    from threelane.operations.own_health import Health

    if not name:
        where = "this host and user, with this Redis: start one, or name one with --worker"
        of_account = f" of the account {account}" if account else ""
        return Health(workers=(), problems=(f"no worker{of_account} runs on {where}",))
    problem, reason = with_redis(lambda client: reported(client, name, now_of(client)))
    looked = _look(settings, [name])
    problems, reasons = ((one,) if one else () for one in (problem, reason))
    return Health(workers=(name,), problems=problems, reasons=reasons, waits=tuple(looked.waits), holds=looked.holds)


def _fields(found: Health) -> dict[str, Any]:
    """Return the JSON form; ``worker``, ``consumes`` and ``problem`` are as before there could be several workers."""
    consumes = bool(found.workers) and not found.problems
    own = {"worker": ", ".join(found.workers), "consumes": consumes, "problem": "; ".join(found.problems)}
    ready = consumes and not (found.reasons or found.redis)
    return own | msgspec.structs.asdict(found) | {"ready": ready}


def _print_health(found: Health) -> None:
    for line in (*found.warnings, *found.problems, *found.reasons, *found.waits):
        err.print(line, markup=False, highlight=False)
    if not found.workers:
        return
    is_one = len(found.workers) == 1
    whose, s = f"{'worker' if is_one else 'workers'} {', '.join(found.workers)}", "s" if is_one else ""
    if found.redis:
        err.print(f"{found.redis}; workers wait for it, and a restart would not help", markup=False, highlight=False)
    if found.redis and not found.problems:
        print_line(f"{whose} run{s}")
    elif not (found.problems or found.reasons):
        print_line(f"{whose} consume{s}")


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
    from threelane.operations.check_redis import refused
    from threelane.worker.gateway.overrides import WrongPolicy, in_force

    settings = load_or_exit(WorkerSettings)
    try:
        table = in_force(settings.gateway, settings.policy_file)
    except WrongPolicy:  # check reports it
        table = in_force(settings.gateway, None)
    findings = list(findings_of(live=live, independent=_independent(), account_elsewhere=not live))
    unavailable = not any(one.what == "Redis" and one.grade is Grade.OK for one in findings)  # as check has reported
    try:
        if not unavailable:
            with connect(settings) as client:
                findings += diagnosis.diagnose(client, now_of(client), table)
    except (RedisError, OSError) as failed:
        findings.append(refused(failed))
        unavailable = True
    _print(findings, as_json=as_json)
    if unavailable:
        raise typer.Exit(Exit.UNAVAILABLE)
    raise typer.Exit(Exit.UNHEALTHY if _is_wrong(findings) else Exit.OK)


def _independent() -> dict[str, type[BaseSettings]]:
    if not extras.includes("sandbox"):
        return {}
    from threelane.sandbox.settings import SandboxSettings

    return {"sandbox": SandboxSettings}


def _is_wrong(findings: list[Finding]) -> bool:
    return any(one.grade is Grade.ERROR for one in findings)


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([one._asdict() | {"told": one.detail} for one in findings])  # told: the former name of detail
        return
    table = Table("grade", "what", "finding", "next step", "owner")
    for one in findings:
        grade = f"[{_COLOURS[one.grade]}]{one.grade}[/]"
        owner = "" if one.grade is Grade.OK else one.owner
        table.add_row(grade, escape(one.what), escape(one.detail), escape(one.step), owner)
    out.print(table)
