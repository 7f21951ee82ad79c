"""Command bulk: enqueues a file, with a dry run, a canary, and safe repetition."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from threelane.contract.errors import Refused
from threelane.contract.fields import BY_SPELLING, LABEL
from threelane.contract.prices import CREDIT
from threelane.contract.prices import country as country_of
from threelane.contract.reading import INTERNATIONAL
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.caller import (
    Json,
    Lane,
    answer_json,
    err,
    give_up,
    named_values,
    open_producer,
    out,
    print_json,
    print_line,
)
from threelane.interfaces.command.caller import wrong_usage as wrong
from threelane.interfaces.command.country_table import print_countries
from threelane.interfaces.command.file_numbers import (
    Country,
    Numbers,
    installation_country,
    number_rules,
    refuse_bare_numbers,
    seekable,
)
from threelane.interfaces.command.terminal import Table
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files import bulk as bulk_file
from threelane.producer.files import canary as canaries
from threelane.producer.files import job as jobs
from threelane.producer.files import numbers as numbers_of_files
from threelane.producer.files.bulk import COUNTRY, FileRow
from threelane.producer.files.countries import Countries
from threelane.producer.files.jsonlines import read_json_lines
from threelane.producer.files.numbers import BareNumbers, NumberRules, require_reading
from threelane.producer.files.template import InvalidTemplate, Template, parse
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.rehearse import Rehearsed
from threelane.runtime.exits import Exit

MOST_SHOWN = 1_000  # refused rows in a table; --json prints all
_JSON_LINES = (".jsonl", ".ndjson", ".json")


class Format(StrEnum):
    """The format of a file."""

    CSV = "csv"
    JSONL = "jsonl"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and how; ``name`` is empty for a pipe without --batch, whose rows are not deduplicated."""

    file: Path
    name: str
    format: Format
    template: Template | None
    fields: dict[str, Any]
    rules: NumberRules

    @property
    def options(self) -> list[Any]:
        """The options that are part of the content of its rows."""
        reading = [str(self.rules.option)] if self.rules.option not in (None, INTERNATIONAL) else []
        return [self.template, sorted(self.fields.items()), *reading]

    def with_settings(self, producer: Producer) -> Job:
        """Return the job with the readings that producers set."""
        rules = self.rules._replace(
            producers=lru_cache(maxsize=1_000)(producer.reading),
            producer=self.fields.get("producer", self.rules.producer),
        )
        return msgspec.structs.replace(self, rules=rules)

    @property
    def progresses(self) -> bool:
        """Whether a progress file may be kept beside the file."""
        return bool(self.name) and _is_file(self.file)

    @property
    def beside(self) -> Path:
        """The progress file."""
        return self.file.with_name(f"{self.file.name}.progress")

    def read(self, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows of the file."""
        if self.format is Format.JSONL:
            return read_json_lines(opened, self.template.names if self.template else ())
        return bulk_file.read_csv(opened, self.template)

    def rows(self, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows to send."""
        rows = numbers_of_files.read_rows(self.read(opened), self.rules, self.template.names if self.template else ())
        return jobs.with_fields(jobs.with_text(rows, self.template) if self.template else rows, self.name, self.fields)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: threelane bulk people.csv --text 'Dear {name}, ...' --country ZA --dry-run")(bulk)


def bulk(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON Lines; UTF-8; columns: docs/fields.md.")],
    text: Annotated[str | None, typer.Option(help="One text for all messages; {name} inserts that column.")] = None,
    batch: Annotated[
        str,
        typer.Option(help="Job name; runs with the same name are treated as the same job. Default: the file's name."),
    ] = "",
    numbers: Numbers = "",
    country: Country = "",
    lane: Lane = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender ID for rows without one.")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Any other field, for all rows, as name=value; repeatable.")
    ] = None,
    format: Annotated[Format | None, typer.Option(help="File format, if the file name does not indicate it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print parts, cost and refusals; send nothing.")] = False,
    canary: Annotated[int, typer.Option(min=0, help="Send this many messages first, and wait for their results.")] = 0,
    max_fail: Annotated[str, typer.Option(help="Continue only if at most this share of the canary failed.")] = "5%",
    canary_wait: Annotated[float, typer.Option(min=0, help="Wait at most this many seconds for the canary.")] = 300,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Ignore saved progress and submit every row again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Enqueue a file of messages; each invalid row is reported. Run it again after a crash: no row is sent twice."""
    options = {"--lane": ("lane", lane), "--from": ("sender", sender)}
    options |= {f"--field {name}": (name, value) for name, value in named_values(field).items()}
    values = dict(_fields(options))
    job = _job(file, text, batch, format, values, number_rules(numbers, country or values.pop(COUNTRY, "")))
    try:
        most_percent = canaries.parse_percent(max_fail)
    except ValueError as no_share:
        wrong(f"--max-fail {no_share}")
    counts: Counter[str] = Counter(accepted=0, refused=0, repeated=0, parts=0)
    countries = Countries()
    try:
        with open_producer() as producer, file.open("rb") as given, contextlib.ExitStack() as files:
            job = job.with_settings(producer)
            opened = files.enter_context(_checked(given, job))
            if dry_run:
                refused = _rehearse(producer, job, opened, counts, countries, as_json=as_json)
            else:
                sending = _Sending(producer, job, opened, counts, as_json=as_json)
                if not from_start:
                    sending.go_on()
                if canary:
                    sending.canary(canary, most_percent, canary_wait)
                refused, countries = sending.rest(), sending.countries
    except OSError as unreadable:
        if isinstance(unreadable, BrokenPipeError):
            raise
        wrong(f"{file}: {unreadable.strerror}")
    except BareNumbers as bare:
        refuse_bare_numbers(file, bare, as_json=as_json)
    except bulk_file.InvalidFile as no_file:
        wrong(f"{file}: {no_file}")
    except Unavailable as away:
        for answer in away.answers:
            _count(counts, answer)
        give_up(away, as_json, counts)
    if not as_json:
        _report(refused)
        print_countries(countries)
        print_line(_summary(counts, dry_run=dry_run))
    raise typer.Exit(Exit.REFUSED if counts["refused"] else Exit.OK)


@contextmanager
def _checked(given: BufferedReader, job: Job) -> Iterator[BufferedReader]:
    """Return the file, after a look at its numbers if nothing says how to read them; raises BareNumbers."""
    if job.rules.option is not None:
        yield given
        return
    with seekable(given) as opened:
        require_reading(job.read(opened), job.rules, installation_country())
        opened.seek(0)
        yield opened


def _job(
    file: Path, text: str | None, batch: str, format: Format | None, fields: dict[str, Any], rules: NumberRules
) -> Job:
    if batch and not LABEL.fullmatch(batch):
        wrong(f"--batch {batch!r}: up to 64 letters, digits, spaces and . _ : / -")
    try:
        template = None if text is None else parse(text)
    except InvalidTemplate as no_template:
        wrong(f"--text: {no_template}")
    file_format = format or (Format.JSONL if file.suffix in _JSON_LINES else Format.CSV)
    return Job(
        file=file,
        name=batch or (jobs.default_name(file) if _is_file(file) else ""),
        format=file_format,
        template=template,
        fields=fields,
        rules=rules,
    )


def _fields(options: Mapping[str, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that options set for all rows, by Threelane's names; ends the command on an invalid one."""
    for option, (spelling, value) in options.items():
        if value is None:
            continue
        field = BY_SPELLING.get(spelling)
        if field is None:
            wrong(f"{option}: unknown field; docs/fields.md lists the fields")
        parsed = field.parse(value, spelling)
        if isinstance(parsed, Refusal):
            wrong(f"{option}: {parsed.problem}; {parsed.remedy}")
        yield field.name, value


