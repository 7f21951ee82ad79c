"""Options by which commands read the numbers of a file, and the refusal of a file with two readings."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, NoReturn, cast

import typer
from rich.markup import escape

from threelane.interfaces.command.printing import err, print_json, wrong_usage
from threelane.interfaces.command.terminal import Table
from threelane.producer.files.numbers import BareNumbers, NumberRules, option
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ProducerSettings, load_or_exit

Numbers = Annotated[
    str,
    typer.Option(help="How to read numbers without + or 00: international, national (with --country) or e164."),
]
Country = Annotated[
    str, typer.Option(help="The country of national numbers, as in ZA. A column named country goes before it.")
]


def number_rules(numbers: str, country: str) -> NumberRules:
    """Return how the command line and the installation read numbers; ends the command if the options are invalid."""
    settings = load_or_exit(ProducerSettings)
    try:
        given = option(numbers, country, settings.country)
    except ValueError as invalid:
        wrong_usage(str(invalid))
    is_set = "numbers" in settings.model_fields_set
    return NumberRules(given, settings.reading if is_set else None, producer=settings.producer)


def installation_country() -> str:
    """Return THREELANE_COUNTRY, or ""."""
    return load_or_exit(ProducerSettings).country


@contextmanager
def copied(file: Path, given: BufferedReader) -> Iterator[BufferedReader]:
    """Return a copy of a file, which is read more than once: no row may be taken before the last one is read.

    A program that saves the file meanwhile would put the rear of one row behind the front of another.
    """
    with tempfile.TemporaryFile() as copy:
        before = _state(given)
        shutil.copyfileobj(given, copy)
        if _state(given) != before:
            wrong_usage(f"{file}: the file was written to while it was read. Nothing was sent: run the command again")
        copy.seek(0)
        yield cast("BufferedReader", copy)


def _state(given: BufferedReader) -> tuple[int, int]:
    """Return what changes when a program writes to a file; that of a pipe says nothing."""
    found = os.fstat(given.fileno())
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else (0, 0)


def refuse_bare_numbers(file: Path, bare: BareNumbers, *, as_json: bool) -> NoReturn:
    """Print both readings of the first rows of a file, and end the command."""
    if as_json:
        print_json({"refused": f"{file}: {bare}", "both_readings": [one._asdict() for one in bare.samples]})
    err.print(f"{file}: {bare}. Nothing was accepted.", markup=False, highlight=False, soft_wrap=True)
    national = installation_country()
    table = Table("row", "number", "as international", f"as national of {national}" if national else "as national")
    for one in bare.samples:
        table.add_row(str(one.row), escape(one.number), escape(one.international), escape(one.national))
    err.print(table)
    raise typer.Exit(Exit.USAGE)
