"""Refused file: the option that writes refused rows as a file which can be corrected and sent again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from threelane.contract.errors import Refused
from threelane.interfaces.command.printing import err, wrong_usage
from threelane.producer.files import refused as refused_rows
from threelane.producer.files.row import FileRow

RefusedFile = Annotated[
    Path | None, typer.Option("--refused", help="Write the refused rows to this CSV, to be corrected and sent.")
]


class RefusedReport:
    """The report of refused rows, if one is wanted; a file that cannot be written ends the command at the start."""

    def __init__(self, file: Path | None, read: Path) -> None:
        """Check the option against the file that is read."""
        self._file = file
        if file is None:
            return
        if file.exists() and read.exists() and file.samefile(read):
            wrong_usage(f"--refused {file}: the file that is sent; give another name")
        try:
            file.open("a").close()  # an earlier report stays until there is another
        except OSError as problem:
            wrong_usage(f"--refused {file}: {problem.strerror}")

    def write(self, refused: Sequence[tuple[FileRow, Refused]], job: str) -> None:
        """Write the refused rows; prints where they are."""
        if self._file is None:
            return
        try:
            refused_rows.write(self._file, refused)
        except OSError as problem:
            err.print(f"{self._file}: {problem.strerror}; the refused rows were not written", markup=False)
            return
        if refused:
            rows = "1 refused row" if len(refused) == 1 else f"{len(refused):,} refused rows"
            same = f" with --batch={shlex.quote(job)}, so that no row is sent twice" if job else ""
            line = f"{self._file} has {rows}. Correct and send it{same}"
            err.print(line, markup=False, highlight=False, soft_wrap=True)
