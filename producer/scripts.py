"""Scripts: the Lua files beside their callers, made ready for Redis."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from producer import keys
from producer.states import MAY_FOLLOW

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
        rest = (len(keys.SHELVES) + len(shelved), *keys.SHELVES, *shelved, *arguments)
        try:
            return client.evalsha(self._sha, *rest)
        except NoScriptError:
            return client.eval(self.source, *rest)

    async def run(self, client: redis.asyncio.Redis, shelved: list[str], arguments: list[Any]) -> Any:
        """Run it on an asyncio client."""
        rest = (len(keys.SHELVES) + len(shelved), *keys.SHELVES, *shelved, *arguments)
        try:
            return await client.evalsha(self._sha, *rest)
        except NoScriptError:
            return await client.eval(self.source, *rest)


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
