"""Run folder: where the workers of one user on one host announce themselves to each other and to Prometheus."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

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


@contextmanager
def entered_or_exit(chosen: Path | None) -> Iterator[Path]:
    """Create the folder and hold its lock; ends the process with code 2 and a sentence if it cannot be used."""
    try:
        with ExitStack() as stack:
            while not (folder := _open_and_lock(chosen, stack)):
                pass
            yield folder
    except Unusable as problem:
        _end(str(problem))
    except OSError as failed:
        _end(f"{failed.filename or folder} cannot be used ({failed.strerror}): {_REMEDY}")


def remove_if_empty(folder: Path, chosen: Path | None) -> None:
    """Remove a folder that Threelane created and nobody uses; its lock must be held."""
    if chosen is None and "THREELANE_RUN_DIR" not in os.environ and folder != OF_THE_SERVICE:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def locked(folder: Path, *, shared: bool = False, waits: bool = True) -> Iterator[None]:
    """Hold the lock of the folder: nobody takes or frees a slot meanwhile.  Readers share it.

    Raises OSError if the folder does not exist or was removed meanwhile, or if it is locked and this process does not
    wait.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if waits else fcntl.LOCK_NB))
        if not os.path.samestat(os.fstat(held), folder.stat()):
            raise FileNotFoundError(folder)
        yield
    finally:
        os.close(held)


def _open_and_lock(chosen: Path | None, stack: ExitStack) -> Path | None:
    """Return the locked folder; None if a worker that ended removed it meanwhile."""
    folder = _open(chosen)
    with suppress(FileNotFoundError):
        stack.enter_context(locked(folder))
        return folder
    return None


def _end(problem: str) -> NoReturn:
    print(f"threelane: THREELANE_RUN_DIR: {problem}", file=sys.stderr)
    raise SystemExit(Exit.USAGE) from None


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
