"""Report: the counts, refusals and progress of a bulk, as the command prints them."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from threelane.contract.accounts.account import CREDITS
from threelane.contract.errors import Refused
from threelane.interfaces.command.bulk.refused_file import RefusedRows
from threelane.interfaces.command.printing import err, out, print_line
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import credits, shown_at
from threelane.producer.accept import Accepted
from threelane.producer.files.accounts import Accounts
from threelane.producer.files.intake import Known
from threelane.producer.rehearse import Rehearsed
from threelane.store.batches import Batch


def count(counts: Counter[str], answer: Accepted | Rehearsed | Refused | Known) -> None:
    if isinstance(answer, Refused):
        counts["refused"] += 1
    elif isinstance(answer, Known):
        counts["accepted"] += 1
        counts["repeated"] += 1
    else:
        counts["accepted"] += 1
        counts["repeated"] += answer.repeated
        counts["parts"] += 0 if answer.repeated else answer.parts
        if answer.characters_cut and not answer.repeated:
            counts["cut"] += 1
        if answer.opt_out and not answer.repeated:
            counts["opt_out_lines"] += 1
            counts["opt_out_parts"] += answer.opt_out_parts


def print_refused(refused: RefusedRows) -> None:
    if not refused.number:
        return
    table = Table("row", "line", "code", "field", "problem", "remedy", title="refused")
    for number, line, answer in refused.first:
        told_by = (answer.code, answer.field, answer.problem, answer.remedy)
        table.add_row(str(number), str(line), *map(escape, told_by))
    out.print(table)
    if refused.number > len(refused.first):
        print_line(f"and {refused.number - len(refused.first):,} more: --json prints all")


def summary(counts: Counter[str], accounts: Accounts, *, dry_run: bool) -> str:
    new, parts = counts["accepted"] - counts["repeated"], counts["parts"]
    others = f"{counts['refused']} refused"
    if counts["repeated"]:
        others = f"{counts['repeated']} already known, {others}"
    if counts["opt_out_lines"]:
        line = f"{counts['opt_out_lines']} with an opt-out line that costs {counts['opt_out_parts']} of the parts"
        others = f"{line}, {others}"
    if counts["cut"] and not dry_run:
        others = f"{counts['cut']} cut to fit, {others}"
    if not dry_run:
        return f"{new} accepted ({parts} parts), {others}"
    sums = accounts.by_currency() or {CREDITS: counts["estimate_millionths"]}
    cost = "about " + " and ".join(f"{credits(amount)} {currency}" for currency, amount in sums.items())
    return f"{new} would be accepted ({parts} parts, {cost}), {others}; nothing was sent"


def finished(name: str, sent: Batch | None) -> str:
    """Return the sentence for a job that was finished before this run.

    Its own batch has no times if its rows name other batches or producers, or an earlier version accepted them.
    """
    when = f"between {shown_at(sent.started)} and {shown_at(sent.last_accepted)}" if sent else "before"
    return f"{name}: nothing was sent; its rows were accepted {when}. For a new sending use --run $(date +%F)"


def forgotten(batch: Batch) -> str:
    """Return the sentence for a job whose rows are forgotten."""
    when = f"between {shown_at(batch.started)} and {shown_at(batch.last_accepted)}"
    return (
        f"the job {batch.name} was sent {when}, and its rows, or its oldest, are forgotten (THREELANE_BATCH_DAYS): a "
        "further run could send them twice. For a new sending use --run $(date +%F), or another --batch"
    )


def progress_bar(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
    )
    return Progress(*columns, TimeElapsedColumn(), console=err, disable=quiet, transient=True)
