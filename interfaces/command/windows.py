"""Commands for sending windows: set, list, remove, try; and the group of holidays."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.markup import escape

from threelane.contract import phone, schedule, zones
from threelane.contract.holidays import Holidays
from threelane.contract.refusal import Refusal
from threelane.contract.window import LOOK_AHEAD_DAYS, Window, Windows, common_opening, parse_scope
from threelane.interfaces.command import holidays as cli_holidays
from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.printing import Json, out, print_json, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import shown_at
from threelane.operations import opening
from threelane.store import windows

app = typer.Typer(
    help="Sending windows: the hours in which messages of a lane or tag are sent. Outside them, messages wait.",
    no_args_is_help=True,
)
app.add_typer(cli_holidays.app, name="holidays")
Scope = Annotated[str, typer.Argument(help="lane:2, lane:3 or tag:<tag>; lane 1 never waits.")]
Parsed = TypeVar("Parsed", int, phone.Msisdn)
_EXAMPLES = """Examples:

threelane windows set lane:3 "daily 08:00-21:00 recipient"

threelane windows set lane:2 "mon-fri 08:00-20:00; sat 09:00-13:00 Africa/Johannesburg"

threelane windows set tag:bar "fri,sat 20:00-02:00 Europe/Berlin"
"""


class Trial(msgspec.Struct, frozen=True):
    """When a message would be sent; times in milliseconds, ``opens`` is None when not within 8 days.

    ``zones`` are the recipient's, by ``prefix`` if it is not "".  ``holidays`` are those that it waits for.
    """

    scopes: list[str]
    country: str
    zones: list[str]
    prefix: str
    at: int
    open: bool
    opens: int | None
    holidays: list[str]


@app.command("set", epilog=_EXAMPLES)
def set_window(
    scope: Scope,
    text: Annotated[
        str,
        typer.Argument(
            metavar="WINDOW", help="Days, hours and a time zone; the word recipient means the recipient's own zone."
        ),
    ],
) -> None:
    """Set the window of a lane or a tag; it replaces any earlier one."""
    try:
        window = with_redis(lambda client: windows.set_window(client, scope, text))
    except ValueError as wrong:
        wrong_usage(str(wrong))
    out.print(f"{scope.strip()} is sent {window}", markup=False, highlight=False, soft_wrap=True)


@app.command("list", epilog="Example: threelane windows list --json")
def list_windows(as_json: Json = False) -> None:
    """List the windows, and the invalid entries, which are ignored."""
    found = with_redis(windows.read)
    if as_json:
        windows_json = {"windows": {scope: str(window) for scope, window in sorted(found.by_scope.items())}}
        print_json(windows_json | {"unreadable": found.unreadable})
        return
    table = Table("scope", "sent")
    for scope, window in sorted(found.by_scope.items()):
        table.add_row(escape(scope), escape(str(window)))
    for scope, problem in sorted(found.unreadable.items()):
        table.add_row(escape(scope), f"[red]at any hour: invalid window[/]: {escape(problem)}")
    out.print(table if table.row_count else "no windows: all messages are sent at any hour")


@app.command(epilog="Example: threelane windows remove lane:3")
def remove(scope: Scope) -> None:
    """Remove a window; its messages are then sent at any hour."""
    removed = with_redis(lambda client: windows.remove(client, scope))
    out.print(
        f"{scope} " + ("is sent at any hour" if removed else "had no window"),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@app.command("try", epilog="Example: threelane windows try lane:3 tag:promo --to 27831234567 --at 2031-06-30T14:00:00Z")
def try_window(
    scopes: Annotated[
        list[str], typer.Argument(metavar="SCOPE...", help="The scopes of the message: its lane and tags.")
    ],
    to: Annotated[
        list[str], typer.Option(help="A recipient; without + or 00 read as THREELANE_NUMBERS says; repeatable.")
    ],
    at: Annotated[
        str | None, typer.Option(help="When the message would be due, such as 2031-06-30T14:00:00Z; default: now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show when a message would be sent."""
    numbers = [number_of(one, "--to") for one in to]
    due = None if at is None else _right(schedule.instant(at, "--at"))
    found, now = with_redis(lambda client: (windows.read(client), now_of(client)))
    applying = _applying(found, scopes)
    moment = now if due is None else due
    try:
        trials = [_trial(scopes, applying, number, moment, found.holidays) for number in numbers]
    except OverflowError:
        wrong_usage("--at is out of range: give a time such as 2031-06-30T14:00:00Z")
    if as_json:
        print_json(trials if len(trials) > 1 else trials[0])
        return
    for number, trial in zip(numbers, trials, strict=True):
        reasons = opening.reason(applying, found.holidays, number, moment)
        before = f"{number}: " if len(trials) > 1 else ""
        for line in (before + _verdict(trial, applying, number), *reasons):
            out.print(line, markup=False, highlight=False, soft_wrap=True)


def _trial(scopes: list[str], applying: tuple[Window, ...], number: str, moment: int, holidays: Holidays) -> Trial:
    where = zones.place(number)
    opens = common_opening(applying, number, moment, holidays)
    return Trial(
        scopes=scopes,
        country=where.country,
        zones=[zone.key for zone in where.zones],
        prefix=where.prefix,
        at=moment,
        open=opens == moment,
        opens=opens,
        holidays=[str(one) for one in opening.holidays_met(applying, holidays, number, moment)],
    )


def _applying(found: Windows, scopes: list[str]) -> tuple[Window, ...]:
    applying = []
    for scope in scopes:
        if scope in found.unreadable:
            wrong_usage(f"{scope} is invalid and ignored: {found.unreadable[scope]}")
        if scope == "lane:1":  # never waits, regardless of tags
            return ()
        try:
            applying.append(found.by_scope.get(parse_scope(scope)))
        except ValueError as wrong:
            wrong_usage(str(wrong))
    return tuple(window for window in applying if window)


def _verdict(trial: Trial, applying: tuple[Window, ...], number: str) -> str:
    if not applying:
        return "no window applies: it is sent at once"
    if trial.opens is None:
        return f"it cannot be sent: the windows are not open together within {LOOK_AHEAD_DAYS} days"
    clocks = dict.fromkeys(window.zones(number)[0] for window in applying)
    places = ", ".join(f"{datetime.fromtimestamp(trial.opens / 1000, zone):%a %H:%M} in {zone.key}" for zone in clocks)
    return f"{'open: it is sent at once' if trial.open else 'it waits until'} {shown_at(trial.opens)} ({places})"


def _right(parsed: Parsed | Refusal) -> Parsed:
    if isinstance(parsed, Refusal):
        wrong_usage(f"{parsed.problem}: {parsed.remedy}")
    return parsed
