"""Requests: when each request to an API came and ended, what it sent and what it looked up."""

from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from threelane.sandbox.faults import Target

_KEPT: Final = 100_000
_SEND: Final = "sendmsg"
_CURRENT: Final[ContextVar["LoggedRequest"]] = ContextVar("current_request")


@dataclass(slots=True)
class LoggedRequest:
    """One request; `ended_at` is None while it is under way, `http` 0 when a fault replaced the response."""

    at: float
    ended_at: float | None = None
    api: str = ""
    commands: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()  # the client ids of its sends
    looked_up: list[str] = field(default_factory=list)  # the gateway ids and client ids of its look-ups
    http: int = 0

    def as_json(self) -> dict[str, object]:
        """Returns the request as the control API shows it."""
        return {
            "at": self.at,
            "ended_at": self.ended_at,
            "api": self.api,
            "commands": self.commands,
            "sent": self.sent,
            "looked_up": self.looked_up,
            "http": self.http or None,
        }


class RequestLog:
    """The latest 100,000 requests to the APIs, in the order they came."""

    __slots__ = ("_clock", "_kept")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: deque[LoggedRequest] = deque(maxlen=_KEPT)

    def clear(self) -> None:
        """Removes every request; those under way are not entered again."""
        self._kept.clear()

    def describe(self, api: str, targets: Sequence[Target]) -> None:
        """Enters the current request, now that its commands are known."""
        request = _CURRENT.get(None)
        if request is None or request.api:
            return
        request.api = api
        request.commands = tuple(dict.fromkeys(target.command for target in targets))
        request.sent = tuple(target.client_id for target in targets if target.command == _SEND)
        self._kept.append(request)

    def looked_up(self, id: str) -> None:
        """Adds a look-up to the current request."""
        if request := _CURRENT.get(None):
            request.looked_up.append(id)

    def select(self, command: str | None = None, since: float = 0.0) -> list[LoggedRequest]:
        """Returns the requests with a command, or all, that came at or after a moment."""
        return [
            request
            for request in self._kept
            if request.at >= since and (command is None or command in request.commands)
        ]

    @property
    def middleware(self) -> Middleware:
        """Returns the middleware that notes when each request came and ended."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            noted = LoggedRequest(self._clock())
            _CURRENT.set(noted)
            try:
                response = await handler(request)
                noted.http = response.status if isinstance(response, web.Response) else 0
                return response
            finally:
                noted.ended_at = self._clock()

        return note
