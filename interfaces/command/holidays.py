"""Commands for holidays: add, import, list, remove."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.markup import escape

from threelane.contract import countries
from threelane.contract.holidays import (
    EVERYWHERE,
    Holiday,
    Holidays,
    check_ahead,
    parse_day,
    parse_name,
)
from threelane.interfaces.command.printing import Json, err, out, print_json, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.runtime import extras
from threelane.runtime.exits import Exit
from threelane.store import windows

app = typer.Typer(
    help="Holidays: days on which sending windows stay closed. Lane 1, and messages without a window, are sent.",
    no_args_is_help=True,
)
YEARS = 2  # of a calendar file
MOST_OCTETS = 5_000_000
MOST_PROBLEMS = 10  # that are printed
Days = Annotated[list[str], typer.Argument(metavar="DAY...", help="Days, as in 2026-12-25.")]
Country = Annotated[
    str, typer.Option(help="Two letters, as in ZA: for recipients in this country alone; default: for all recipients.")
]


@app.command(epilog="Example: threelane windows holidays add 2031-12-25 2031-12-26 --country ZA --name Christmas")
def add(days: Days, country: Country = EVERYWHERE, name: Annotated[str, typer.Option(help="Its name.")] = "") -> None:
    """Add days on which windows stay closed, for recipients in a country or for all."""

    def run(client: redis.Redis) -> tuple[list[Holiday], int]:
        now = now_of(client)
        added = [
            Holiday(check_ahead(parse_day(day), windows.today(now)), _distinct(country), parse_name(name))
            for day in days
        ]
        return added, windows.add_holidays(client, added, now=now)

    added, new = with_redis(run)
    for one in added:
        _line(f"closed on {one}")
    if new < len(added):
        _line(f"{len(added) - new} of them {'was' if len(added) - new == 1 else 'were'} known")


@app.command("import", epilog="Example: threelane windows holidays import za.ics --country ZA --replace")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An iCalendar file (.ics).")],
    country: Country = EVERYWHERE,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove the holidays that this country, or everybody, had before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add the whole-day events of an iCalendar file, two years ahead, with those that recur."""
    content = _content(file)

    def run(client: redis.Redis) -> tuple[list[Holiday], int]:
        now, where = now_of(client), _distinct(country)
        added = [Holiday(day, where, name) for day, name in _read(file, content, windows.today(now))]
        return added, windows.add_holidays(client, added, now=now, replace=[where] if replace else [])

    added, new = with_redis(run)
    if as_json:
        print_json({"new": new, "holidays": [_json(one) for one in added]})
        return
    for one in added:
        _line(f"closed on {one}")
    _line(f"{len(added)} holidays from {file.name}, {new} of them new")


@app.command("list", epilog="Example: threelane windows holidays list --country ZA --json")
def list_holidays(
    country: Annotated[str, typer.Option(help="Only those that apply to recipients in this country.")] = "",
    as_json: Json = False,
) -> None:
    """List the holidays, and the invalid rows, which are ignored."""

    def run(client: redis.Redis) -> tuple[Holidays, str]:
        return windows.holidays(client), countries.parse_country(country) if country else ""

    found, where = with_redis(run)
    shown = [one for one in found.known if not where or one.country in (where, EVERYWHERE)]
    if as_json:
        print_json({"holidays": [_json(one) for one in shown], "unreadable": found.unreadable})
        return
    table = Table("day", "weekday", "country", "name")
    for one in shown:
        table.add_row(
            str(one.day), f"{one.day:%a}", "all" if one.country == EVERYWHERE else one.country, escape(one.name)
        )
    for row, problem in sorted(found.unreadable.items()):
        table.add_row(escape(row), "", "", f"[red]not a holiday: invalid row[/]: {escape(problem)}")
    out.print(table if table.row_count else "no holidays: windows open on all of their days")


@app.command(epilog="Example: threelane windows holidays remove 2031-12-25 --country ZA")
def remove(days: Days, country: Country = EVERYWHERE) -> None:
    """Remove holidays, of a country or of all recipients; windows then open on these days."""

    def run(client: redis.Redis) -> tuple[list[Holiday], list[Holiday]]:
        named = [Holiday(parse_day(day), _country(country)) for day in days]
        return named, windows.remove_holidays(client, named)

    named, removed = with_redis(run)
    for one in named:
        _line(f"{one}: " + ("windows open" if one in removed else "was not a holiday"))
    if len(removed) < len(named):
        raise typer.Exit(Exit.NOT_FOUND)


def _distinct(text: str) -> str:
    """Return the country of new holidays; those of a country that no number is in would never apply."""
    return text if text == EVERYWHERE else countries.distinct(countries.parse_country(text))


def _country(text: str) -> str:
    return EVERYWHERE if text == EVERYWHERE else countries.parse_country(text)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_OCTETS + 1)
    except OSError as failed:
        wrong_usage(f"{file}: {failed.strerror or failed}")
    if len(content) > MOST_OCTETS:
        wrong_usage(f"{file}: larger than 5 MB, which no calendar of holidays is")
    return content


def _read(file: Path, content: bytes, first: date) -> list[tuple[date, str]]:
    """Return the days of a file; ends the command if an event is wrong or no day is left."""
    try:
        from threelane.operations.calendar_file import NotACalendar, read
    except ModuleNotFoundError:
        wrong_usage(extras.sentence("calendar", "threelane windows holidays import"))
    try:
        found = read(content, first, first + timedelta(days=366 * YEARS))
    except NotACalendar as wrong:
        for problem in wrong.problems[:MOST_PROBLEMS]:
            err.print(f"{file}: {problem}", markup=False, highlight=False, soft_wrap=True)
        more = len(wrong.problems) - MOST_PROBLEMS
        wrong_usage(f"{f'and {more} more; ' if more > 0 else ''}nothing was changed")
    if not found:
        wrong_usage(f"{file}: it has no day in the next {YEARS} years; nothing was changed")
    return [(day, name) for day, name in found]


def _json(one: Holiday) -> dict[str, str]:
    country = "" if one.country == EVERYWHERE else one.country
    return {"day": one.day.isoformat(), "country": country, "name": one.name}


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
