"""Reading: the options by which a bulk reads its file, and the encoding that a person confirms."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from threelane.contract.fields import BY_SPELLING
from threelane.interfaces.command.printing import err, print_json, wrong_usage
from threelane.interfaces.command.terminal import Table
from threelane.producer.files import encoding as encodings
from threelane.producer.files import kinds
from threelane.producer.files.encoding import UnknownEncoding
from threelane.producer.files.headers import EXACT_ONLY
from threelane.producer.files.kinds import Kind
from threelane.producer.files.row import COUNTRY, How
from threelane.producer.files.template import Template
from threelane.runtime.exits import Exit

Format = Annotated[Kind | None, typer.Option(help="File format, if neither its name nor its content shows it.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        help="""The column of a field or placeholder, as to="Phone Number"; repeatable. Empty: none has it."""
    ),
]
Encoding = Annotated[
    str, typer.Option(help="Encoding of a text file that is neither UTF-8 nor UTF-16, as windows-1252.")
]
Sheet = Annotated[str, typer.Option(help="Name of the sheet of a workbook. Default: the first one with content.")]


def columns_of(pairs: Sequence[str], template: Template | None) -> Mapping[str, str]:
    """Return the headers by field or placeholder of ``--column name=header``; ends the command on an invalid one."""
    columns: dict[str, str] = {}
    for pair in pairs:
        name, separator, header = pair.partition("=")
        name = name.strip()
        if not separator or not name:
            wrong_usage(f'--column {pair}: write the field, =, and the header of its column, as in to="Phone Number"')
        if name not in {*BY_SPELLING, COUNTRY, *EXACT_ONLY, *(template.names if template else ())}:
            wrong_usage(
                f"--column {name}: neither a field nor a placeholder of --text; docs/fields.md lists the fields"
            )
        if name in columns:
            wrong_usage(f"--column {name}: given twice; keep one")
        columns[name] = header
    return columns


def confirmed(file: Path, opened: BufferedReader, how: How) -> How:
    """Return how the file is read, with the encoding that somebody at the terminal chose; raises UnknownEncoding."""
    if how.encoding:
        encodings.chosen(opened, how.encoding)  # raises InvalidFile
        return how
    if kinds.recognise(opened) is not Kind.CSV:
        return how
    try:
        encodings.chosen(opened, "")
    except UnknownEncoding as unknown:
        if not unknown.readings or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        err.print(f"{file}: neither UTF-8 nor UTF-16. In which encoding do these lines read right?", markup=False)
        err.print(_table(unknown))
        chosen = typer.prompt("encoding, or nothing to stop", default="", show_default=False, err=True).strip()
        if not chosen:
            raise
        encodings.chosen(opened, chosen)
        return how._replace(encoding=chosen)
    finally:
        opened.seek(0)
    return how


def refuse_encoding(file: Path, unknown: UnknownEncoding, *, as_json: bool) -> NoReturn:
    """Print how the first lines read in the likely encodings, and end the command."""
    if as_json:
        print_json({"refused": f"{file}: {unknown}", "readings": unknown.readings})
    err.print(f"{file}: {unknown}. Nothing was accepted.", markup=False, highlight=False, soft_wrap=True)
    if unknown.readings:
        err.print(_table(unknown))
    raise typer.Exit(Exit.USAGE)


def _table(unknown: UnknownEncoding) -> Table:
    table = Table("encoding", "its first lines with other letters", title="how the file would read")
    for name, lines in unknown.readings.items():
        table.add_row(name, escape("\n".join(lines)))
    return table
