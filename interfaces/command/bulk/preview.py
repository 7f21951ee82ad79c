"""Preview: what was noticed in a file, and its first messages as handsets will show them, before anything is sent."""

from __future__ import annotations

from io import BufferedReader

import msgspec

from threelane.contract.counted import counted
from threelane.interfaces.command.bulk.job import Job
from threelane.interfaces.command.printing import err, print_json
from threelane.interfaces.command.values import masked
from threelane.producer.client import Producer
from threelane.producer.files.earlier import Earlier
from threelane.producer.files.headers import EXACT_ONLY, listed
from threelane.producer.files.past import with_known
from threelane.producer.files.preview import Shown, first_messages
from threelane.producer.files.row import Noticed

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def show_first(producer: Producer, job: Job, opened: BufferedReader, *, as_json: bool) -> None:
    """Print how the file is read, and the first messages that no run has sent; the file is at its start again."""
    rows = with_known(producer, job.rows(opened), Earlier(job.name, "", 0))
    found = first_messages((row for row in rows if not row.is_known), producer.preview)
    opened.seek(0)
    if as_json:
        print_json({"first_messages": [one._asdict() for one in found]})
        return
    for line in (*_how(job.noticed), *(part for one in found for part in _lines(one))):
        err.print(line, markup=False, highlight=False, soft_wrap=True)


def print_noticed(noticed: Noticed, *, as_json: bool) -> None:
    """Print what is known when the whole file was read."""
    if as_json:
        print_json({"file": msgspec.structs.asdict(noticed)})
    elif noticed.blank_rows:
        err.print(f"{counted(noticed.blank_rows, 'blank row')} skipped", markup=False, highlight=False, soft_wrap=True)


def _how(noticed: Noticed) -> list[str]:
    lines = [*noticed.remarks]
    if noticed.encoding and not noticed.encoding.startswith("utf-8"):
        lines.append(f"read as {noticed.encoding}")
    if noticed.separator not in ("", ","):
        lines.append(f"columns are separated by {_SEPARATORS.get(noticed.separator, repr(noticed.separator))}")
    if noticed.sheet:
        lines.append(f"sheet: {noticed.sheet}")
    renamed = {field: header for field, header in noticed.read.items() if header.casefold() != field.casefold()}
    if renamed:
        lines.append("columns: " + ", ".join(f"{field} is {listed([header])}" for field, header in renamed.items()))
    if noticed.ignored:
        lines.append(f"ignored columns: {listed(noticed.ignored)}")
    if fields := [name.lower() for name in noticed.ignored if name not in EXACT_ONLY and name.lower() in EXACT_ONLY]:
        lines.append(f"only in lower case, these are fields: {listed(fields)}")
    return lines


def _lines(one: Shown) -> list[str]:
    """Return a message as lines: what it is, and its text below."""
    sender = f" from {one.sender}" if one.sender else ""
    return [
        f"row {one.row} to {masked(one.to)}{sender}, {counted(one.parts, 'part')} {one.encoding}:",
        *(f"    {line}" for line in one.text.split("\n")),
    ]
