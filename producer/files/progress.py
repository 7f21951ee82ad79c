"""Progress: the file that versions before content identities kept beside the file of a job that was cut off.

They knew a row by its number.  While the records of its messages are kept, past.py compares them by content; later
nothing says any more which rows were sent.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """A job of an earlier version that was cut off: all rows up to ``rows`` were processed, the last at ``at``, ms."""

    job: str
    rows: int = 0
    at: int = 0


def read_progress(file: Path, job: str) -> Progress | None:
    """Return the progress of the job of a file, None without one."""
    beside = _beside(file)
    try:
        found = msgspec.json.decode(beside.read_bytes(), type=Progress)
        at = int(beside.stat().st_mtime * 1000)
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(found, at=at) if found.rows and found.job == job else None


def delete_progress(file: Path) -> None:
    """Delete it when the job is done."""
    with contextlib.suppress(OSError):
        _beside(file).unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.progress")
