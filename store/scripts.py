"""Scripts: typed calls of the Lua files beside their callers.

A script is declared by a function without a body: its parameters, all given by name, are what the script is called
with, and mypy holds every caller to them.  Those of a type of keys.py are keys, the others arguments, which go to
Redis as one msgpack.  Keys that no caller has to name, such as ``tl:holds``, are found in the source: lua.py.

``ScriptError``: the script itself failed, which is a fault of ours.  What a server at its memory ceiling, a replica or
an ACL refuses stays a RedisError.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from copy import copy
from enum import Enum
from hashlib import sha1
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import msgspec
import redis
import redis.asyncio
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from threelane.runtime import logs
from threelane.store import budgets, keys, lua
from threelane.store.connect import PAUSE_SECONDS, take_connection
from threelane.store.keys import HERE, Space
from threelane.store.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")

_ALLOW_OOM = "#!lua flags=allow-oom\n"
_REFUSE_OOM = "#!lua\n"
_encode = msgspec.msgpack.Encoder().encode
_LINE = re.compile(r"user_script:(\d+)")
_OF_THE_SERVER = re.compile(r"(?!WRONGTYPE)[A-Z]{3,} ")  # MISCONF, CLUSTERDOWN and what else the server may be
_OF_THE_ACL = ("ACL failure in script", "The user executing the script can't")


class ScriptError(RuntimeError):
    """A script failed by a fault of ours: it says in which file and line, and nothing of the data."""

    def __init__(self, script: str, where: str) -> None:
        """Name the script and the place in its source."""
        super().__init__(script, where)
        self.script = script
        self.where = where

    def __str__(self) -> str:
        """Return one line for people."""
        return f"the script {self.script} failed at {self.where}"


on_fault: list[Callable[[ScriptError], None]] = []
"""Called with each ScriptError before it is raised: workers count an alarm."""


class Script(Generic[P, R]):
    """One Lua file; called with a client, and with its keys and arguments by name."""

    def __init__(
        self,
        file: Path,
        signature: Signature,
        returns: Callable[[Any], R],
        names: Sequence[type[Enum]] = (),
        *,
        intake: bool = False,
    ) -> None:
        """Read it; ``returns`` makes its answer a typed value.

        A script that takes in new work (``intake``) is refused by a Redis at its memory ceiling; one that moves work
        on, or ends it, is let through, so that a full queue can drain.
        """
        self._compiled = lua.compose(file, signature, names, _REFUSE_OOM if intake else _ALLOW_OOM)
        self._signature = signature
        self._returns = returns
        self.file = file.resolve()
        self.name = file.stem
        self.source = self._compiled.text
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self._put_in(HERE)

    def within(self, space: Space) -> Script[P, R]:
        """Return the same script for the keys of another cell or account."""
        other = copy(self)
        other._put_in(space)
        return other

    def _put_in(self, space: Space) -> None:
        self._space = space
        self._fixed = [keys.key(name, of, space) for name, of in self._compiled.fixed]

    def __call__(self, client: redis.Redis, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it; raises ScriptError, or what Redis raises."""
        return self.begin(client, *args, **kwargs).answer()

    def begin(self, client: redis.Redis, *_: P.args, **given: P.kwargs) -> Call[R]:
        """Let Redis begin with it; whoever takes the answer later has done something else meanwhile."""
        rest = self._rest(given)
        return Call(client, ("EVALSHA", self.sha, *rest), ("EVAL", self.source, *rest), self.read)

    async def run(self, client: redis.asyncio.Redis, *_: P.args, **given: P.kwargs) -> R:
        """Run it on an asyncio client."""
        rest = self._rest(given)
        try:
            try:
                reply = await client.evalsha(self.sha, *rest)
            except NoScriptError:
                reply = await client.eval(self.source, *rest)
        except ResponseError as failed:
            raise self._fault(failed) from None
        return self.read(reply)

    def queue(self, pipe: Any, *_: P.args, **given: P.kwargs) -> None:
        """Put it into an asyncio pipeline; ``read`` is for its reply."""
        if all(one.sha != self.sha for one in pipe.scripts):  # redis-py loads these before it runs the pipeline
            pipe.scripts.add(AsyncScript(pipe, self.source))
        pipe.evalsha(self.sha, *self._rest(given))

    def read(self, reply: Any) -> R:
        """Return a reply as a typed value; raises what it is if it is an error."""
        if isinstance(reply, ResponseError):
            raise self._fault(reply) from None
        return self._returns(reply)

    def _rest(self, given: Any) -> list[Any]:
        """Return how many keys there are, the keys and the arguments."""
        signature, named = self._signature, [*self._fixed]
        named += [given[name] for name in signature.keys]
        values = [given[name] for name in signature.arguments]
        if self._compiled.has_periods:
            periods = budgets.periods(given["now"])
            named += [keys.key(keys.Key.SPENT, period, self._space) for period in periods]
            values.append(periods)
        for name in signature.lists:
            named += given[name]
        return [len(named), *named, _encode(values)]

    def _fault(self, failed: ResponseError) -> Exception:
        """Return what an error of Redis means: a fault of ours, or of what runs around the script."""
        text, line = str(failed), _LINE.search(str(failed))
        if any(said in text for said in _OF_THE_ACL):
            return NoPermissionError(text)
        if type(failed) is not ResponseError or line is None or _OF_THE_SERVER.match(text):
            return failed
        fault = ScriptError(self.name, self._compiled.where(int(line[1])))
        logs.event("script_failed", level=40, script=fault.script, line=fault.where)
        for each in on_fault:
            each(fault)
        return fault