def _is_file(file: Path) -> bool:
    """Return whether the name identifies the content; /dev/stdin is a different file each time."""
    return file.is_file() and not file.absolute().is_relative_to("/dev")


class _Sending:
    """One run of a job: from the saved progress, through the canary, to the end."""

    def __init__(
        self, producer: Producer, job: Job, opened: BufferedReader, counts: Counter[str], *, as_json: bool
    ) -> None:
        self._producer, self._job, self._opened, self._counts, self._as_json = producer, job, opened, counts, as_json
        self._known = job.progresses
        content = jobs.digest(opened, *job.options) if self._known else ""
        self._before, self._changed = jobs.load(job.beside, job.name, content)
        self._progress = jobs.Progress(job.name, content)
        self._rows = job.rows(opened)
        self._refused: list[tuple[FileRow, Refused]] = []
        self._last = 0
        self.countries = Countries()

    def go_on(self) -> None:
        """Skip the rows that an earlier run of this job has sent; if anything changed, submit each row."""
        if self._changed:
            err.print(
                f"{self._job.file} or its options changed since the job {self._job.name} started: each row is "
                "submitted again, and refused if it was accepted with different content",
                markup=False,
                highlight=False,
            )
        elif self._known and self._before.rows:
            done = self._before.rows
            self._counts.update(self._before.counts)
            self.countries = Countries(self._before.countries)
            self._rows = (row for row in self._rows if row.number > done)
            if not self._as_json:
                print_line(f"rows 1 to {done:,} were processed in an earlier run; --from-start submits them again")

    def canary(self, number: int, most_percent: float, seconds: float) -> None:
        """Send the first rows, and end the command if too many of them fail."""
        if self._before.rows and not self._changed and self._counts["accepted"]:
            return  # the canary passed in an earlier run; otherwise no progress would be saved
        ids: list[str] = []
        while len(ids) < number and (lot := list(islice(self._rows, number - len(ids)))):
            ids += [answer.id for _, answer in self._send(iter(lot)) if isinstance(answer, Accepted)]
        if not ids:
            return
        if not self._as_json:
            err.print(f"{len(ids)} are sent first; waiting for their results ...", highlight=False)
        found = canaries.watch(self._producer.statuses, ids, most_percent, seconds)
        stops = found.percent > most_percent
        if self._as_json:
            print_json({"canary": msgspec.structs.asdict(found) | {"row": self._last, "stopped": stops}})
        elif not stops:
            good = found.watched - found.failed
            print_line(f"{good} of {found.watched} succeeded, {found.delivered} of them delivered; continuing")
        if stops:
            why = ", ".join(f"{reason} ({times})" for reason, times in found.why.items())
            stopped = (
                f"stopped after row {self._last}: {found.failed} of the first {found.watched} failed "
                f"({found.percent:.3g} %, limit {most_percent:g} %): {why}\n"
                "No later row was sent. Fix the cause and run the same command without --canary: no row is sent twice."
            )
            err.print(stopped, markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(Exit.STOPPED)

    def rest(self) -> list[tuple[FileRow, Refused]]:
        """Send the remaining rows; returns the refused ones."""
        size = self._job.file.stat().st_size
        with _progress(self._as_json) as progress:
            bar = progress.add_task(self._job.file.name, total=size, rows=0)
            for row, _ in self._send(self._rows):
                if row.number % 100 == 0:
                    read = self._opened.tell() if self._opened.seekable() else None  # a pipe has no position
                    progress.update(bar, completed=read, rows=row.number)
                if row.number % WINDOW == 0:
                    self._save()
            progress.update(bar, completed=size, rows=self._last)
        if self._known:
            jobs.forget(self._job.beside)
        if self._as_json:
            print_json({"summary": self._counts, "countries": self.countries.by_cost()})
        return self._refused

    def _send(self, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Answer]]:
        for row, result in bulk_file.send(self._producer, rows):
            answer = jobs.explain_conflict(row, self._job.name, result)
            if self._as_json:
                print_json(answer_json(answer, row=row.number, line=row.line))
            if isinstance(answer, Refused):
                self._refused.append((row, answer))
            _count(self._counts, answer)
            if isinstance(answer, Accepted) and not answer.repeated and not isinstance(row.content, Refusal):
                to = str(row.content["to"]).removeprefix("+")
                self.countries.add(country_of(to), answer.parts, self._producer.estimate(to, answer.parts))
            self._last = row.number
            yield row, answer

    def _save(self) -> None:
        """Save the progress; every row yielded so far is stored in Redis."""
        if self._known:
            if self._as_json:
                sys.stdout.flush()  # rows whose answers were not written out are submitted again
            self._progress.rows, self._progress.counts = self._last, dict(self._counts)
            self._progress.countries = self.countries.by_cost()
            jobs.save(self._job.beside, self._progress)


