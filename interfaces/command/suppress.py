"""Commands for the suppression list."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import redis
import typer
from rich.markup import escape

from threelane.contract.duration import DAY_SECONDS
from threelane.contract.prices import country as country_of
from threelane.interfaces.command import opt_out_list, reach
from threelane.interfaces.command.file_numbers import (
    Country,
    Numbers,
    copied,
    installation_country,
    number_rules,
    refuse_bare_numbers,
)
from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.opt_out_list import COLUMNS, MOST_EVIDENCE, TEXTS
from threelane.interfaces.command.printing import Json, err, out, print_json, print_limit, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import duration_in, masked, shown_at
from threelane.producer.files.bulk import InvalidFile
from threelane.producer.files.numbers import BareNumbers, NumberRules
from threelane.runtime import logs
from threelane.runtime.exits import Exit
from threelane.runtime.spreadsheet import text_cell
from threelane.store import by_hand, suppression
from threelane.store.suppression import Respelt

app = typer.Typer(name="suppress", help="The suppression list: numbers to which nothing is sent.", no_args_is_help=True)
app.add_typer(reach.app, name="reach")
Scope = Annotated[str, typer.Option(help=f"{suppression.FORMS}.")]


@app.command(epilog="Example: threelane suppress add 27831234567 --evidence 'called on 3 May'")
def add(
    number: Annotated[str, typer.Argument(help="The number; without + or 00 read as THREELANE_NUMBERS says.")],
    scope: Scope = suppression.ALL,
    evidence: Annotated[str, typer.Option(help="The reason, kept as evidence.")] = "",
    days: Annotated[
        float,
        typer.Option(
            metavar="DURATION",
            parser=duration_in(DAY_SECONDS, most=suppression.MOST_DAYS),
            help="Days until it expires, up to 36500; 0: never.",
        ),
    ] = 0,
) -> None:
    """Suppress a number; messages already waiting for it are not sent either."""
    msisdn, scope = number_of(number), _scope(scope)
    evidence = evidence.encode("utf-8", "replace").decode()[:MOST_EVIDENCE]  # a terminal may send octets

    def put(client: redis.Redis) -> None:
        by_hand.suppress(client, msisdn, suppression.by_hand(scope, evidence, days, now_of(client)))

    with_redis(put)
    out.print(f"{masked(msisdn)} is suppressed ({scope})", markup=False, highlight=False)


@app.command(epilog="Example: threelane suppress remove 27831234567 --source operator")
def remove(
    number: Annotated[str, typer.Argument(help="The number.")],
    source: Annotated[str, typer.Option(help="Only entries of this source: STOP, 'code 122', operator, import.")] = "",
    scope: Annotated[str, typer.Option(help="Only this scope.")] = "",
) -> None:
    """Remove a number from the list.  Clickatell's own block list does not change."""
    msisdn, scope = number_of(number), _scope(scope, suppression.parse_stored_scope) if scope else ""
    lifted = with_redis(lambda client: by_hand.lift(client, msisdn, source, scope))
    entries = "1 entry" if lifted == 1 else f"{lifted} entries"
    out.print(f"{entries} of {masked(msisdn)} removed", markup=False, highlight=False)
    raise typer.Exit(Exit.OK if lifted else Exit.REFUSED)


@app.command(epilog="Example: threelane suppress why 27831234567 --json")
def why(number: Annotated[str, typer.Argument(help="The number.")], as_json: Json = False) -> None:
    """Show the entries for a number: source, dates, and whether each is in force."""
    msisdn = number_of(number)
    entries, now = with_redis(lambda client: (suppression.why(client, msisdn), now_of(client)))
    if as_json:
        rows = [msgspec.structs.asdict(one) | {"in_force": one.forbids(now)} for one in entries]
        print_json(rows)
        return
    table = Table("source", "code", "scope", "in force", "first", "last", "expires", "evidence")
    for one in entries:
        force = "yes" if one.forbids(now) else f"{one.times} of {one.needs}" if one.times < one.needs else "expired"
        ends = shown_at(one.expires) if one.expires else "never"
        cells = (one.source, one.code, one.scope, force, shown_at(one.first), shown_at(one.last), ends, one.evidence)
        table.add_row(*map(escape, cells))
    out.print(table if entries else "this number is not suppressed")


@app.command("list", epilog="Example: threelane suppress list --json")
def show(
    numbers: Annotated[bool, typer.Option("--numbers", help="Show whole phone numbers.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Maximum number of entries to show.")] = 100,
    as_json: Json = False,
) -> None:
    """List suppressed numbers."""

    def read(client: redis.Redis) -> list[suppression.Suppressed]:
        return [one for one, _ in zip(suppression.every(client), range(most), strict=False)]

    found = with_redis(read)
    if as_json:
        print_json([{"number": one.number, "entries": one.entries} for one in found])
        return
    table = Table("number", "sources", "scopes", "last")
    for one in found:
        sources = ", ".join(sorted({entry.source for entry in one.entries}))
        scopes = ", ".join(sorted({entry.scope for entry in one.entries}))
        number = one.number if numbers else masked(one.number)
        table.add_row(number, escape(sources), escape(scopes), shown_at(max(entry.last for entry in one.entries)))
    out.print(table if found else "no number is suppressed")
    print_limit(len(found), most)


