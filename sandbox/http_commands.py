"""The commands of the HTTP API as web handlers: form parameters in, lines of text out, every response an HTTP 200."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from aiohttp import web

from threelane.sandbox import central_order, credentials, form
from threelane.sandbox.apis import FORM_TYPE, ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.faults import FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.transport import HttpResponse, carry

Parameters = dict[str, str]
Command = Callable[[Parameters], str]
MOST_RECIPIENTS: Final = 300


class HttpSend(NamedTuple):
    """A send: its recipients, and the parameters of its messages or why there are none."""

    targets: Sequence[Target]
    parameters: Parameters | GatewayRefusal
    names_recipients: bool  # in each line of the response


class HttpCommands:
    """Turns commands into the web handlers of one gateway."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add(self, app: web.Application, path: str, command: Command, needs_login: bool = True) -> None:
        """Adds the routes of a command that is not a send."""
        name = path.rpartition("/")[2].lower()
        self._route(app, path, self._endpoint(name, self._authenticated(command) if needs_login else command))

    def add_send(self, app: web.Application, path: str, read: Callable[[Parameters], HttpSend]) -> None:
        """Adds the routes of a send; `read` finds its recipients before the login is checked."""
        self._route(app, path, self._sender(read))

    @staticmethod
    def _route(app: web.Application, path: str, handler: Callable[[web.Request], object]) -> None:
        """Adds a path for GET and POST, with and without `.php`."""
        for spelling in (path, f"{path}.php"):
            app.router.add_get(spelling, handler)  # type: ignore[arg-type]
            app.router.add_post(spelling, handler)  # type: ignore[arg-type]

    def _endpoint(self, name: str, command: Command) -> Callable[[web.Request], object]:
        """Returns the request handler of a command that is not a send."""

        async def handle(request: web.Request) -> web.StreamResponse:
            parameters = await _parameters(request)
            script = self._gateway.script(ApiName.HTTP, (Target(name),))

            def respond() -> HttpResponse:
                if isinstance(parameters, GatewayRefusal):
                    return _response(error(parameters))
                if whole := self._gateway.whole(script):
                    return _response(error(whole))
                return _response(command(parameters))

            return await carry(self._gateway, request, respond, script.wire)

        return handle

    def _authenticated(self, command: Command) -> Command:
        def checked(parameters: Parameters) -> str:
            refused = credentials.refuses(self._gateway, parameters)
            return error(refused) if refused else command(parameters)

        return checked

    def _sender(self, read: Callable[[Parameters], HttpSend]) -> Callable[[web.Request], object]:
        """Returns the request handler of a send."""

        async def handle(request: web.Request) -> web.StreamResponse:
            found, gateway = await _parameters(request), self._gateway
            parameters, unreadable = ({}, found) if isinstance(found, GatewayRefusal) else (found, None)
            send = read(parameters)
            script = gateway.script(ApiName.HTTP, send.targets)
            gateway.lost(ApiName.HTTP, send.targets, script)

            def respond() -> HttpResponse:
                refused = unreadable or gateway.whole(script) or credentials.refuses(gateway, parameters)
                return self._send(send, script, refused)

            return await carry(gateway, request, respond, script.wire)

        return handle

    def _send(self, send: HttpSend, script: FaultScript, refused: GatewayRefusal | None) -> HttpResponse:
        """Sends one text to each recipient; a refusal of the whole request is one line for all of them."""
        gateway, targets = self._gateway, send.targets
        parameters = refused or send.parameters
        if not isinstance(parameters, GatewayRefusal):
            is_possible = targets[0].to and len(targets) <= MOST_RECIPIENTS
            parameters = parameters if is_possible else refusal("101")
        if not isinstance(parameters, GatewayRefusal):
            order = central_order.read(ApiName.HTTP, parameters, gateway.settings, gateway.clock())
        else:
            order = parameters
        if isinstance(order, GatewayRefusal):
            gateway.refused(ApiName.HTTP, targets, order, script)
            return _response(error(order))
        results = [gateway.take(order, target.to, script, index) for index, target in enumerate(targets)]
        lines = [error(result) if isinstance(result, GatewayRefusal) else f"ID: {result.id}" for result in results]
        if not send.names_recipients:
            return _response(lines[0])
        return _response("\n".join(f"{line} To: {target.to}" for line, target in zip(lines, targets, strict=True)))


def targets(to: str, client_id: str) -> list[Target]:
    """Returns a target for each recipient of a comma-separated list."""
    return [Target("sendmsg", number, client_id) for number in to.split(",")]


def error(why: GatewayRefusal) -> str:
    """Returns the line of a refusal."""
    return f"ERR: {why.code}, {why.text}"


async def _parameters(request: web.Request) -> Parameters | GatewayRefusal:
    """Returns the parameters of the query and the form; a body without the form's content type refuses them all."""
    octets = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
    if request.method == "POST":
        if request.content_type != FORM_TYPE:
            return refusal("001")
        body = await request.read()
        octets = octets + b"&" + body if octets else body
    parameters = form.parse(octets)
    return refusal("101") if parameters is None else parameters


def _response(text: str) -> HttpResponse:
    return HttpResponse(text.encode("latin-1", "replace"))