def _rehearse(
    producer: Producer, job: Job, opened: BufferedReader, counts: Counter[str], countries: Countries, *, as_json: bool
) -> list[tuple[FileRow, Refused]]:
    """Report what would be accepted, refused and charged."""
    refused: list[tuple[FileRow, Refused]] = []
    estimates: Counter[tuple[str, str]] = Counter()
    for row, result in bulk_file.rehearse(producer, job.rows(opened)):
        answer = jobs.explain_conflict(row, job.name, result)
        if as_json:
            print_json(answer_json(answer, row=row.number, line=row.line))
        if isinstance(answer, Refused):
            refused.append((row, answer))
        _count(counts, answer)
        if isinstance(answer, Rehearsed) and not answer.repeated:
            estimates[answer.cost_centre, answer.producer] += answer.estimate_millionths
            countries.add(answer.country, answer.parts, answer.estimate_millionths)
    counts["estimate_millionths"] = estimates.total()
    over = producer.over_budgets(estimates)
    if as_json:
        print_json({"summary": counts, "countries": countries.by_cost(), "over_budgets": over, "dry_run": True})
    for name, amount in over.items():
        err.print(f"{name}: over its budget by {amount / CREDIT:,.2f} credits", markup=False, highlight=False)
    return refused


def _count(counts: Counter[str], answer: Accepted | Rehearsed | Refused) -> None:
    if isinstance(answer, Refused):
        counts["refused"] += 1
    else:
        counts["accepted"] += 1
        counts["repeated"] += answer.repeated
        counts["parts"] += 0 if answer.repeated else answer.parts


def _report(refused: list[tuple[FileRow, Refused]]) -> None:
    if not refused:
        return
    table = Table("row", "line", "code", "field", "problem", "remedy", title="refused")
    for row, answer in refused[:MOST_SHOWN]:
        told_by = (answer.code, answer.field, answer.problem, answer.remedy)
        table.add_row(str(row.number), str(row.line), *map(escape, told_by))
    out.print(table)
    if len(refused) > MOST_SHOWN:
        print_line(f"and {len(refused) - MOST_SHOWN:,} more: --json prints all")


def _summary(counts: Counter[str], *, dry_run: bool) -> str:
    again = f", {counts['repeated']} of them already known" if counts["repeated"] else ""
    if not dry_run:
        return f"{counts['accepted']} accepted ({counts['parts']} parts{again}), {counts['refused']} refused"
    cost = f"about {counts['estimate_millionths'] / CREDIT:,.2f} credits"
    return (
        f"{counts['accepted']} would be accepted ({counts['parts']} parts, {cost}{again}), "
        f"{counts['refused']} refused; nothing was sent"
    )


def _progress(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
    )
    return Progress(*columns, TimeElapsedColumn(), console=err, disable=quiet, transient=True)
