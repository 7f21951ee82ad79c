"""Write check: whether Redis accepts writes, and what the connection's greeting reports about the server."""

from __future__ import annotations

from typing import Any, NamedTuple

import redis

from threelane.store.bounded import limit
from threelane.store.scripts import script

KEEP_MS = 60_000  # the script deletes the key; this is for a server that stops in between


@script(__file__, bytes)
def _write_check(*, token: str, keep_ms: int) -> None:
    """Write, read and delete a key; returns what was read."""


class Greeting(NamedTuple):
    """The server's reply to HELLO, which needs no right: its version, role and mode."""

    version: str
    role: str  # master or replica
    mode: str  # standalone, sentinel or cluster


def check_write(client: redis.Redis) -> None:
    """Return if Redis accepts writes; raises RedisError with the reason if not."""
    _write_check(client, token="written", keep_ms=KEEP_MS)


def greet(client: redis.Redis) -> Greeting:
    """Return what the server reports of itself; raises RedisError."""
    with limit(client):
        found: Any = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    if not isinstance(found, dict):  # in the older protocol, names and values alternate
        found = dict(zip(found[::2], found[1::2], strict=False))
    texts = {_text(name): _text(value) for name, value in found.items()}
    return Greeting(texts.get("version", ""), texts.get("role", ""), texts.get("mode", ""))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
