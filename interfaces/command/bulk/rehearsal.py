"""Rehearsal: what a job would do and cost; nothing is sent."""

from __future__ import annotations

from collections import Counter
from io import BufferedReader
from typing import Any

from threelane.contract.errors import Refused
from threelane.interfaces.command.bulk.extra_parts import ExtraParts
from threelane.interfaces.command.bulk.paused import find_paused, in_json
from threelane.interfaces.command.bulk.planning import Run
from threelane.interfaces.command.bulk.refused_file import RefusedRows
from threelane.interfaces.command.bulk.report import count
from threelane.interfaces.command.caller import answer_json
from threelane.interfaces.command.printing import err, print_json, print_line
from threelane.interfaces.command.values import credits
from threelane.producer.client import Producer
from threelane.producer.files import intake
from threelane.producer.files.accounts import Accounts
from threelane.producer.files.countries import Countries
from threelane.producer.rehearse import Rehearsed


def rehearse(
    producer: Producer,
    run: Run,
    opened: BufferedReader,
    refused: RefusedRows,
    counts: Counter[str],
    countries: Countries,
    accounts: Accounts,
    *,
    as_json: bool,
) -> None:
    """Report what would be accepted, refused and charged."""
    estimates: Counter[tuple[str, str]] = Counter()
    extra_parts = ExtraParts()
    for row, answer in intake.rehearse(producer, run.rows(producer, opened)):
        if as_json:
            print_json(answer_json(answer, row=row.number, line=row.line))
        if isinstance(answer, Refused):
            refused.add(row, answer)
        count(counts, answer)
        if isinstance(answer, Rehearsed) and not answer.repeated:
            estimates[answer.cost_centre, answer.producer] += answer.estimate_millionths
            countries.add(answer.country, answer.parts, answer.estimate_millionths)
            accounts.add(answer)
            extra_parts.add(answer)
    counts["estimate_millionths"] = estimates.total()
    over = producer.over_budgets(estimates)
    if as_json:
        report: dict[str, Any] = {
            "countries": countries.by_cost(),
            "over_budgets": over,
            "extra_parts": extra_parts.lines(),
        }
        if by_account := accounts.by_messages():
            report["accounts"] = by_account
        report |= in_json(find_paused(producer, run.plan))
        print_json({"summary": counts, **report, "dry_run": True})
    else:
        for line in extra_parts.sentences():
            print_line(line)
    for name, amount in over.items():
        err.print(f"{name}: over its budget by {credits(amount)} credits", markup=False, highlight=False)
