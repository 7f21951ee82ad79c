"""Job: a bulk that can be repeated: the id of a row follows from the name of the job and the number of the row.

A row that was accepted in an earlier run has the same id and answer, so no row is sent twice, wherever that run
ended.  A row with changed content is refused with 409.  The progress file beside it only saves time: rows before its
mark are skipped, unless the content or the options changed.
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
from threelane.producer.files.bulk import COUNTRY, FileRow
from threelane.producer.files.countries import CountryCost
from threelane.producer.files.template import Template

T = TypeVar("T")
_NO_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


class Progress(msgspec.Struct):
    """Progress of a job: all rows up to ``rows`` were answered; ``counts`` has the answers by kind."""

    job: str
    content: str
    rows: int = 0
    counts: dict[str, int] = msgspec.field(name="told", default_factory=dict)  # the name in the file is older
    countries: dict[str, CountryCost] = {}


def default_name(file: Path) -> str:
    """Return the default name of a job, from its file."""
    return _NO_LABEL.sub("-", file.name).strip("-._")[:64] or "bulk"


def row_id(job: str, number: int) -> str:
    """Return the client message id of a row: 16 letters and digits, short to save memory in Redis."""
    return b32encode(blake2b(f"{job}\0{number}".encode(), digest_size=10).digest()).decode()


def digest(file: BinaryIO, *options: object) -> str:
    """Return a digest of the file and the options; reads the file and seeks back to its start."""
    whole = blake2b(repr(options).encode(), digest_size=16)
    while octets := file.read(1 << 20):
        whole.update(octets)
    file.seek(0)
    return whole.hexdigest()


def with_text(rows: Iterable[FileRow], template: Template) -> Iterator[FileRow]:
    """Add the text to each row, and remove the columns that only the template uses."""
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        text = template.fill(row.content) if "text" not in row.content else _two_texts()
        fields = {name: value for name, value in row.content.items() if name in BY_SPELLING and name != COUNTRY}
        yield row._replace(content=text if isinstance(text, Refusal) else fields | {"text": text})


def _two_texts() -> Refusal:
    return invalid("text", "a text in the row and a text for all rows", "give one of them")


def with_fields(rows: Iterable[FileRow], job: str, fields: Mapping[str, Any]) -> Iterator[FileRow]:
    """Add ``fields`` (by Threelane's names), batch and client message id to each row that lacks them."""
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        given = {field.name for name in row.content if (field := BY_SPELLING.get(name))}
        own = {"batch": job, "client_message_id": row_id(job, row.number)} if job else {}
        more = {name: value for name, value in {**own, **fields}.items() if name not in given}
        yield row._replace(content={**row.content, **more})


def explain_conflict(row: FileRow, job: str, answer: T | Refused) -> T | Refused:
    """Return the answer to a row, with a clear refusal if the file or the options changed."""
    if not isinstance(answer, Refused) or answer.code != Code.CONFLICT or isinstance(row.content, Refusal):
        return answer
    if row.content.get("client_message_id") != row_id(job, row.number):
        return answer
    return Refused(
        code=Code.CONFLICT,
        field="row",
        problem=f"row {row.number} of the job {job} was accepted with other content: the file or the options changed",
        remedy="restore the file, or send the new content as another job, with another --batch",
        accepted_id=answer.accepted_id,
    )


def load(file: Path, job: str, content: str) -> tuple[Progress, bool]:
    """Return the progress of this job, and whether its name was used for other content."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Progress)
    except (OSError, msgspec.MsgspecError):
        return Progress(job, content), False
    if (found.job, found.content) == (job, content):
        return found, False
    return Progress(job, content), found.job == job


def save(file: Path, progress: Progress) -> None:
    """Write the progress file atomically; without write access to the folder the next run is only slower."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        beside.write_bytes(msgspec.json.encode(progress))
        beside.replace(file)


def forget(file: Path) -> None:
    """Delete the progress file of a finished job."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
