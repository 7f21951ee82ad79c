"""Identity: the name and slot of a worker process on its host, and the workers that live there.

Workers of other hosts and containers are seen in Redis: a name under which another live worker reports is left to it.
Nothing that happens to the run folder stops a worker that runs: it writes its announcement again as soon as it can.
"""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import getnode

import msgspec
from redis.connection import parse_url

from threelane.runtime import logs
from threelane.worker.process import announcements, prometheus, run_folder
from threelane.worker.process.announcements import Announced, Found
from threelane.worker.process.run_folder import is_at

SILENT_MS = 20_000
"""A worker whose heartbeat is older than this counts as gone; one with a blocked event loop misses several."""
_TRIES = 3
_PAUSE_SECONDS = 0.01


class Settings(Protocol):
    """The settings that an identity depends on."""

    @property
    def wanted_name(self) -> str:
        """The name of the first worker of the account on a host."""

    @property
    def account(self) -> str:
        """The account that a worker serves."""

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
        self.problem = ""  # why the announcement cannot be kept, or ''
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
        self._wanted, self._chosen, redis = settings.wanted_name, settings.run_dir, digest_of(settings)
        while not self._take(redis, settings.account):
            pass
        atexit.register(self.release)

    def _take(self, redis: str, account: str) -> bool:
        """Take slot and name in the run folder; returns False if a worker that ended removed it meanwhile."""
        folder = run_folder.opened_or_exit(self._chosen)
        try:
            place = _place(folder)
            with run_folder.locked(folder, run_folder.LOCK_SECONDS) as in_turn:
                if not in_turn:
                    logs.event("run_folder_locked", level=30, run_dir=folder)
                others = announcements.read(folder).live
                prometheus.clean(folder, announcements.remove_dead(folder))
                slot, self._file = announcements.lowest_free_slot(folder)
                self.folder = folder
                self._own = Announced(
                    name=_free_name(self._wanted, {one.name for one in others if one.redis == redis}),
                    slot=slot,
                    pid=os.getpid(),
                    started=_now(),
                    incarnation=f"{place}.{secrets.token_hex(8)}",
                    redis=redis,
                    account=account,
                )
                announcements.write(self._file, self._own)
        except FileNotFoundError:
            return False
        except OSError as failed:
            run_folder.end_unusable(folder, failed)
        return True

    def leave_name(self) -> None:
        """Take the next free name: another live worker reports under this one."""
        with self._changing:
            self._left.add(self.name)
            taken, own = set(self._left), self._own
            with suppress(OSError):
                live = announcements.read(self.folder).live if self.folder else []
                taken |= {one.name for one in live if one.redis == own.redis and one.slot != own.slot}
            self._own = msgspec.structs.replace(own, name=_free_name(self._wanted, taken))
            self._keep_announced()

    def is_dead(self, incarnation: str) -> bool:
        """Return whether a process certainly ended: it announced itself here, and its lock is free."""
        try:
            if self.folder is None or not self._is_announced():
                return False
            if not incarnation.startswith(f"{_place(self.folder)}."):
                return False
            found = _read_surely(self.folder)
        except OSError:
            return False
        return not found.unreadable and incarnation not in {one.incarnation for one in found.live}

    def report(self, *, metrics: str | None = None, reasons: Mapping[str, str] | None = None) -> None:
        """Announce the address of the metrics, or why this worker is not ready; again if the announcement is lost.

        A failure is logged once and shown by ``problem``; it stops nothing.
        """
        changes: dict[str, Any] = {} if metrics is None else {"metrics": metrics}
        if reasons is not None:
            changes["not_ready"] = "; ".join(reasons.values())
        with self._changing:
            self._own = msgspec.structs.replace(self._own, **changes)
            self._keep_announced()

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
        return announcements.path_of(self.folder, self._own.slot)

    def _is_announced(self) -> bool:
        return self._file >= 0 and is_at(self._file, self._path())

    def _keep_announced(self) -> None:
        """Write whatever of the announcement is lost, and note why it cannot be; the next report tries again."""
        if self._file < 0 or self.folder is None:
            return
        problem, is_new = "", False
        try:
            is_new = self._take_slot_again()
            announcements.write(self._file, self._own)
            os.utime(self._file)  # so that no clean-up of temporary files takes it for an old one
            if self._own.metrics:
                prometheus.announce(self.folder, self._own.slot, self._own.metrics, self._own.name)
        except run_folder.Unusable as unusable:
            problem = str(unusable)
        except OSError as failed:
            problem = run_folder.sentence(self.folder, failed)
        if problem and problem != self.problem:
            logs.event("not_announced", level=40, worker=self.name, problem=problem)
        elif not problem and (self.problem or is_new):
            logs.event("announced_again", level=30, worker=self.name, slot=self._own.slot, run_dir=self.folder)
        self.problem = problem

    def _take_slot_again(self) -> bool:
        """Take a slot again if the file is gone or of another user; returns whether; raises Unusable or OSError."""
        if self._is_announced():
            if os.fstat(self._file).st_uid == os.geteuid():
                return False
            self._path().unlink()
        folder = run_folder.opened(self._chosen)
        with run_folder.locked(folder, seconds=0):
            slot, file = announcements.lowest_free_slot(folder)
        os.close(self._file)
        self.folder, self._file = folder, file
        self._own = msgspec.structs.replace(self._own, slot=slot)
        return True


class Around(NamedTuple):
    """The live workers of this host and user by slot, and why there may be more that cannot be seen."""

    workers: list[Announced]
    unknown: list[str]


def around(settings: Settings | None = None) -> Around:
    """Return the workers of this host and user; with settings, only those that work for the same Redis."""
    found = Around([], [])
    wanted = digest_of(settings) if settings else ""
    for folder in run_folder.candidates(settings.run_dir if settings else None):
        try:
            live, unreadable = announcements.read(folder)
        except FileNotFoundError:
            continue
        except OSError as failed:
            if not run_folder.is_of_others(folder, settings.run_dir if settings else None):
                found.unknown.append(run_folder.sentence(folder, failed))
            continue
        found.workers.extend(one for one in live if not wanted or one.redis == wanted)
        found.unknown.extend(f"{path} is of a worker that may live, and cannot be read" for path in unreadable)
    return found


def announced(settings: Settings | None = None) -> list[Announced]:
    """Return the live workers of this host and user by slot; with settings, only those that work for the same Redis."""
    return around(settings).workers


def digest_of(settings: Settings) -> str:
    """Return a digest of the address and database of Redis, without its user and password."""
    place = parse_url(settings.redis_url.get_secret_value())  # type: ignore[no-untyped-call]
    parts = (str(place.get(name, "")) for name in ("path", "host", "port", "db"))
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _read_surely(folder: Path) -> Found:
    """Return the announcements, read again while a worker that starts has not written its own yet."""
    for _ in range(_TRIES):
        found = announcements.read(folder)
        if not found.unreadable:
            break
        time.sleep(_PAUSE_SECONDS)
    return found


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


IDENTITY = Identity()
"""The identity of this process."""
