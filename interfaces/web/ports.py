"""Ports: the console and the docs on a port of their own, with nothing else there but the probes."""

from __future__ import annotations

from threelane.interfaces.api.guard import App, Receive, Scope, Send

PEOPLE = ("/console", "/docs", "/openapi.json")
"""What people open in a browser."""
PROBES = "/health"
ELSEWHERE = "/not-on-this-port"  # a path that the application does not have


class Ports:
    """An application whose pages for people are served on one local port only, and whose API on the others.

    The port is that of the socket that accepted the connection, which no header can change.
    """

    def __init__(self, app: App, console_port: int) -> None:
        """Serve the pages of an application on a port."""
        self._app = app
        self._port = console_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the application answers 404 if its path is served on another port."""
        if scope["type"] == "http" and not self._is_here(scope):
            scope = {**scope, "path": ELSEWHERE, "raw_path": ELSEWHERE.encode()}
        await self._app(scope, receive, send)

    def _is_here(self, scope: Scope) -> bool:
        path, (_, port) = scope["path"], scope["server"]
        on_console_port = port == self._port
        return _is_below(path, PROBES) or _is_below(path, *PEOPLE) == on_console_port


def _is_below(path: str, *roots: str) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)
