"""Job: what a bulk sends, and how: the file, its options and its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from threelane.contract import no_field
from threelane.contract.fields import BY_SPELLING, named
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.bulk.reading import columns_of, confirmed
from threelane.interfaces.command.file_numbers import (
    copied,
    installation_country,
)
from threelane.interfaces.command.printing import wrong_usage as wrong
from threelane.producer.client import Producer
from threelane.producer.files import bulk as bulk_file
from threelane.producer.files import job as jobs
from threelane.producer.files import numbers as numbers_of_files
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.duplicates import KeptRows
from threelane.producer.files.identity import default_name, identified
from threelane.producer.files.junk import foreign_placeholder, without_junk
from threelane.producer.files.kinds import Kind
from threelane.producer.files.numbers import NumberRules, require_reading
from threelane.producer.files.row import How, Noticed
from threelane.producer.files.template import InvalidTemplate, Template, parse

_NO_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_JSON_LINES = (".jsonl", ".ndjson", ".json")


class Duplicates(StrEnum):
    """What becomes of a row whose recipient has an earlier row."""

    REFUSE = "refuse"
    SEND = "send"


class Names(NamedTuple):
    """How the command line names a job: by a batch, or else by its file, and by a run."""

    batch: str = ""
    run: str = ""


class Reading(NamedTuple):
    """How the command line says that a file is read."""

    format: Kind | None = None
    columns: Sequence[str] = ()
    encoding: str = ""
    sheet: str = ""
    duplicates: Duplicates = Duplicates.REFUSE


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and how; ``name`` is empty for a pipe without --batch, whose rows are not deduplicated.

    ``former_name`` is the name that earlier versions gave this job, empty for a run with a name of its own.
    """

    file: Path
    name: str
    former_name: str
    format: Kind | None  # None: as it is recognised
    how: How
    duplicates: Duplicates
    fields: dict[str, Any]
    rules: NumberRules
    noticed: Noticed = msgspec.field(default_factory=Noticed)  # by the last reading

    @property
    def shares_former_name(self) -> bool:
        """Whether earlier versions gave files of other names the same name of a job, as they did without ASCII."""
        return bool(self.former_name) and self.former_name != self.name

    @property
    def template(self) -> Template | None:
        """The text for all rows."""
        return self.how.template

    def with_settings(self, producer: Producer) -> Job:
        """Return the job with the readings that producers set."""
        rules = self.rules._replace(
            producers=lru_cache(maxsize=1_000)(producer.reading),
            producer=self.fields.get("producer", self.rules.producer),
        )
        return msgspec.structs.replace(self, rules=rules)

    def read(self, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows of the file; ``noticed`` is complete at their end."""
        self.noticed.clear()
        return bulk_file.read_file(opened, self.how, self.format, self.noticed)

    def rows(self, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows to send, by the file alone."""
        return self.without_duplicates(self.each_row(opened), KeptRows())

    def without_duplicates(self, rows: Iterator[FileRow], kept: KeptRows) -> Iterator[FileRow]:
        """Refuse further rows of a recipient, unless they are wanted."""
        return kept.without_duplicates(rows) if self.duplicates is Duplicates.REFUSE else rows

    def each_row(self, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows, also those whose recipient has another one."""
        rows = numbers_of_files.read_rows(self.read(opened), self.rules, self.how.wanted)
        rows = without_junk(rows, self.template)
        rows = jobs.with_text(rows, self.template) if self.template else rows
        return identified(jobs.with_fields(rows, self.fields), self.name, self.rules.producer)


@contextmanager
def examined(given: BufferedReader, job: Job) -> Iterator[tuple[Job, BufferedReader]]:
    """Return the job and its file, which can be read twice, after a check of how it is read; raises InvalidFile."""
    with copied(job.file, given) as opened:
        job = msgspec.structs.replace(job, how=confirmed(job.file, opened, job.how))
        if job.rules.option is None:
            require_reading(job.read(opened), job.rules, installation_country())
            opened.seek(0)
        yield job, opened


def make_job(
    file: Path, text: str | None, names: Names, reading: Reading, fields: dict[str, Any], rules: NumberRules
) -> Job:
    try:
        template = None if text is None else parse(text)
    except InvalidTemplate as no_template:
        wrong(f"--text: {no_template}")
    if template and (foreign := foreign_placeholder(template)):
        wrong(f"--text: {foreign} would be sent as it is: write {{name}}, with one brace on each side, for a column")
    how = How(template, reading.encoding, columns_of(reading.columns, template), reading.sheet)
    return Job(
        file=file,
        name=_job_name(file, names),
        former_name=_former_name(file, names),
        format=reading.format or (Kind.JSONL if file.suffix.lower() in _JSON_LINES else None),
        how=how,
        duplicates=reading.duplicates,
        fields=fields,
        rules=rules,
    )


def _job_name(file: Path, names: Names) -> str:
    """Return the name of the batch of a job; ends the command on an invalid one."""
    name, option = (names.batch, "--batch") if names.batch else (default_name(file), "the file's name")
    if not names.batch and not is_file(file):
        if names.run and file.exists():
            wrong("--run: a pipe has no name; also give --batch")
        return ""
    if names.run:
        name, option = f"{name} {names.run}", f"{option} and --run"
    parsed = BY_SPELLING["batch"].parse(name, "batch")
    if isinstance(parsed, Refusal):
        wrong(
            f"{option}: {parsed.problem}; {parsed.remedy}" + ("" if names.batch else ", or name the job with --batch")
        )
    return str(parsed)


def _former_name(file: Path, names: Names) -> str:
    """Return the name that versions gave a job which knew its rows by number; they had no runs."""
    if names.run or not (names.batch or is_file(file)):
        return ""
    return names.batch or _NO_LABEL.sub("-", file.name).strip("-._")[:64] or "bulk"


def own_fields(options: Mapping[str, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that options set for all rows, by names of the table; ends the command on an invalid one."""
    for option, (spelling, value) in options.items():
        if value is None:
            continue
        field = named(spelling)
        if field is None:
            refused = no_field.refuse(spelling)
            wrong(f"{option}: {refused.problem}; {refused.remedy}")
        parsed = field.parse(value, spelling)
        if isinstance(parsed, Refusal):
            wrong(f"{option}: {parsed.problem}; {parsed.remedy}")
        yield field.name if field is BY_SPELLING[field.name] else _form(spelling), value


def _form(spelling: str) -> str:
    """Return the name of another form of a field, whose values are read in that form."""
    return spelling if spelling in BY_SPELLING else spelling.lower()


def is_file(file: Path) -> bool:
    """Return whether the name identifies the content; /dev/stdin is a different file each time."""
    return file.is_file() and not file.absolute().is_relative_to("/dev")
