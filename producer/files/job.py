"""Job: a bulk that can be run again: each row has an id that follows from the job's name and the row's number.

What was accepted in an earlier run is known by that id and answered as it was, so no row is sent twice, wherever the
run before ended.  A row that says something else than it did then is refused with 409.  The small file beside the
bulk's own only spares the asking: rows before its mark are not asked for again, as long as nothing has changed.
"""

from __future__ import annotations

import contextlib
import os
import re
from base64 import b32encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from threelane.contract.errors import Refused
from threelane.contract.fields import BY_SPELLING, invalid
from threelane.contract.refusal import Code, Refusal
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.template import Template

T = TypeVar("T")
_NO_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


class Progress(msgspec.Struct):
    """How far a job has come: all rows up to ``rows`` were answered; ``counts`` has the number of answers by kind."""

    job: str
    content: str
    rows: int = 0
    counts: dict[str, int] = msgspec.field(name="told", default_factory=dict)  # the name in the file is older


def default_name(file: Path) -> str:
    """Return the name of a job that was given none: the file's."""
    return _NO_LABEL.sub("-", file.name).strip("-._")[:64] or "bulk"


def row_id(job: str, number: int) -> str:
    """Return the client message id that a row of a job always has: 16 letters and digits, for each stays in Redis."""
    return b32encode(blake2b(f"{job}\0{number}".encode(), digest_size=10).digest()).decode()


def digest(file: BinaryIO, *said: object) -> str:
    """Return what tells this content, sent in this way, from any other; reads the file and goes back to its begin."""
    whole = blake2b(repr(said).encode(), digest_size=16)
    while octets := file.read(1 << 20):
        whole.update(octets)
    file.seek(0)
    return whole.hexdigest()


def with_text(rows: Iterable[FileRow], template: Template) -> Iterator[FileRow]:
    """Give each row its text; the columns that only the text needs go no further."""
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        text = template.fill(row.content) if "text" not in row.content else _two_texts()
        fields = {name: value for name, value in row.content.items() if name in BY_SPELLING}
        yield row._replace(content=text if isinstance(text, Refusal) else fields | {"text": text})


def _two_texts() -> Refusal:
    return invalid("text", "the row has a text, and there is one for all", "give one of them")


def with_fields(rows: Iterable[FileRow], job: str, fields: Mapping[str, Any]) -> Iterator[FileRow]:
    """Give each row what it does not say itself: ``fields``, by our names, and what makes it known again."""
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        given = {field.name for name in row.content if (field := BY_SPELLING.get(name))}
        own = {"batch": job, "client_message_id": row_id(job, row.number)} if job else {}
        more = {name: value for name, value in {**own, **fields}.items() if name not in given}
        yield row._replace(content={**row.content, **more})


def explain_conflict(row: FileRow, job: str, answer: T | Refused) -> T | Refused:
    """Return the answer to a row, said so that it helps whoever changed the file."""
    if not isinstance(answer, Refused) or answer.code != Code.CONFLICT or isinstance(row.content, Refusal):
        return answer
    if row.content.get("client_message_id") != row_id(job, row.number):
        return answer
    return Refused(
        code=Code.CONFLICT,
        field="row",
        problem=f"row {row.number} of the job {job} was accepted with other content: the file or the options changed",
        remedy="restore it, or send what is new as another job, with another --batch",
        accepted_id=answer.accepted_id,
    )


def load(file: Path, job: str, content: str) -> tuple[Progress, bool]:
    """Return how far this very job came, and whether something else was begun under its name."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Progress)
    except (OSError, msgspec.MsgspecError):
        return Progress(job, content), False
    if (found.job, found.content) == (job, content):
        return found, False
    return Progress(job, content), found.job == job


def save(file: Path, progress: Progress) -> None:
    """Write it down in one step; a folder that cannot be written to makes the next run slower, and nothing worse."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        beside.write_bytes(msgspec.json.encode(progress))
        beside.replace(file)


def forget(file: Path) -> None:
    """The job is done."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
