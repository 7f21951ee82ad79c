"""Refused file: the refused rows of a run: the first ones are shown, and all may be written to a file."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from threelane.contract.counted import counted
from threelane.contract.errors import Refused
from threelane.interfaces.command.printing import err, wrong_usage
from threelane.producer.files.refused import Report
from threelane.producer.files.row import FileRow

MOST_SHOWN = 1_000  # refused rows in a table; --json prints all
RefusedFile = Annotated[
    Path | None, typer.Option("--refused", help="Write the refused rows to this CSV, to be corrected and sent.")
]


class ShownRow(NamedTuple):
    """A refused row as people see it."""

    number: int
    line: int
    answer: Refused


class RefusedRows:
    """The refused rows of a run: how many there are, their codes, and the first ones; memory has no others.

    A report that cannot be written ends the command at the start.
    """

    def __init__(self, file: Path | None, read: Path, used: Collection[str] = ()) -> None:
        """Check the option against the file that is read; ``used`` are columns of credentials that the report keeps."""
        self.number = 0
        self.codes: set[str] = set()
        self.first: list[ShownRow] = []
        self._file, self._report = file, Report(used) if file else None
        if file is None:
            return
        if file.exists() and read.exists() and file.samefile(read):
            wrong_usage(f"--refused {file}: the file that is sent; give another name")
        try:
            file.open("a").close()  # an earlier report stays until there is another
        except OSError as problem:
            wrong_usage(f"--refused {file}: {problem.strerror}")

    def add(self, row: FileRow, answer: Refused) -> None:
        """Take a refused row."""
        self.number += 1
        self.codes.add(answer.code)
        if len(self.first) < MOST_SHOWN:
            self.first.append(ShownRow(row.number, row.line, answer))
        if self._report:
            try:
                self._report.add(row, answer)
            except OSError as problem:  # a full disk ends no run in which rows are sent
                self._give_up(problem)

    def write(self, job: str) -> None:
        """Write the refused rows if a report is wanted; prints where they are."""
        if self._file is None or (report := self._report) is None:
            return
        try:
            report.write(self._file)
        except OSError as problem:
            self._give_up(problem)
            return
        finally:
            report.close()
        if self.number:
            same = f" with --batch={shlex.quote(job)}, so that no row is sent twice" if job else ""
            line = f"{self._file} has {counted(self.number, 'refused row')}. Correct and send it{same}"
            err.print(line, markup=False, highlight=False, soft_wrap=True)

    def _give_up(self, problem: OSError) -> None:
        self._report = None
        line = f"{self._file}: {problem.strerror}; the refused rows were not written"
        err.print(line, markup=False, highlight=False, soft_wrap=True)
