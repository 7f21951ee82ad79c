"""The listening socket, which can be closed for a while: connections are refused, as by a server that is down."""

import asyncio
import contextlib
from typing import Final

from aiohttp import web

_BACKLOG: Final = 1024
_AGAIN_SECONDS: Final = 0.02


class Listener:
    """The address of one sandbox, and whether it listens there."""

    __slots__ = ("_address", "_reopening", "_runner", "_site")

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self._address = (host, port)
        self._site: web.TCPSite | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Starts to listen, and returns the port."""
        host, port = self._address
        site = web.TCPSite(self._runner, host, port, backlog=_BACKLOG)
        await site.start()
        self._site = site
        self._address = (host, port or self._runner.addresses[0][1])
        return self._address[1]

    async def refuse(self, seconds: float, keep: asyncio.BaseTransport | None) -> None:
        """Refuses new connections for a while, and closes the open ones but the one to keep."""
        if self._reopening:
            self._reopening.cancel()
        if self._site:
            await self._site.stop()
            self._site = None
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None and connection.transport is not keep:
                connection.transport.abort()
        self._reopening = asyncio.create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while self._site is None:
            with contextlib.suppress(OSError):  # another process may hold the port for a moment
                await self.start()
                return
            await asyncio.sleep(_AGAIN_SECONDS)
