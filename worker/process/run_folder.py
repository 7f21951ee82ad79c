"""Run folder: where the workers of one user on one host announce themselves to each other and to Prometheus."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from threelane.runtime.exits import Exit

OF_THE_SERVICE = Path("/run/threelane")
"""Used where it exists: RuntimeDirectory=threelane of a systemd unit creates it."""
_REMEDY = "set it to a folder that only this user can write"


class Unusable(Exception):
    """The run folder cannot be used; the text has the problem and the fix."""


def candidates(chosen: Path | None = None) -> list[Path]:
    """Return the folders that may have announcements: the chosen one, or the defaults in the order of preference."""
    if named := chosen or os.environ.get("THREELANE_RUN_DIR", ""):
        return [Path(named)]
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    own = Path(tempfile.gettempdir(), f"threelane-{os.geteuid()}")
    return [OF_THE_SERVICE, *([Path(session, "threelane")] if session else []), own]


def open_or_exit(chosen: Path | None) -> Path:
    """Return the folder of this process, and create it; ends the process with code 2 if it cannot be used."""
    try:
        return _open(chosen)
    except Unusable as problem:
        print(f"threelane: THREELANE_RUN_DIR: {problem}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


@contextmanager
def locked(folder: Path, *, shared: bool = False, waits: bool = True) -> Iterator[None]:
    """Hold the lock of the folder: nobody takes or frees a slot meanwhile.  Readers share it.

    Raises OSError if the folder does not exist, or if it is locked and this process does not wait.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if waits else fcntl.LOCK_NB))
        yield
    finally:
        os.close(held)


def _open(chosen: Path | None) -> Path:
    try:
        *others, folder = candidates(chosen)
        folder = next((one for one in others if _is_ours(one if one == OF_THE_SERVICE else one.parent)), folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise Unusable(f"{folder} is not a folder: {_REMEDY}") from None
    except OSError as failed:
        raise Unusable(f"{failed.filename or 'no folder'} cannot be created ({failed.strerror}): {_REMEDY}") from None
    _require_safe(folder)
    return folder


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _require_safe(folder: Path) -> None:
    """Refuse a folder in which another user could announce workers, or hold our locks."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise Unusable(f"{folder} is a link: {_REMEDY}")
    if found.st_uid not in (os.geteuid(), 0):
        raise Unusable(f"{folder} belongs to another user (uid {found.st_uid}): {_REMEDY}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unusable(f"this process cannot write {folder}: {_REMEDY}")
