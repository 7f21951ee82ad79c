"""Identity: the name and slot of a worker process on its host, and the announcements of the workers that live there.

Each worker holds a lock on its announcement file.  The kernel releases it when the process ends, however it ends, so an
announcement without a lock is of a dead worker, and its slot and name are free.  Readers try that lock and wait for
nothing.  Workers of other hosts and containers are seen in Redis: a name under which another live worker reports is
left to it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import socket
import threading
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

from threelane.runtime import logs
from threelane.worker.process import prometheus, run_folder
from threelane.worker.process.run_folder import is_at, locks

SILENT_MS = 20_000
"""A worker whose heartbeat is older than this counts as gone; one with a blocked event loop misses several."""
READERS_SECONDS = 1.0  # how long a starting worker waits for readers of a dead worker's announcement
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
        self._changing = threading.RLock()
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
        while not self._take(redis):
            pass
        atexit.register(self.release)

    def _take(self, redis: str) -> bool:
        """Take slot and name in the run folder; returns False if a worker that ended removed it meanwhile."""
        folder = run_folder.opened_or_exit(self._chosen)
        try:
            place = _place(folder)
            with run_folder.locked(folder, run_folder.LOCK_SECONDS) as in_turn:
                if not in_turn:
                    logs.event("run_folder_locked", level=30, run_dir=folder)
                others = [*_live(folder)]
                _remove_dead(folder)
                prometheus.clean(folder, {one.slot for one in others})
                slot, self._file = _lowest_free_slot(folder)
                self.folder = folder
                self._own = Announced(
                    name=_free_name(self._wanted, {one.name for one in others if one.redis == redis}),
                    slot=slot,
                    pid=os.getpid(),
                    started=_now(),
                    incarnation=f"{place}.{secrets.token_hex(8)}",
                    redis=redis,
                )
                self._write()
        except FileNotFoundError:
            return False
        except OSError as failed:
            run_folder.end_unusable(folder, failed)
        return True

    def leave_name(self) -> None:
        """Take the next free name: another live worker reports under this one."""
        self._left.add(self.name)
        if self.folder is None:
            self._own = msgspec.structs.replace(self._own, name=_free_name(self._wanted, self._left))
            return
        with self._changing:
            own = self._own
            taken = {one.name for one in _live(self.folder) if one.redis == own.redis and one.slot != own.slot}
            self._own = msgspec.structs.replace(own, name=_free_name(self._wanted, taken | self._left))
            self._write()
            self._announce_metrics()

    def is_dead(self, incarnation: str) -> bool:
        """Return whether a process certainly ended: it announced itself here, and its lock is free."""
        if self.folder is None or not self._is_announced():
            return False
        if not incarnation.startswith(f"{_place(self.folder)}."):
            return False
        return incarnation not in {one.incarnation for one in _live(self.folder)}

    def report(self, *, metrics: str | None = None, reasons: Mapping[str, str] | None = None) -> None:
        """Announce the address of the metrics, or why this worker is not ready; again if the announcement is gone."""
        changes: dict[str, Any] = {} if metrics is None else {"metrics": metrics}
        if reasons is not None:
            changes["not_ready"] = "; ".join(reasons.values())
        with self._changing:
            if any(getattr(self._own, name) != value for name, value in changes.items()):
                self._own = msgspec.structs.replace(self._own, **changes)
                self._write()
            if self._file < 0:
                return
            if not self._is_announced():
                self._announce_again()
            if metrics or not self._is_announced_to_prometheus():
                self._announce_metrics()
            with suppress(OSError):
                os.utime(self._file)  # so that no clean-up of temporary files takes it for an old one

    def release(self) -> None:
        """Free the slot at a clean end."""
        with self._changing:
            if self._file < 0 or self.folder is None:
                return
            with suppress(OSError):
                if self._is_announced():
                    prometheus.remove(self.folder, self._own.slot)
                    self._path().unlink()
                with run_folder.locked(self.folder, seconds=0) as is_alone:
                    if is_alone:
                        run_folder.remove_if_empty(self.folder, self._chosen)
            os.close(self._file)
            self._file = -1

    def _path(self) -> Path:
        assert self.folder is not None
        return self.folder / _FILE.format(slot=self._own.slot)

    def _is_announced(self) -> bool:
        return self._file >= 0 and is_at(self._file, self._path())

    def _announce_again(self) -> None:
        """Take a slot again, in a folder that was removed or emptied; on failure, the next report tries again."""
        try:
            folder = run_folder.opened(self._chosen)
            with run_folder.locked(folder, seconds=0):
                slot, file = _lowest_free_slot(folder)
        except (run_folder.Unusable, OSError):
            return
        os.close(self._file)
        self.folder, self._file = folder, file
        self._own = msgspec.structs.replace(self._own, slot=slot)
        self._write()
        logs.event("announced_again", level=30, worker=self.name, slot=slot, run_dir=folder)

    def _is_announced_to_prometheus(self) -> bool:
        return self.folder is None or prometheus.is_announced(self.folder, self._own.slot)

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
        with suppress(OSError):
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
    """Return a slot with its locked file, which only this user can open and therefore lock."""
    for slot in count(1):
        path = folder / _FILE.format(slot=slot)
        _remove_if_dead(path)
        with suppress(FileExistsError):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            if locks(file, fcntl.LOCK_EX) and is_at(file, path):
                return slot, file
            os.close(file)
    raise AssertionError  # the loop has no end


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(_FILE.format(slot="*")), key=lambda one: (len(one.name), one.name))


def _live(folder: Path) -> Iterator[Announced]:
    """Yield the announcements whose lock is held, by slot; waits for nobody."""
    for path in _files(folder):
        with suppress(OSError, msgspec.MsgspecError):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if run_folder.is_trusted(os.fstat(file), folder) and not locks(file, fcntl.LOCK_SH):
                    found = msgspec.json.decode(os.read(file, 65536).partition(b"\n")[0], type=Announced)
                    if is_at(file, path):  # else its worker has ended, or another one removes it
                        yield found
            finally:
                os.close(file)


def _remove_dead(folder: Path) -> None:
    for path in _files(folder):
        _remove_if_dead(path)


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


IDENTITY = Identity()
"""The identity of this process."""
