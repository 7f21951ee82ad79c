"""Prometheus: the file of each worker from which Prometheus discovers the address of its metrics."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

FOLDER = "prometheus"
"""Below the run folder; ``file_sd_configs`` reads its *.json, as any user: it has addresses and names only."""
_MODE = 0o755


def announce(folder: Path, slot: int, target: str, name: str) -> None:
    """Write the file of a slot, its address and the worker's name as a label, unless it is there; raises OSError."""
    own, path = folder / FOLDER, _file(folder, slot)
    own.mkdir(mode=0o755, exist_ok=True)
    found = own.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
        # in a folder like /tmp, another user could have created it
        raise PermissionError(errno.EPERM, "it is a link, or belongs to another user", str(own))
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _MODE:
        own.chmod(_MODE)  # whatever the umask is
    content = msgspec.json.encode([{"targets": [target], "labels": {"worker": name}}])
    if not _is_intact(path, content):
        draft = own / f"worker-{slot}.draft"
        draft.unlink(missing_ok=True)
        draft.write_bytes(content)
        draft.chmod(0o644)
        os.replace(draft, path)


def _is_intact(path: Path, content: bytes) -> bool:
    try:
        found = path.lstat()
        is_readable = stat.S_ISREG(found.st_mode) and found.st_mode & 0o444 == 0o444
        return is_readable and found.st_uid == os.geteuid() and path.read_bytes() == content
    except OSError:
        return False


def remove(folder: Path, slot: int) -> None:
    """Remove the file of a slot, and the folder of the last one."""
    with suppress(OSError):
        _file(folder, slot).unlink()
        (folder / FOLDER).rmdir()


def clean(folder: Path, live: Collection[int]) -> None:
    """Remove the files of dead workers: of all slots but those that live."""
    kept = {_file(folder, slot) for slot in live}
    for path in (folder / FOLDER).glob("worker-*.json"):
        if path not in kept:
            with suppress(OSError):
                path.unlink()


def _file(folder: Path, slot: int) -> Path:
    return folder / FOLDER / f"worker-{slot}.json"
