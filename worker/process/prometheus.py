"""Prometheus: the file of each worker from which Prometheus discovers the address of its metrics."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

FOLDER = "prometheus"
"""Below the run folder; ``file_sd_configs`` reads its *.json, as any user: it has addresses and names only."""


def announce(folder: Path, slot: int, target: str, name: str) -> None:
    """Write the file of a slot: its address, and the worker's name as a label."""
    own = folder / FOLDER
    with suppress(OSError):  # without it, the worker works, and is not watched
        own.mkdir(mode=0o755, exist_ok=True)
        found = own.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
            return  # in a folder like /tmp, another user could have created it
        if found.st_uid == os.geteuid():
            own.chmod(0o755)  # whatever the umask is
        draft = own / f"worker-{slot}.draft"
        draft.write_bytes(msgspec.json.encode([{"targets": [target], "labels": {"worker": name}}]))
        draft.chmod(0o644)
        os.replace(draft, _file(folder, slot))


def is_announced(folder: Path, slot: int) -> bool:
    """Return whether the file of a slot exists."""
    return _file(folder, slot).exists()


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
