"""States: for each row of the table of error replies, a real server that gives the reply, and stops giving it."""

# ruff: noqa: ARG002 - few states need the processes

from __future__ import annotations

import re
import resource
import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from tests.error_replies.switch import Switch
from tests.servers import RedisServer, free_port, wait_until
from threelane.store.replies import BY_PREFIX, ErrorReply

PASSWORD = "do-not-log-me-redis-pw"
ANOTHER = "do-not-log-me-another-pw"


class State:
    """A Redis that works until ``begin`` and after ``end``; in between it gives the reply."""

    options: Sequence[str] = ()
    reply: ErrorReply
    at_start: ErrorReply | None = None
    """What a process that starts meanwhile gets, if it is another reply."""
    others: Sequence[ErrorReply] = ()
    """What some commands get meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "redis"
        self.folder.mkdir()
        self.server = RedisServer(self.folder, *self.options).start()
        self.admin = redis.Redis(port=self.server.port, socket_timeout=30)

    @property
    def url(self) -> str:
        """The address for Threelane's processes."""
        return self.server.url

    @property
    def at_write(self) -> ErrorReply:
        """What a write gets meanwhile."""
        return self.at_start or self.reply

    @property
    def possible(self) -> set[ErrorReply]:
        """All that any command may get meanwhile."""
        return {self.reply, self.at_write, *self.others}

    @property
    def sentences(self) -> str:
        """A pattern of what people read about it."""
        return "|".join(re.escape(f"({one.prefix})") for one in self.possible)

    @property
    def waits(self) -> set[str]:
        """The values of Retry-After."""
        return {str(one.retry_seconds) for one in self.possible}

    def begin(self, pids: Sequence[int]) -> None:
        """Give the reply from now on; ``pids`` are Threelane's processes."""
        raise NotImplementedError

    def end(self, pids: Sequence[int]) -> None:
        """Work again."""
        raise NotImplementedError

    def close(self) -> None:
        self.admin.close()
        self.server.kill()

    def cut(self) -> None:
        """Cut all connections but the one of this test."""
        self.admin.client_kill_filter(_type="normal", skipme=True)


class ReadOnly(State):
    """A replica, whose primary is away."""

    reply = BY_PREFIX["READONLY"]

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("REPLICAOF", "127.0.0.1", free_port())

    def end(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("REPLICAOF", "NO", "ONE")


class Unblocked(State):
    """A planned failover: the primary hands over to its replica, and the address follows some time later."""

    reply = BY_PREFIX["UNBLOCKED"]
    at_start = BY_PREFIX["READONLY"]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "replica").mkdir()
        options = ("--replicaof", f"127.0.0.1 {self.server.port}", "--repl-diskless-sync-delay", "0")
        self.replica = RedisServer(folder / "replica", *options).start()
        wait_until(lambda: self._replication()["connected_slaves"] == 1 and self._is_online(), 30, "the replica")
        self.switch = Switch(self.server.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.switch.port}/0"

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("FAILOVER", "TO", "127.0.0.1", self.replica.port)
        wait_until(lambda: self._replication()["role"] == "slave", 30, "the failover")

    def end(self, pids: Sequence[int]) -> None:
        self.switch.point(self.replica.port)

    def close(self) -> None:
        self.switch.close()
        self.replica.kill()
        super().close()

    def _replication(self) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.info("replication")
        return found

    def _is_online(self) -> bool:
        return bool(self._replication()["slave0"]["state"] == "online")


class NoDisk(State):
    """Its snapshot cannot be written: a folder has the name of the file."""

    reply = BY_PREFIX["MISCONF"]
    options = ("--stop-writes-on-bgsave-error", "yes")

    def begin(self, pids: Sequence[int]) -> None:
        blocked = self.folder / "dump.rdb"
        blocked.unlink(missing_ok=True)
        blocked.mkdir()
        (blocked / "in the way").touch()
        self.admin.config_set("save", "3600 1000000")  # without a schedule of snapshots it does not care
        self._save("err")

    def end(self, pids: Sequence[int]) -> None:
        shutil.rmtree(self.folder / "dump.rdb")
        self._save("ok")

    def _save(self, result: str) -> None:
        def is_saved() -> bool:
            with suppress(redis.ResponseError):  # a rewrite of the append-only file is in progress
                self.admin.bgsave()
            return bool(self.admin.info("persistence")["rdb_last_bgsave_status"] == result)

        wait_until(is_saved, 30, f"a snapshot to end with {result}")


class NoReplicas(State):
    """Fewer replicas than it requires."""

    reply = BY_PREFIX["NOREPLICAS"]

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.config_set("min-replicas-to-write", 1)

    def end(self, pids: Sequence[int]) -> None:
        self.admin.config_set("min-replicas-to-write", 0)


class Loading(State):
    """It was killed, and reads a file that it needs long for."""

    reply = BY_PREFIX["LOADING"]
    options = ("--enable-debug-command", "yes")

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("DEBUG", "POPULATE", 30_000, "load", 10)
        self.admin.bgrewriteaof()
        wait_until(lambda: not self._persistence()["aof_rewrite_in_progress"], 30, "the append-only file")
        self.server.kill()
        slowly = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
        self.server.options = (*self.options, *slowly)
        self.server.start(loaded=False)

    def end(self, pids: Sequence[int]) -> None:
        self.admin.config_set("key-load-delay", 0)
        wait_until(lambda: not self._persistence()["loading"], 90, "it to be loaded")
        for one in self.admin.scan_iter("load:*", count=5000):
            self.admin.delete(one)

    def _persistence(self) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.info("persistence")
        return found