@app.command("import", epilog="Example: threelane suppress import blocked.csv --country ZA")
def take(
    file: Annotated[
        Path,
        typer.Argument(help="CSV with a column number, msisdn, phone or to, and optionally the others of export."),
    ],
    numbers: Numbers = "",
    country: Country = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print counts and refusals; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Suppress the numbers in a file; valid rows are imported, and each invalid row is reported."""
    rules = number_rules(numbers, country)
    try:
        with file.open("rb") as given, copied(file, given) as opened:
            opt_out_list.require_reading(opt_out_list.rows(opened), rules, installation_country())
            counts = with_redis(lambda client: _take(client, opened, rules, dry_run=dry_run, as_json=as_json))
    except OSError as unreadable:
        wrong_usage(f"{file}: {unreadable.strerror}")
    except BareNumbers as bare:
        refuse_bare_numbers(file, bare, as_json=as_json)
    except InvalidFile as no_list:
        wrong_usage(f"{file}: {no_list}")
    if as_json:
        print_json({"summary": counts, "dry_run": dry_run})
    else:
        taken, end = ("would be taken", "; nothing was changed") if dry_run else ("taken", "")
        print_line(
            f"{counts['taken']} {taken}, {counts['already_there']} already there, {counts['refused']} refused{end}"
        )
    raise typer.Exit(Exit.REFUSED if counts["refused"] else Exit.OK)


def _take(
    client: redis.Redis, opened: BufferedReader, rules: NumberRules, *, dry_run: bool, as_json: bool
) -> Counter[str]:
    """Import the rows of a list, a few hundred at a time, and report each one that is refused."""
    counts: Counter[str] = Counter(taken=0, already_there=0, refused=0)
    now, found = now_of(client), opt_out_list.rows(opened)
    while window := list(islice(found, suppression.BATCH)):
        good: list[tuple[str, suppression.Entry]] = []
        for row in window:
            try:
                good.append(opt_out_list.entry(row, rules, now))
            except ValueError as wrong:
                counts["refused"] += 1
                if as_json:
                    print_json({"row": row.number, "line": row.line, "refused": str(wrong)})
                else:
                    where = f"row {row.number}, line {row.line}"
                    err.print(f"{where}: {wrong}", markup=False, highlight=False, soft_wrap=True)
        known = suppression.known(client, good)
        counts["already_there"] += known
        counts["taken"] += len(good) - known
        if not dry_run:
            suppression.take_over(client, good)
    return counts


@app.command(epilog="Example: threelane suppress export > suppressed.csv")
def export() -> None:
    """Write the whole list as CSV, in the format of import; times are Unix time in milliseconds."""

    def write(client: redis.Redis) -> None:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, entries in suppression.every(client):
            for entry in entries:
                values = msgspec.structs.asdict(entry)
                table.writerow([_international(number), *(_cell(name, values[name]) for name in COLUMNS[1:])])

    with_redis(write)


@app.command(epilog="Example: threelane suppress migrate --dry-run")
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how many would be moved, by country.")] = False,
    as_json: Json = False,
) -> None:
    """Move entries under a former spelling of a number to the present one; run it when all workers are upgraded."""
    results = with_redis(lambda client: _migrated(client, dry_run=dry_run))
    if as_json:
        print_json(results)
    else:
        table = Table("country", "result", "numbers")
        for one in results:
            table.add_row(one["country"], one["result"], str(one["numbers"]))
        out.print(table if results else "no number is listed under a former spelling")
        if results and dry_run:
            print_line("nothing was changed: repeat it without --dry-run")
    is_complete = dry_run or all(one["result"] != Respelt.UNREADABLE for one in results)
    if not is_complete:
        err.print("unreadable rows were left: threelane damaged list", markup=False, highlight=False)
    raise typer.Exit(Exit.OK if is_complete else Exit.REFUSED)


def _migrated(client: redis.Redis, *, dry_run: bool) -> list[dict[str, Any]]:
    """Move what is misspelt, or count it; returns the numbers by country and result."""
    counts: Counter[tuple[str, str]] = Counter()
    for number, is_listed in suppression.misspelt(client):
        planned = Respelt.MERGED if is_listed else Respelt.MOVED
        counts[country_of(number), planned if dry_run else suppression.respell(client, number)] += 1
    results = [
        {"country": where, "result": f"to be {result}" if dry_run else result, "numbers": numbers}
        for (where, result), numbers in sorted(counts.items())
    ]
    if not dry_run:
        suppression.note_misspelt(client, sum(n for (_, one), n in counts.items() if one == Respelt.UNREADABLE))
        logs.events("suppressed_migrated", results)
    return results


def _international(number: str) -> str:
    """Return a number of the list as a cell that is read without a setting; a damaged name stays as it is."""
    return f"+{number}" if number.isdigit() else number


def _cell(column: str, value: object) -> object:
    return text_cell(str(value)) if column in TEXTS else value


def _scope(raw: str, parse: Callable[[str], str] = suppression.parse_scope) -> str:
    try:
        return parse(raw)
    except ValueError as wrong:
        wrong_usage(str(wrong))
