"""Scripts: typed calls of the Lua files beside their callers.

A function without a body declares a script: its keyword-only parameters are the parameters of the script, and mypy
checks every caller.  Parameters with a type of keys.py are keys, the others arguments, which are sent as one msgpack
value.  Keys that no caller gives, such as ``tl:holds``, are found in the source: lua.py.

A script has the keys of one account, the default one or that of ``within``, and gets its name as ``ARG.account``.

``ScriptError``: the script itself failed, which is an internal error.  Refusals by a server at its memory ceiling, by a
replica or by an ACL remain a RedisError.
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
from threelane.store.bounded import limit
from threelane.store.connect import PAUSE_SECONDS, take_connection
from threelane.store.keys import HERE, Space
from threelane.store.replies import did_not_run
from threelane.store.signature import Signature
from threelane.store.wrong_type import WrongType, find, is_wrong_type

P = ParamSpec("P")
R = TypeVar("R")

_ALLOW_OOM = "#!lua flags=allow-oom\n"
_REFUSE_OOM = "#!lua\n"
_encode = msgspec.msgpack.Encoder().encode
_LINE = re.compile(r"user_script:(\d+)")
_SERVER_ERROR = re.compile(r"(?!WRONGTYPE)[A-Z]{3,} ")  # MISCONF, CLUSTERDOWN and other errors of the server
_ACL_ERRORS = ("ACL failure in script", "The user executing the script can't")


class ScriptError(RuntimeError):
    """A script failed by an internal error; the text has file and line, and no data."""

    def __init__(self, script: str, where: str) -> None:
        """Take the script and the location in its source."""
        super().__init__(script, where)
        self.script = script
        self.where = where

    def __str__(self) -> str:
        """Return one line for people."""
        return f"the script {self.script} failed at {self.where}"


on_fault: list[Callable[[ScriptError], None]] = []
"""Callbacks for each ScriptError before it is raised: workers count an alarm."""

on_damage: list[Callable[[str, str], None]] = []
"""Callbacks for each message that a script set aside: its id, and why its record is unreadable, or ""."""


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
        """Compile the file; ``returns`` converts its reply to a typed value.

        At its memory ceiling Redis refuses a script that adds work (``intake``), and runs the others, so that a full
        queue can drain.
        """
        self._compiled = lua.compose(file, signature, names, _REFUSE_OOM if intake else _ALLOW_OOM)
        self._signature = signature
        self._returns = returns
        self.file = file.resolve()
        self.name = file.stem
        self.source = self._compiled.text
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self._set_space(HERE)
        self._by_space = {HERE: self}

    @property
    def fixed_keys(self) -> tuple[tuple[keys.Key, str], ...]:
        """The keys that no caller gives, each with what follows its name."""
        return self._compiled.fixed

    def within(self, space: Space) -> Script[P, R]:
        """Return this script for the keys of a cell or account; it moves only messages of this account."""
        known = self._by_space.get(space)
        if known is None:
            known = self._by_space[space] = copy(self)
            known._set_space(space)
        return known

    def _set_space(self, space: Space) -> None:
        self._space = space
        self._fixed = [keys.key(name, of, space) for name, of in self._compiled.fixed]

    def __call__(self, client: redis.Redis, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it; raises ScriptError or RedisError."""
        with limit(client):
            return self.begin(client, *args, **kwargs).answer()

    def begin(self, client: redis.Redis, *_: P.args, **given: P.kwargs) -> Call[R]:
        """Send it to Redis; the caller can do other work before it reads the reply."""
        arguments = self._arguments(given)
        return Call(client, ("EVALSHA", self.sha, *arguments), ("EVAL", self.source, *arguments), self.read)

    async def run(self, client: redis.asyncio.Redis, *_: P.args, **given: P.kwargs) -> R:
        """Run it on an asyncio client."""
        arguments = self._arguments(given)
        try:
            try:
                reply = await client.evalsha(self.sha, *arguments)
            except NoScriptError:
                reply = await client.eval(self.source, *arguments)
        except ResponseError as failed:
            raise self._fault(failed) from None
        return self.read(reply)

    def queue(self, pipe: Any, *_: P.args, **given: P.kwargs) -> None:
        """Add it to an asyncio pipeline; pass its reply to ``read``."""
        if all(one.sha != self.sha for one in pipe.scripts):  # redis-py loads these before it runs the pipeline
            pipe.scripts.add(AsyncScript(pipe, self.source))
        pipe.evalsha(self.sha, *self._arguments(given))

    def read(self, reply: Any) -> R:
        """Return a reply as a typed value; raises the error if it is one."""
        if isinstance(reply, ResponseError):
            raise self._fault(reply) from None
        if self._compiled.is_guarded:
            reply, damaged = reply
            for one in damaged:
                self._report_damage(*(value.decode() for value in one))
        return self._returns(reply)

    def _report_damage(self, message_id: str, where: str, why: str) -> None:
        """Report a message whose record the script could not process, and set aside."""
        about = {"problem": why} if why else {"line": where}
        logs.event("damaged_record", level=40, id=message_id, script=self.name, **about)
        for each in on_damage:
            each(message_id, why)

    def _arguments(self, given: Any) -> list[Any]:
        """Return the number of keys, the keys and the encoded arguments."""
        signature, names = self._signature, [*self._fixed]
        names += [given[name] for name in signature.keys]
        values = [given[name] for name in signature.arguments]
        if signature.last:
            values.append(len(given[signature.last]))
        if self._compiled.has_periods:
            periods = budgets.periods(given["now"])
            names += [keys.key(keys.Key.SPENT, period, self._space) for period in periods]
            values.append(periods)
        if self._compiled.has_account:
            values.append(self._space.account)
        for name in signature.lists:
            names += given[name]
        if signature.last:
            names += given[signature.last]
        return [len(names), *names, _encode(values)]

    def _fault(self, failed: ResponseError) -> Exception:
        """Return the exception for an error reply: an internal error of the script, or an error of the server."""
        text, line = str(failed), _LINE.search(str(failed))
        if any(part in text for part in _ACL_ERRORS):
            return NoPermissionError(text)
        if type(failed) is not ResponseError or line is None or _SERVER_ERROR.match(text):
            return failed
        fault = ScriptError(self.name, self._compiled.where(int(line[1])))
        logs.event("script_failed", level=40, script=fault.script, line=fault.where)
        for each in on_fault:
            each(fault)
        return fault


