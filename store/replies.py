"""Replies: the error replies of Redis that are no bugs of a program, and what each means for a process."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from threelane.contract.refusal import Owner


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """A row of the table: a reply that refuses a command, which therefore certainly did not run."""

    prefix: str
    """The first word of the reply, or its text if it has no such word; EMFILE is this process's own error."""
    meaning: str
    remedy: str
    retry_seconds: int
    """How long a caller waits before it retries: ``Unavailable.retry_after`` and ``Retry-After``."""
    owner: Owner = Owner.OPERATOR
    waits: bool = True
    """Whether a starting worker waits until it is over; if not, the configuration is wrong, and it exits with 2."""
    stops_workers: bool = True
    """Whether a running worker claims nothing meanwhile."""
    is_partial: bool = False
    """Whether Redis may refuse some commands and accept others: then one accepted command proves little."""

    @property
    def sentence(self) -> str:
        """The cause, the fix and the reply, for callers, operators and logs."""
        return f"{self.meaning}: {self.remedy} ({self.prefix})"


_CLIENTS = "max number of clients reached"
# fmt: off
TABLE = (
    ErrorReply("READONLY", "this Redis is a replica and accepts no writes",
               "a failover ends by itself; otherwise set THREELANE_REDIS_URL to the primary", 2),
    ErrorReply("UNBLOCKED", "this Redis became a replica while a worker waited for a nudge",
               "a failover ends by itself; otherwise set THREELANE_REDIS_URL to the primary", 2),
    ErrorReply("MISCONF", "Redis cannot write its data to disk and accepts no writes",
               "free disk space, or make its folder writable", 10),
    ErrorReply("NOREPLICAS", "Redis has fewer replicas than min-replicas-to-write and accepts no writes",
               "start the replicas, or lower that setting", 5),
    ErrorReply("LOADING", "Redis loads its data after a start", "wait until it has loaded them", 2),
    ErrorReply("BUSY", "a script of another program blocks Redis", "SCRIPT KILL; if it wrote, SHUTDOWN NOSAVE", 5),
    ErrorReply("MASTERDOWN", "this Redis is a replica that has lost its primary",
               "start the primary, or set THREELANE_REDIS_URL to it", 5),
    ErrorReply("CLUSTERDOWN", "Redis runs as a cluster, which is down", "use a Redis with cluster-enabled no", 10),
    ErrorReply("MOVED", "Redis runs as a cluster, and another node has this key",
               "use a Redis with cluster-enabled no", 10, is_partial=True),
    ErrorReply("NOAUTH", "Redis requires a password, and THREELANE_REDIS_URL has none", "add the user or password", 10,
               waits=False),
    ErrorReply("WRONGPASS", "Redis refuses the user or password in THREELANE_REDIS_URL", "correct them", 10,
               waits=False),
    ErrorReply("NOPERM", "Redis denied permission", "compare the ACL of the user with deploy/redis-users.acl", 10,
               waits=False, is_partial=True),
    ErrorReply(_CLIENTS, "Redis has no connection left",
               "raise its maxclients, or run fewer processes", 5, is_partial=True),
    ErrorReply("OOM", "Redis is at its memory ceiling",
               "no messages are accepted until workers have drained the queue", 5, stops_workers=False),
    ErrorReply("EMFILE", "this process has too many open files",
               "raise its limit of open files (LimitNOFILE, ulimit -n)", 5,
               waits=False, is_partial=True),
)
# fmt: on
"""The table of replies."""

BY_PREFIX = {row.prefix: row for row in TABLE}
_PARTS = re.compile(r"^Command # \d+ .*? of pipeline caused error: |^.*discarded because of: ", re.DOTALL)
_QUOTED = re.compile(r"^\((['\"])(.*)\1,\)$", re.DOTALL)  # as an asynchronous pipeline of redis-py 8 shows a reply
_NO_FILES = re.compile(rf"Error ({errno.EMFILE}|{errno.ENFILE}) connecting to ")
_NO_LOGIN = ("Authentication required", "HELLO")
_CLASSES = {  # of redis-py, which cuts off the first word
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "MovedError": "MOVED",
    "AskError": "MOVED",
    "TryAgainError": "MOVED",
    "ClusterCrossSlotError": "MOVED",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
}


def reply_of(failed: BaseException | None) -> ErrorReply | None:
    """Return the row for an exception of redis-py or of the operating system; None for every other failure."""
    if isinstance(failed, RedisError):
        return BY_PREFIX.get(_prefix(failed))
    if isinstance(failed, OSError) and failed.errno in (errno.EMFILE, errno.ENFILE):
        return BY_PREFIX["EMFILE"]
    return None


def did_not_run(failed: RedisError) -> bool:
    """Return whether a command certainly did not run: Redis refused it, or there was no connection."""
    return bool(reply_of(failed)) or (isinstance(failed, RedisConnectionError) and "connecting to" in str(failed))


def text_of(failed: BaseException) -> str:
    """Return the text of Redis without the command that redis-py adds, whose arguments may be numbers and texts."""
    return _QUOTED.sub(r"\2", _PARTS.sub("", str(failed)))


def _prefix(failed: RedisError) -> str:
    text = text_of(failed)
    if isinstance(failed, AuthenticationError):
        needs = getattr(failed, "status_code", None) == "NOAUTH" or text.startswith(_NO_LOGIN)
        return "NOAUTH" if needs else "WRONGPASS"
    if _CLIENTS in text:
        return _CLIENTS
    if _NO_FILES.search(text):
        return "EMFILE"
    return _CLASSES.get(type(failed).__name__) or text.partition(" ")[0]
