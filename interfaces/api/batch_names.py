"""Batch names: the name of a batch in a path, of any script and with any characters, slashes included.

Below /v1/batches/ routes match the path as it was sent, so that a name with an encoded slash is one segment.  A name
whose slashes a proxy decoded is found, too, unless its end is the name of an operation, such as ``x/report``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator
from starlette.convertors import Convertor, register_url_convertor

from threelane.contract.fields import BATCH_NAME, known_batch_name

BATCHES = "/v1/batches/"
_SENT = BATCHES.encode()
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class EncodedNames:
    """Leaves the names of batches in paths encoded; ``BatchName`` decodes them."""

    def __init__(self, app: App) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and BATCHES in scope["path"]:
            # not a copy: the guard and the server read what the request notes in its scope, such as its memory
            scope["path"] = encoded(scope["path"], scope.get("raw_path"))
        await self._app(scope, receive, send)


def encoded(path: str, sent: bytes | None) -> str:
    """Return a path whose part after /v1/batches/ is as it was sent, or encoded again if that is unknown."""
    prefix, _, rest = path.partition(BATCHES)
    found, _, raw = (sent or b"").partition(_SENT)
    if not raw or not raw.isascii() or len(found) < len(prefix.encode()):
        return prefix + BATCHES + quote(rest)
    return prefix + BATCHES + raw.decode("ascii")


class _NameConvertor(Convertor[str]):
    """Matches an encoded name, with slashes that a proxy decoded."""

    regex = ".+"

    def convert(self, value: str) -> str:
        """Return the name, encoded."""
        return value

    def to_string(self, value: str) -> str:
        """Return the name, encoded."""
        return quote(value, safe="")


class _DigestConvertor(_NameConvertor):
    """Matches the digest of a batch, as in the addresses of the console."""

    regex = "[0-9a-f]{40}"


register_url_convertor("batch", _NameConvertor())
register_url_convertor("digest", _DigestConvertor())


def _decoded(raw: str) -> str:
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8; encode the name as UTF-8, then as in a URL") from None


BatchName = Annotated[
    str,
    Path(pattern=f"^{BATCH_NAME}$", description="the name of the batch, URL-encoded", examples=["newsletter-7"]),
    BeforeValidator(_decoded),
    AfterValidator(known_batch_name),
]