def script(
    beside: str, returns: Callable[[Any], R], names: Sequence[type[Enum]] = (), *, intake: bool = False
) -> Callable[[Callable[P, None]], Script[P, R]]:
    """Declare the script with the function's name, in the folder of the module ``beside`` (its __file__).

    ``names`` are further enumerations that this script shares with Python.
    """

    def declare(function: Callable[P, None]) -> Script[P, R]:
        file = Path(beside).with_name(f"{function.__name__.removeprefix('_')}.lua")
        return Script(file, Signature.read(function), returns, names, intake=intake)

    return declare


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An item of a list argument; a script reads its values by the name of the type: ``Settling.token``.

    Strings are str, since a script cannot read bytes.
    """


def number(reply: Any) -> int:
    """Convert a number."""
    return int(reply)


def texts(reply: Any) -> list[str]:
    """Convert a list of strings."""
    return [one.decode() for one in reply]


def words(reply: Any) -> list[str]:
    """Convert a list of strings and numbers."""
    return [one.decode() if isinstance(one, bytes) else str(one) for one in reply]


def flags(reply: Any) -> list[bool]:
    """Convert a list of 1 and 0."""
    return [one == 1 for one in reply]


class Call(Generic[R]):
    """A call of a script in progress on its own connection; call ``answer`` once."""

    def __init__(
        self, client: redis.Redis, command: Sequence[Any], fallback: Sequence[Any], read: Callable[[Any], R]
    ) -> None:
        """Send ``command``; ``fallback`` is sent if Redis does not know the script.  Does not raise."""
        self._client = client
        self._pool: Any = client.connection_pool
        self._command, self._fallback, self._read = command, fallback, read
        self._connection: Any = None
        self._failed: RedisError | None = None
        with limit(client):
            self._send()

    def answer(self) -> R:
        """Return the reply of the script; a lost connection is retried once, as for any command, and no time-out.

        Raises the error of Redis.  If the first time is lost and the second fails, the script may have run: raises the
        error of the first, even if Redis refused the second.
        """
        with limit(self._client):
            return self._answer()

    def _answer(self) -> R:
        first: RedisError | None = None
        while True:
            try:
                reply = self._receive()
            except NoScriptError:
                self._command = self._fallback
            except (RedisConnectionError, RedisTimeoutError) as failed:
                if first or isinstance(failed, RedisTimeoutError):
                    raise (failed if first is None or did_not_run(first) else first) from None
                first = failed
                time.sleep(PAUSE_SECONDS)
            else:
                if first and isinstance(reply, RedisError) and not did_not_run(first):
                    raise first from reply
                if is_wrong_type(reply) and (names := find(self._client)):  # not that of a record or another key
                    raise WrongType(*names)
                return self._read(reply)
            self._send()

    def _send(self) -> None:
        self._failed = None
        try:
            self._connection = take_connection(self._pool)
            self._connection.send_command(*self._command)
        except RedisError as failed:
            self._failed = failed

    def _receive(self) -> Any:
        """Return the reply, which may be an error reply."""
        connection, self._connection = self._connection, None
        try:
            if self._failed:
                raise self._failed
            return connection.read_response()
        except NoScriptError:
            raise
        except ResponseError as failed:
            return failed
        finally:  # a broken one is closed by now
            if connection:
                self._pool.release(connection)
