"""Scripts: the Lua files beside their callers, made ready for Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.store import keys
from threelane.store.connect import PAUSE_SECONDS, take_connection
from threelane.store.states import MAY_FOLLOW

_ALLOW_OOM = "#!lua flags=allow-oom\n"
_REFUSE_OOM = "#!lua\n"


class Script:
    """One Lua file; called with a client, its keys and its arguments.

    A script that takes in new work is refused by a Redis at its memory ceiling; one that moves work on, or ends
    it, is let through, so that a full queue can drain.
    """

    def __init__(self, beside: str, name: str, *, intake: bool = False, suppresses: bool = False) -> None:
        """Read ``name``.lua from the folder of the module ``beside`` (its __file__).

        ``suppresses``: it asks, or writes, the list of suppressed numbers.
        """
        source = Path(beside).with_name(f"{name}.lua").read_text(encoding="utf-8")
        flags = _REFUSE_OOM if intake else _ALLOW_OOM
        self.source = flags + _tables() + _part("move") + (_part("suppressing") if suppresses else "") + source
        self._sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: redis.Redis, shelved: list[str], arguments: list[Any]) -> Any:
        """Run it with the shelves and ``shelved`` as keys."""
        return self.begin(client, shelved, arguments).answer()

    def begin(self, client: redis.Redis, shelved: list[str], arguments: list[Any]) -> Asked:
        """Let Redis begin with it; whoever takes the answer later has done something else meanwhile."""
        rest = (len(keys.SHELVES) + len(shelved), *keys.SHELVES, *shelved, *arguments)
        return Asked(client, ("EVALSHA", self._sha, *rest), ("EVAL", self.source, *rest))

    async def run(self, client: redis.asyncio.Redis, shelved: list[str], arguments: list[Any]) -> Any:
        """Run it on an asyncio client."""
        rest = (len(keys.SHELVES) + len(shelved), *keys.SHELVES, *shelved, *arguments)
        try:
            return await client.evalsha(self._sha, *rest)
        except NoScriptError:
            return await client.eval(self.source, *rest)


class Asked:
    """A call of a script that is under way on a connection of its own; ``answer`` has to be called once."""

    def __init__(self, client: redis.Redis, command: Sequence[Any], instead: Sequence[Any]) -> None:
        """Send ``command``; ``instead`` is sent when Redis does not know the script.  Does not raise."""
        self._pool: Any = client.connection_pool
        self._command, self._instead = command, instead
        self._connection: Any = None
        self._failed: RedisError | None = None
        self._send()

    def answer(self) -> Any:
        """Return what the script answered; like any command it is sent once more when the connection was lost.

        Raises what Redis answered, or the first loss: it may be that the script ran all the same.
        """
        lost: RedisError | None = None
        while True:
            try:
                return self._receive()
            except NoScriptError:
                self._command = self._instead
            except (RedisConnectionError, RedisTimeoutError) as failed:
                if lost:
                    raise lost from None
                lost = failed
                time.sleep(PAUSE_SECONDS)
            self._send()

    def _send(self) -> None:
        self._failed = None
        try:
            self._connection = take_connection(self._pool)
            self._connection.send_command(*self._command)
        except RedisError as failed:
            self._failed = failed

    def _receive(self) -> Any:
        connection, self._connection = self._connection, None
        try:
            if self._failed:
                raise self._failed
            return connection.read_response()
        finally:  # one that broke is closed by then
            if connection:
                self._pool.release(connection)


@cache
def _part(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8")


@cache
def _tables() -> str:
    may = {str(status): {str(to): "true" for to in sorted(following)} for status, following in MAY_FOLLOW.items()}
    shelf = {str(status): str(keys.SHELVES.index(key) + 1) for status, key in keys.SHELF_OF.items()}
    money = {name: f"'{key}'" for name, key in keys.MONEY.items()}
    return f"local MAY = {_lua(may)}\nlocal SHELF = {_lua(shelf)}\nlocal MONEY = {_lua(money)}\n"


def _lua(table: Mapping[str, Any]) -> str:
    entries = (f"{key} = {value if isinstance(value, str) else _lua(value)}" for key, value in table.items())
    return "{" + ", ".join(entries) + "}"
