"""Protocol: the connections of the callback endpoint; each reports what it waits for."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from aiohttp import web

from threelane.interfaces.callbacks.body import READ_OCTETS
from threelane.runtime.connections import Connection, Phase


class CallbackProtocol(web.RequestHandler):
    """Serves one connection and reports what it waits for."""

    def __init__(self, server: web.Server, connection: Connection, **more: Any) -> None:
        """Serve this connection."""
        super().__init__(server, read_bufsize=READ_OCTETS, **more)
        self.connection = connection
        self._is_writing = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve it."""
        super().connection_made(transport)
        self.connection.transport = self.transport
        if hasattr(transport, "max_size"):
            transport.max_size = READ_OCTETS

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self.connection.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle data."""
        super().data_received(data)
        self._report(self._phase())

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response and wait for the next request."""
        sent = await super().finish_response(request, resp, start_time)
        if not self._messages:
            self._report(Phase.IDLE)
        return sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to a request that is not HTTP, without its first line, whose path has the secret."""
        return super().handle_error(request, status, exc, message if message is None else HTTPStatus(status).phrase)

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._is_writing = False
        self._report(Phase.READER)

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        self._is_writing = True
        self._report(self._phase())

    def _phase(self) -> Phase:
        if self._current_request is not None:
            return Phase.BUSY if self._current_request.content.is_eof() else Phase.BODY
        if self._messages:
            return Phase.BUSY if self._messages[0][1].is_eof() else Phase.BODY
        return Phase.HEAD

    def _report(self, phase: Phase) -> None:
        self.connection.waits(phase if self._is_writing else Phase.READER)