def script(
    beside: str, returns: Callable[[Any], R], names: Sequence[type[Enum]] = (), *, intake: bool = False
) -> Callable[[Callable[P, None]], Script[P, R]]:
    """Declare the script of a function's name, in the folder of the module ``beside`` (its __file__).

    ``names`` are enumerations that only this script shares with Python.
    """

    def declare(function: Callable[P, None]) -> Script[P, R]:
        file = Path(beside).with_name(f"{function.__name__.removeprefix('_')}.lua")
        return Script(file, Signature.read(function), returns, names, intake=intake)

    return declare


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One of a list of arguments; a script finds its values by the type's name: ``Settling.token``.

    Texts are no bytes, which a script cannot read.
    """


def number(reply: Any) -> int:
    """Return a reply that is a number."""
    return int(reply)


def texts(reply: Any) -> list[str]:
    """Return a reply that is a list of texts."""
    return [one.decode() for one in reply]


def flags(reply: Any) -> list[bool]:
    """Return a reply that is a list of 1 and 0."""
    return [one == 1 for one in reply]


class Call(Generic[R]):
    """A call of a script that is under way on a connection of its own; ``answer`` has to be called once."""

    def __init__(
        self, client: redis.Redis, command: Sequence[Any], instead: Sequence[Any], read: Callable[[Any], R]
    ) -> None:
        """Send ``command``; ``instead`` is sent when Redis does not know the script.  Does not raise."""
        self._pool: Any = client.connection_pool
        self._command, self._instead, self._read = command, instead, read
        self._connection: Any = None
        self._failed: RedisError | None = None
        self._send()

    def answer(self) -> R:
        """Return what the script answered; like any command it is sent once more when the connection was lost.

        Raises what Redis answered, or the first loss: it may be that the script ran all the same.
        """
        lost: RedisError | None = None
        while True:
            try:
                return self._read(self._receive())
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
        """Return the reply, which may be an error of the script."""
        connection, self._connection = self._connection, None
        try:
            if self._failed:
                raise self._failed
            return connection.read_response()
        except NoScriptError:
            raise
        except ResponseError as failed:
            return failed
        finally:  # one that broke is closed by then
            if connection:
                self._pool.release(connection)
