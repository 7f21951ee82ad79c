"""Progress: the file that versions before batches kept beside the file of a job that was cut off.

They knew a row by its number; earlier.py finds their messages.  The file says how many there must be.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """A job of an earlier version that was cut off: all rows up to ``rows`` were processed, the last at ``at``, ms."""

    job: str
    rows: int = 0
    counts: dict[str, int] = msgspec.field(name="told", default_factory=dict)
    at: int = 0
    beside: str = ""  # the name of the file

    @property
    def accepted(self) -> int:
        """How many of its rows were accepted."""
        return self.counts.get("accepted", 0)


def read_progress(file: Path, job: str) -> Progress | None:
    """Return the progress of the job of a file, None without one."""
    beside = _beside(file)
    try:
        found = msgspec.json.decode(beside.read_bytes(), type=Progress)
        at = int(beside.stat().st_mtime * 1000)
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(found, at=at, beside=beside.name) if found.rows and found.job == job else None


def delete_progress(file: Path) -> None:
    """Delete it when the job is done."""
    with contextlib.suppress(OSError):
        _beside(file).unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.progress")
