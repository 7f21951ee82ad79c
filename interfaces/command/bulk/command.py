"""Command bulk: enqueues a file, with a dry run, a canary, and safe repetition."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from threelane.interfaces.command.account_table import print_accounts
from threelane.interfaces.command.bulk.job import Duplicates, Names, Reading, examined, make_job, own_fields
from threelane.interfaces.command.bulk.paused import find_paused, print_paused
from threelane.interfaces.command.bulk.planning import nothing_sent, plan_run
from threelane.interfaces.command.bulk.preview import print_noticed, show_first
from threelane.interfaces.command.bulk.reading import Columns, Encoding, Format, Sheet, refuse_encoding
from threelane.interfaces.command.bulk.refused_file import RefusedFile, RefusedRows
from threelane.interfaces.command.bulk.rehearsal import rehearse
from threelane.interfaces.command.bulk.report import count, finished, forgotten, print_refused, summary
from threelane.interfaces.command.bulk.sending import Sending
from threelane.interfaces.command.caller import Lane, each_once, field_options, give_up, open_producer
from threelane.interfaces.command.country_table import print_countries
from threelane.interfaces.command.criteria import not_empty
from threelane.interfaces.command.file_numbers import (
    Country,
    Numbers,
    number_rules,
    refuse_bare_numbers,
)
from threelane.interfaces.command.printing import Json, err, print_json, print_line
from threelane.interfaces.command.printing import wrong_usage as wrong
from threelane.interfaces.command.template import stored_text
from threelane.interfaces.command.values import duration_in
from threelane.producer.files import bulk as bulk_file
from threelane.producer.files import canary as canaries
from threelane.producer.files.accounts import Accounts
from threelane.producer.files.bulk import COUNTRY
from threelane.producer.files.countries import Countries
from threelane.producer.files.encoding import UnknownEncoding
from threelane.producer.files.numbers import BareNumbers
from threelane.producer.files.plan import Forgotten
from threelane.producer.outage import Unavailable
from threelane.runtime.exits import Exit


def bulk(
    file: Annotated[
        Path, typer.Argument(help="A table with a header (.csv, .xlsx) or JSON Lines; columns: docs/fields.md.")
    ],
    text: Annotated[str | None, typer.Option(help="One text for all messages; {name} inserts that column.")] = None,
    template: Annotated[
        str, typer.Option(metavar="NAME[@VERSION]", help="A stored template instead of --text; default: its newest.")
    ] = "",
    batch: Annotated[
        str,
        typer.Option(
            help="Job name; runs with the same name are treated as the same job. Default: the file's name.",
            callback=not_empty,
        ),
    ] = "",
    numbers: Numbers = "",
    country: Country = "",
    lane: Lane = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender ID for rows without one.")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Any other field, for all rows, as name=value; repeatable.")
    ] = None,
    format: Format = None,
    column: Columns = None,
    encoding: Encoding = "",
    sheet: Sheet = "",
    duplicates: Annotated[
        Duplicates, typer.Option(help="Refuse or send a row whose recipient has an earlier row.")
    ] = Duplicates.REFUSE,
    refused_file: RefusedFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print parts, cost and refusals; send nothing.")] = False,
    canary: Annotated[int, typer.Option(min=0, help="Send this many messages first, and wait for their results.")] = 0,
    max_fail: Annotated[str, typer.Option(help="Continue only if at most this share of the canary failed.")] = "5%",
    canary_wait: Annotated[
        float,
        typer.Option(metavar="DURATION", parser=duration_in(1), help="Wait for the canary at most so long, as in 5m."),
    ] = 300,
    send_changed: Annotated[
        bool, typer.Option("--send-changed", help="Also send rows that changed since an earlier run of the job.")
    ] = False,
    run: Annotated[
        str,
        typer.Option(help="Name of this run: another one sends all rows, as in $(date +%F).", callback=not_empty),
    ] = "",
    from_start: Annotated[bool, typer.Option("--from-start", hidden=True)] = False,  # noqa: ARG001 - no effect any more
    as_json: Json = False,
) -> None:
    """Enqueue a file of messages; each invalid row is reported. Run it again after a crash: no row is sent twice."""
    others: dict[str, tuple[str, Any]] = {
        "the file": ("to", file),
        "--text": ("text", text),
        "--batch": ("batch", batch or None),
        "--country": ("country", country or None),
    }
    options: dict[str, tuple[str, Any]] = {"--lane": ("lane", lane), "--from": ("sender", sender)}
    options |= field_options(field)
    each_once(others | options)
    values = dict(own_fields(options))
    reading = Reading(format, column or (), encoding, sheet, duplicates)
    text = _text(text, template, as_json=as_json)
    job = make_job(
        file,
        text,
        Names(batch, run),
        reading,
        values,
        number_rules(numbers, country or values.pop(COUNTRY, "")),
    )
    refused = RefusedRows(refused_file, file, {*job.how.wanted, *job.how.columns.values()})
    try:
        most_percent = canaries.parse_percent(max_fail)
    except ValueError as no_share:
        wrong(f"--max-fail {no_share}")
    counts: Counter[str] = Counter(accepted=0, refused=0, repeated=0, parts=0)
    accounts = Accounts()
    with reported(file, counts, as_json=as_json), open_producer() as producer, file.open("rb") as given:
        job = job.with_settings(producer)
        # The steps: how the file is read; what the run would do; then a dry run, or the canary and the rest.
        with examined(given, job) as (job, opened):
            with nothing_sent():
                show_first(producer, job, opened, as_json=as_json)
                with_canary = bool(canary) and not dry_run
                planned = plan_run(
                    producer, job, opened, send_changed=send_changed, canary=with_canary, as_json=as_json
                )
            print_noticed(job.noticed, as_json=as_json)
            is_finished = False
            if dry_run:
                countries = Countries()
                rehearse(producer, planned, opened, refused, counts, countries, accounts, as_json=as_json)
            else:
                sending = Sending(producer, planned, opened, refused, counts, as_json=as_json)
                if canary:
                    sending.canary(canary, most_percent, canary_wait)
                sending.rest()
                countries, is_finished = sending.countries, sending.is_finished
            paused = [] if as_json else find_paused(producer, planned.plan)
    refused.write(job.name)
    if not as_json:
        print_refused(refused)
        print_countries(countries)
        print_accounts(accounts)
        print_line(summary(counts, accounts, dry_run=dry_run))
        print_paused(paused)
    if is_finished:
        err.print(finished(job.name, planned.plan.sent), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(Exit.FINISHED)
    raise typer.Exit(Exit.REFUSED if counts["refused"] else Exit.OK)


def _text(text: str | None, template: str, *, as_json: bool) -> str | None:
    """Return the text for all rows, None without one; prints the version of a stored template."""
    if not template:
        return text
    if text is not None:
        wrong("give either --text or --template")
    stored = stored_text(template)
    if as_json:
        print_json({"template": stored.reference})
    else:
        print_line(f"template {stored.reference}")
    return stored.text


@contextlib.contextmanager
def reported(file: Path, counts: Counter[str], *, as_json: bool) -> Iterator[None]:
    """End the command with a sentence and an exit code if the file cannot be read, or Redis is unavailable."""
    try:
        yield
    except OSError as unreadable:
        if isinstance(unreadable, BrokenPipeError):
            raise
        wrong(f"{file}: {unreadable.strerror}")
    except BareNumbers as bare:
        refuse_bare_numbers(file, bare, as_json=as_json)
    except Forgotten as old:
        wrong(f"{file}: {forgotten(old.batch)}")
    except UnknownEncoding as unknown:
        refuse_encoding(file, unknown, as_json=as_json)
    except bulk_file.InvalidFile as no_file:
        wrong(f"{file}: {no_file}")
    except Unavailable as away:
        for answer in away.answers:
            count(counts, answer)
        give_up(away, as_json, counts)
