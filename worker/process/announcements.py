"""Announcements: the file of each worker in the run folder, which its worker keeps locked for as long as it lives.

The kernel releases the lock when the process ends, however it ends, so an announcement without a lock is of a dead
worker, and its slot and name are free.  Readers try that lock and wait for nothing.  A file that cannot be read proves
nothing: its worker may live.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from threelane.contract.accounts.account import DEFAULT
from threelane.worker.process import run_folder
from threelane.worker.process.run_folder import is_at, locks

READERS_SECONDS = 1.0  # how long a starting worker waits for readers of a dead worker's announcement
MODE = 0o600  # who can open a file can lock it
_MOST_BYTES = 65536
_FILE = "worker-{slot}.json"
_NAME = re.compile(r"worker-(\d+)\.json")
_encode = msgspec.json.Encoder().encode


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """One live worker of this host, as it announced itself."""

    name: str
    slot: int
    pid: int
    started: int  # Unix time in milliseconds
    incarnation: str  # this process alone, among all hosts and all times
    redis: str  # a digest of the Redis that it works for
    account: str = DEFAULT  # the one that it serves
    metrics: str = ""  # host and port of its /metrics; empty until it listens
    not_ready: str = ""  # why it claims nothing; '' when it is ready


class Found(NamedTuple):
    """The live workers of a folder by slot, and the files that a live worker may hold but that cannot be read."""

    live: list[Announced]
    unreadable: list[Path]


def path_of(folder: Path, slot: int) -> Path:
    """Return the file of a slot."""
    return folder / _FILE.format(slot=slot)


def read(folder: Path) -> Found:
    """Return the announcements of a folder, and wait for nobody; raises OSError if the folder cannot be listed."""
    found = Found([], [])
    for path in _files(folder):
        _read(path, folder, found)
    return found


def _read(path: Path, folder: Path, found: Found) -> None:
    """Add what a file shows: a live worker, one that cannot be read, or nothing if it is of a dead one."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        with suppress(OSError):
            if run_folder.is_trusted(path.lstat(), folder):
                found.unreadable.append(path)
        return
    try:
        if run_folder.is_trusted(os.fstat(file), folder) and not locks(file, fcntl.LOCK_SH):
            own = msgspec.json.decode(os.read(file, _MOST_BYTES).partition(b"\n")[0], type=Announced)
            if is_at(file, path):  # else its worker has ended, or another one removes it
                found.live.append(own)
    except (OSError, msgspec.MsgspecError):
        if is_at(file, path):
            found.unreadable.append(path)
    finally:
        os.close(file)


def write(file: int, own: Announced) -> None:
    """Make an open file show its worker to readers; raises OSError.

    It writes the first line at once, so that a reader never sees half of it, and only if it is not there.
    """
    line = _encode(own) + b"\n"
    if stat.S_IMODE(os.fstat(file).st_mode) != MODE:
        with suppress(PermissionError):  # the file system may have no modes
            os.fchmod(file, MODE)
    if os.pread(file, _MOST_BYTES, 0) == line:
        return
    if os.pwrite(file, line, 0) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(file, len(line))


def lowest_free_slot(folder: Path) -> tuple[int, int]:
    """Return a slot with its locked file, which only this user can open and therefore lock."""
    for slot in count(1):
        path = path_of(folder, slot)
        _remove_if_dead(path)
        with suppress(FileExistsError):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
            if locks(file, fcntl.LOCK_EX) and is_at(file, path):
                return slot, file
            os.close(file)
    raise AssertionError  # the loop has no end


def remove_dead(folder: Path) -> set[int]:
    """Remove the announcements of workers that ended; returns the slots of the files that are left."""
    for path in _files(folder):
        _remove_if_dead(path)
    return {_slot(path.name) for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    names = sorted(filter(_NAME.fullmatch, os.listdir(folder)), key=_slot)
    return [folder / name for name in names]


def _slot(name: str) -> int:
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else 0


def _remove_if_dead(path: Path) -> None:
    """Remove the announcement of a worker that ended; only the holder of its exclusive lock may do so."""
    with suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if run_folder.is_trusted(os.fstat(file), path.parent) and _locks_before_readers(file) and is_at(file, path):
                path.unlink()
        finally:
            os.close(file)


def _locks_before_readers(file: int) -> bool:
    """Lock a file that only readers hold, and those for an instant; returns False if it is of a live worker."""
    until = time.monotonic() + READERS_SECONDS
    while not locks(file, fcntl.LOCK_EX):
        if not locks(file, fcntl.LOCK_SH) or time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
