"""Run folder: where the workers of one user on one host announce themselves to each other and to Prometheus.

Other users may pass through it to ``prometheus/``, and can open nothing else: who can open a file can lock it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from threelane.runtime.exits import Exit

OF_THE_SERVICE = Path("/run/threelane")
"""Used where it exists: RuntimeDirectory=threelane of a systemd unit creates it."""
LOCK_SECONDS = 3.0  # how long a starting worker waits for another one that takes its slot
MODE = 0o711  # of a folder that Threelane creates
_LOCK = "lock"
_PAUSE_SECONDS = 0.02
_TRIES = 5
_TRIED_BYTES = 8192  # an announcement and a file for Prometheus, each of a block
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


def opened(chosen: Path | None) -> Path:
    """Return the folder, created if it is missing; raises Unusable."""
    for is_last in (*[False] * _TRIES, True):
        folder = None
        try:
            folder = _preferred(chosen)
            _create(folder)
            _require_safe(folder)
            _try_to_write(folder)
        except FileExistsError as failed:
            raise Unusable(_sentence(f"{failed.filename or folder} is not a folder")) from None
        except OSError as failed:
            if isinstance(failed, FileNotFoundError) and not is_last:
                continue  # the last worker ended, and removed it meanwhile
            raise Unusable(_sentence(f"{failed.filename or folder} cannot be created ({failed.strerror})")) from None
        return folder
    raise AssertionError  # the last try returns or raises


def opened_or_exit(chosen: Path | None) -> Path:
    """Return the folder, created if it is missing; ends the process with code 2 and a sentence if it is unusable."""
    try:
        return opened(chosen)
    except Unusable as problem:
        _end(str(problem))


def end_unusable(folder: Path, failed: OSError) -> NoReturn:
    """End the process with code 2 and a sentence: a slot could not be taken in the folder."""
    _end(sentence(folder, failed))


def sentence(folder: Path, failed: OSError) -> str:
    """Return what a failure in the folder means, and the fix."""
    return _sentence(f"{failed.filename or folder} cannot be used ({failed.strerror})")


def is_of_others(folder: Path, chosen: Path | None) -> bool:
    """Return whether no worker of this user is there, since the service's folder is another user's."""
    with suppress(OSError):
        return folder != candidates(chosen)[-1] and folder.stat().st_uid != os.geteuid()
    return False


def checked(chosen: Path | None) -> Path:
    """Return the folder that a worker would use, and leave nothing behind; raises Unusable with the worker's words."""
    missing: list[Path] = []
    with suppress(OSError):
        one = _preferred(chosen)
        while not one.exists() and one != one.parent:
            missing.append(one)
            one = one.parent
    try:
        return opened(chosen)
    finally:
        for one in missing:
            with suppress(OSError):  # a worker may use it meanwhile
                one.rmdir()


def remove_if_empty(folder: Path, chosen: Path | None) -> None:
    """Remove a folder that Threelane created and nobody uses; its lock must be held."""
    is_default = chosen is None and "THREELANE_RUN_DIR" not in os.environ and folder != OF_THE_SERVICE
    if is_default and os.listdir(folder) == [_LOCK]:
        (folder / _LOCK).unlink()
        folder.rmdir()


@contextmanager
def locked(folder: Path, seconds: float) -> Iterator[bool]:
    """Hold the lock with which workers take their slots and names in turn; yields False if another process keeps it.

    It only keeps names in order.  A slot is taken in one step, and Redis refuses a second worker of a name: so a
    worker goes on without the lock rather than wait for a process that stands still.  Readers need no lock.
    """
    lock = _taken(folder / _LOCK, time.monotonic() + seconds)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _taken(path: Path, until: float) -> int | None:
    """Return the lock's file once nobody else holds it, or None after the deadline or if it is of another user."""
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        if locks(lock, fcntl.LOCK_EX) and is_at(lock, path):
            return lock
        os.close(lock)
        if time.monotonic() >= until:
            return None
        time.sleep(_PAUSE_SECONDS)


def locks(file: int, kind: int) -> bool:
    """Lock a file if nobody holds it; returns whether it did."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(file: int, path: Path) -> bool:
    """Return whether an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except OSError:
        return False


def is_trusted(file: os.stat_result, folder: Path) -> bool:
    """Return whether an announcement is of a user who may announce workers in the folder."""
    return stat.S_ISREG(file.st_mode) and file.st_uid in (os.geteuid(), 0, folder.stat().st_uid)


def _end(problem: str) -> NoReturn:
    print(f"threelane: {problem}", file=sys.stderr)
    raise SystemExit(Exit.USAGE) from None


def _sentence(problem: str, remedy: str = _REMEDY) -> str:
    return f"THREELANE_RUN_DIR: {problem}: {remedy}"


def _preferred(chosen: Path | None) -> Path:
    *others, folder = candidates(chosen)
    return next((one for one in others if _is_ours(one if one == OF_THE_SERVICE else one.parent)), folder)


def _create(folder: Path) -> None:
    """Create the folder with its mode whatever the umask is; one that exists keeps its mode."""
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        with suppress(OSError):  # a worker that ended removed it meanwhile
            folder.chmod(MODE)


def _try_to_write(folder: Path) -> None:
    """Raise Unusable if the disk is full or read-only, which the permissions do not show."""
    draft = folder / f"check-{os.getpid()}-{secrets.token_hex(4)}.draft"  # a killed process may have left one
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:  # a full disk takes an empty file
            if os.write(file, b"-" * _TRIED_BYTES) < _TRIED_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except FileNotFoundError:
        raise
    except OSError as failed:
        failed.filename = str(folder)
        raise Unusable(sentence(folder, failed)) from None
    finally:
        draft.unlink(missing_ok=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _require_safe(folder: Path) -> None:
    """Refuse a folder in which another user could announce workers, or remove our announcements."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise Unusable(_sentence(f"{folder} is a link"))
    if found.st_uid not in (os.geteuid(), 0):
        raise Unusable(_sentence(f"{folder} belongs to another user (uid {found.st_uid})"))
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise Unusable(_sentence(f"every user can write {folder}", f"chmod o-w {folder}, or {_REMEDY}"))
    if not os.access(folder, os.W_OK | os.R_OK | os.X_OK):
        raise Unusable(_sentence(f"this process cannot write {folder}"))
