"""Job: what a bulk sends, and how: the file, its options and its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec

from threelane.contract.fields import BY_SPELLING, LABEL
from threelane.contract.reading import INTERNATIONAL
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.caller import wrong_usage as wrong
from threelane.interfaces.command.file_numbers import (
    installation_country,
    seekable,
)
from threelane.producer.client import Producer
from threelane.producer.files import bulk as bulk_file
from threelane.producer.files import job as jobs
from threelane.producer.files import numbers as numbers_of_files
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.jsonlines import read_json_lines
from threelane.producer.files.numbers import NumberRules, require_reading
from threelane.producer.files.template import InvalidTemplate, Template, parse

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
        return bool(self.name) and is_file(self.file)

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


@contextmanager
def examined(given: BufferedReader, job: Job) -> Iterator[BufferedReader]:
    """Return the file, which can be read twice, after a check of how it is to be read; raises InvalidFile."""
    with seekable(given) as opened:
        if job.rules.option is None:
            require_reading(job.read(opened), job.rules, installation_country())
            opened.seek(0)
        yield opened


def make_job(
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
        name=batch or (jobs.default_name(file) if is_file(file) else ""),
        format=file_format,
        template=template,
        fields=fields,
        rules=rules,
    )


def own_fields(options: Mapping[str, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
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


def is_file(file: Path) -> bool:
    """Return whether the name identifies the content; /dev/stdin is a different file each time."""
    return file.is_file() and not file.absolute().is_relative_to("/dev")
