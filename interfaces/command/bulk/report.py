"""Report: the counts, refusals and progress of a bulk, as the command prints them."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from threelane.contract.errors import Refused
from threelane.contract.prices import CREDIT
from threelane.interfaces.command.caller import (
    err,
    out,
    print_line,
)
from threelane.interfaces.command.terminal import Table
from threelane.producer.accept import Accepted
from threelane.producer.files.bulk import FileRow
from threelane.producer.rehearse import Rehearsed

MOST_SHOWN = 1_000  # refused rows in a table; --json prints all


def count(counts: Counter[str], answer: Accepted | Rehearsed | Refused) -> None:
    if isinstance(answer, Refused):
        counts["refused"] += 1
    else:
        counts["accepted"] += 1
        counts["repeated"] += answer.repeated
        counts["parts"] += 0 if answer.repeated else answer.parts


def print_refused(refused: list[tuple[FileRow, Refused]]) -> None:
    if not refused:
        return
    table = Table("row", "line", "code", "field", "problem", "remedy", title="refused")
    for row, answer in refused[:MOST_SHOWN]:
        told_by = (answer.code, answer.field, answer.problem, answer.remedy)
        table.add_row(str(row.number), str(row.line), *map(escape, told_by))
    out.print(table)
    if len(refused) > MOST_SHOWN:
        print_line(f"and {len(refused) - MOST_SHOWN:,} more: --json prints all")


def summary(counts: Counter[str], *, dry_run: bool) -> str:
    again = f", {counts['repeated']} of them already known" if counts["repeated"] else ""
    if not dry_run:
        return f"{counts['accepted']} accepted ({counts['parts']} parts{again}), {counts['refused']} refused"
    cost = f"about {counts['estimate_millionths'] / CREDIT:,.2f} credits"
    return (
        f"{counts['accepted']} would be accepted ({counts['parts']} parts, {cost}{again}), "
        f"{counts['refused']} refused; nothing was sent"
    )


def progress_bar(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
    )
    return Progress(*columns, TimeElapsedColumn(), console=err, disable=quiet, transient=True)
