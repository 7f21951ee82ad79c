"""Identity: the name and slot of a worker process on its host, and the announcements of the workers that live there.

Each worker holds a lock on its announcement file.  The kernel releases it when the process ends, however it ends, so an
announcement without a lock is of a dead worker, and its slot and name are free.  Workers of other hosts and containers
are seen in Redis: a name under which another live worker reports is left to it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from uuid import getnode

import msgspec
from redis.connection import parse_url

from threelane.worker.process import prometheus, run_folder

SILENT_MS = 20_000
"""A worker whose heartbeat is older than this counts as gone; one with a blocked event loop misses several."""
_FILE = "worker-{slot}.json"
_encode = msgspec.json.Encoder().encode


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """One live worker of this host, as it announced itself."""

    name: str
    slot: int
    pid: int
    started: int  # Unix time in milliseconds
    incarnation: str  # this process alone, among all hosts and all times
    redis: str  # a digest of the Redis that it works for
    metrics: str = ""  # host and port of its /metrics; empty until it listens
    not_ready: str = ""  # why it claims nothing; '' when it is ready


class Settings(Protocol):
    """The settings that an identity depends on."""

    @property
    def worker_name(self) -> str:
        """The name of the first worker on a host."""

    @property
    def run_dir(self) -> Path | None:
        """The run folder."""

    @property
    def redis_url(self) -> Any:
        """The Redis within which names are unique."""


class Identity:
    """Who this worker process is: its name, its slot on the host, and its announcement."""

    def __init__(self) -> None:
        """Start as the only worker of the host; ``take`` makes sure of it."""
        self.folder: Path | None = None
        self._file = -1
        self._wanted = socket.gethostname()
        self._chosen: Path | None = None
        self._left: set[str] = set()  # names of live workers elsewhere
        self._own = Announced(
            name=self._wanted, slot=1, pid=os.getpid(), started=_now(), incarnation=secrets.token_hex(8), redis=""
        )

    @property
    def name(self) -> str:
        """The name under which this worker reports; no other live worker has it."""
        return self._own.name

    @property
    def announced(self) -> Announced:
        """What this worker announces."""
        return self._own

    def take(self, settings: Settings) -> None:
        """Take the lowest free slot of this host and a free name, until this process ends.

        Ends the process with code 2 and a sentence if the run folder cannot be used.
        """
        self._wanted, self._chosen, redis = settings.worker_name, settings.run_dir, digest_of(settings)
        with run_folder.entered_or_exit(settings.run_dir) as folder:
            self.folder = folder
            others = [*_live(folder, cleans=True)]
            prometheus.clean(folder, {one.slot for one in others})
            slot, self._file = _lowest_free_slot(folder)
            self._own = Announced(
                name=_free_name(self._wanted, {one.name for one in others if one.redis == redis}),
                slot=slot,
                pid=os.getpid(),
                started=_now(),
                incarnation=f"{_place(folder)}.{secrets.token_hex(8)}",
                redis=redis,
            )
            self._write()
        atexit.register(self.release)

    def leave_name(self) -> None:
        """Take the next free name: another live worker reports under this one."""
        self._left.add(self.name)
        if self.folder is None:
            self._own = msgspec.structs.replace(self._own, name=_free_name(self._wanted, self._left))
            return
        with run_folder.locked(self.folder):
            own = self._own
            taken = {one.name for one in _live(self.folder) if one.redis == own.redis and one.slot != own.slot}
            self._own = msgspec.structs.replace(own, name=_free_name(self._wanted, taken | self._left))
            self._write()
        self._announce_metrics()

    def is_dead(self, incarnation: str) -> bool:
        """Return whether a process certainly ended: it announced itself here, and its lock is free."""
        if self.folder is None or not incarnation.startswith(f"{_place(self.folder)}."):
            return False
        with run_folder.locked(self.folder, shared=True):
            return incarnation not in {one.incarnation for one in _live(self.folder)}

    def report(self, *, metrics: str | None = None, reasons: Mapping[str, str] | None = None) -> None:
        """Announce the address of the metrics, or why this worker is not ready."""
        changes: dict[str, Any] = {} if metrics is None else {"metrics": metrics}
        if reasons is not None:
            changes["not_ready"] = "; ".join(reasons.values())
        if any(getattr(self._own, name) != value for name, value in changes.items()):
            self._own = msgspec.structs.replace(self._own, **changes)
            self._write()
        if metrics:
            self._announce_metrics()
        if self._file >= 0:
            os.utime(self._file)  # so that no clean-up of temporary files takes it for an old one

    def release(self) -> None:
        """Free the slot at a clean end."""
        if self._file < 0 or self.folder is None:
            return
        with suppress(OSError), run_folder.locked(self.folder, waits=False):
            prometheus.remove(self.folder, self._own.slot)
            (self.folder / _FILE.format(slot=self._own.slot)).unlink()
            run_folder.remove_if_empty(self.folder, self._chosen)
        os.close(self._file)
        self._file = -1

    def _announce_metrics(self) -> None:
        if self.folder and self._own.metrics:
            prometheus.announce(self.folder, self._own.slot, self._own.metrics, self._own.name)

    def _write(self) -> None:
        """Write the first line of the file at once: a reader never sees half of it."""
        if self._file < 0:
            return
        line = _encode(self._own) + b"\n"
        with suppress(OSError):  # the disk may be full; the lock is what counts
            os.pwrite(self._file, line, 0)
            os.ftruncate(self._file, len(line))


def announced(settings: Settings | None = None) -> list[Announced]:
    """Return the live workers of this host and user by slot; with settings, only those that work for the same Redis."""
    found: list[Announced] = []
    for folder in run_folder.candidates(settings.run_dir if settings else None):
        with suppress(OSError), run_folder.locked(folder, shared=True):
            found += _live(folder)
    wanted = digest_of(settings) if settings else ""
    return [one for one in found if not wanted or one.redis == wanted]


def digest_of(settings: Settings) -> str:
    """Return a digest of the address and database of Redis, without its user and password."""
    place = parse_url(settings.redis_url.get_secret_value())  # type: ignore[no-untyped-call]
    parts = (str(place.get(name, "")) for name in ("path", "host", "port", "db"))
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _now() -> int:
    return int(time.time() * 1000)


def _place(folder: Path) -> str:
    """Return a digest of the boot of this machine and of the folder: its locks are visible to whoever has the same."""
    found = folder.stat()
    whole = f"{_boot()}:{found.st_dev}:{found.st_ino}"
    return blake2b(whole.encode(), digest_size=8).hexdigest()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return f"{socket.gethostname()}:{getnode()}"


def _free_name(wanted: str, taken: Collection[str]) -> str:
    """Return the wanted name, or the first of name-2, name-3 ... that nobody has."""
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)


def _lowest_free_slot(folder: Path) -> tuple[int, int]:
    """Return a slot with its locked file; the lock of the folder must be held."""
    for slot in count(1):
        file = os.open(folder / _FILE.format(slot=slot), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        if _lock(file, fcntl.LOCK_EX):
            os.ftruncate(file, 0)
            return slot, file
        os.close(file)
    raise AssertionError  # the loop has no end


def _live(folder: Path, *, cleans: bool = False) -> Iterator[Announced]:
    """Yield the announcements whose lock is held, by slot; the lock of the folder must be held.

    Removes the others if it ``cleans``; a reader, whose lock of the folder is shared, does not.
    """
    for path in sorted(folder.glob(_FILE.format(slot="*")), key=lambda one: (len(one.name), one.name)):
        with suppress(OSError, msgspec.MsgspecError):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if not _lock(file, fcntl.LOCK_SH):
                    yield msgspec.json.decode(os.read(file, 65536).partition(b"\n")[0], type=Announced)
                elif cleans:
                    path.unlink()
            finally:
                os.close(file)


def _lock(file: int, kind: int) -> bool:
    """Lock a file if nobody holds it; returns whether it did."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


IDENTITY = Identity()
"""The identity of this process."""