class Busy(State):
    """A script of somebody else never ends."""

    reply = BY_PREFIX["BUSY"]
    options = ("--busy-reply-threshold", "100")

    def begin(self, pids: Sequence[int]) -> None:
        self._running = threading.Thread(target=self._run, daemon=True)
        self._running.start()
        wait_until(self._is_busy, 30, "the script")

    def end(self, pids: Sequence[int]) -> None:
        self.admin.script_kill()
        self._running.join(30)

    def _run(self) -> None:
        with redis.Redis(port=self.server.port, socket_timeout=None) as client, suppress(redis.RedisError):
            client.eval("while true do end", 0)

    def _is_busy(self) -> bool:
        try:
            self.admin.ping()
        except redis.ResponseError:
            return True
        return False


class MasterDown(State):
    """A replica that answers nothing without its primary, which is away."""

    reply = BY_PREFIX["MASTERDOWN"]
    at_start = BY_PREFIX["READONLY"]  # to a write
    options = ("--replica-serve-stale-data", "no")

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("REPLICAOF", "127.0.0.1", free_port())

    def end(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("REPLICAOF", "NO", "ONE")


class _Clustered(State):
    """The address leads to a node of a cluster for a while."""

    others = (BY_PREFIX["MOVED"],)  # CROSSSLOT, to a script

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.switch = Switch(self.server.port)
        self.nodes = [self._node(folder, number) for number in range(2)]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.switch.port}/0"

    def begin(self, pids: Sequence[int]) -> None:
        self.switch.point(self.nodes[0].port)

    def end(self, pids: Sequence[int]) -> None:
        self.switch.point(self.server.port)

    def close(self) -> None:
        self.switch.close()
        for node in self.nodes:
            node.kill()
        super().close()

    def _node(self, folder: Path, number: int) -> RedisServer:
        own = folder / f"node-{number}"
        own.mkdir()
        return RedisServer(own, "--cluster-enabled", "yes", "--cluster-port", str(free_port())).start()


class ClusterDown(_Clustered):
    """A cluster that serves no slots."""

    reply = BY_PREFIX["CLUSTERDOWN"]


class Moved(_Clustered):
    """A cluster in which the other node has all slots."""

    reply = BY_PREFIX["MOVED"]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with redis.Redis(port=self.nodes[0].port) as here, redis.Redis(port=self.nodes[1].port) as there:
            there.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            bus = self.nodes[1].options[-1]
            here.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[1].port, bus)
            wait_until(lambda: _replies_moved(here), 30, "the node to know the other's slots")


def _replies_moved(node: redis.Redis) -> bool:
    try:
        node.execute_command("GET", "any")
    except redis.ResponseError as failed:
        return type(failed).__name__ == "MovedError"
    return False


class NoAuth(State):
    """A password was set, and the address has none."""

    reply = BY_PREFIX["NOAUTH"]

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.config_set("requirepass", ANOTHER)
        self.cut()

    def end(self, pids: Sequence[int]) -> None:
        self.admin.config_set("requirepass", "")


class WrongPassword(State):
    """The password was changed, and the address has the old one."""

    reply = BY_PREFIX["WRONGPASS"]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.admin.config_set("requirepass", PASSWORD)

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.server.port}/0"

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.config_set("requirepass", ANOTHER)
        self.cut()

    def end(self, pids: Sequence[int]) -> None:
        self.admin.config_set("requirepass", PASSWORD)


class NoPermission(State):
    """The rights of the user were taken away."""

    reply = BY_PREFIX["NOPERM"]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.admin.acl_setuser("threelane", enabled=True, passwords=[f"+{PASSWORD}"], categories=["+@all"], keys=["*"])
        self.admin.execute_command("ACL", "SETUSER", "threelane", "&*")

    @property
    def url(self) -> str:
        return f"redis://threelane:{PASSWORD}@127.0.0.1:{self.server.port}/0"

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("ACL", "SETUSER", "threelane", "-@write", "-@scripting")

    def end(self, pids: Sequence[int]) -> None:
        self.admin.execute_command("ACL", "SETUSER", "threelane", "+@all")


class NoConnections(State):
    """All its connections are taken."""

    reply = BY_PREFIX["max number of clients reached"]

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.config_set("maxclients", 1)
        self.admin.client_kill_filter(skipme=True)

    def end(self, pids: Sequence[int]) -> None:
        self.admin.config_set("maxclients", 10_000)


class Full(State):
    """It is above its memory ceiling."""

    reply = BY_PREFIX["OOM"]

    def begin(self, pids: Sequence[int]) -> None:
        self.admin.config_set("maxmemory", 1)

    def end(self, pids: Sequence[int]) -> None:
        self.admin.config_set("maxmemory", 0)


class NoFiles(State):
    """Threelane's own process may open no more files, and has lost its connections."""

    reply = BY_PREFIX["EMFILE"]

    def begin(self, pids: Sequence[int]) -> None:
        for pid in pids:
            _limit(pid, 3)
        self.cut()

    def end(self, pids: Sequence[int]) -> None:
        for pid in pids:
            _limit(pid, 1024)


def _limit(pid: int, files: int) -> None:
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, most))


STATES: tuple[type[State], ...] = (
    ReadOnly,
    Unblocked,
    NoDisk,
    NoReplicas,
    Loading,
    Busy,
    MasterDown,
    ClusterDown,
    Moved,
    NoAuth,
    WrongPassword,
    NoPermission,
    NoConnections,
    Full,
    NoFiles,
)
"""One for each row of the table."""
