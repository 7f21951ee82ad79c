"""The HTTP API: form parameters in, lines of text out, every response an HTTP 200."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from threelane.sandbox import central_order, credentials, form
from threelane.sandbox.account import money
from threelane.sandbox.apis import FORM_TYPE, ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.faults import FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.transport import HttpResponse, carry

Parameters = dict[str, str]
_MOST_RECIPIENTS: Final = 300


class HttpApi:
    """The commands, each from parameters to the text of a response."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds the routes of every command, for GET and POST, with and without `.php`."""
        commands: dict[str, Callable[[Parameters], str]] = {
            "/http/ping": self._ping,
            "/http/querymsg": self._querymsg,
            "/http/getmsgcharge": self._getmsgcharge,
            "/http/delmsg": self._delmsg,
            "/http/getbalance": self._getbalance,
            "/http/token_pay": self._token_pay,
            "/utils/routeCoverage": self._route_coverage,
            "/utils/routecoverage": self._route_coverage,
        }
        for path, command in commands.items():
            name = path.rpartition("/")[2].lower()
            self._route(app, path, self._endpoint(name, self._authenticated(command)))
        self._route(app, "/http/auth", self._endpoint("auth", self._auth))
        self._route(app, "/http/sendmsg", self._sendmsg)

    @staticmethod
    def _route(app: web.Application, path: str, handler: Callable[[web.Request], object]) -> None:
        for spelling in (path, f"{path}.php"):
            app.router.add_get(spelling, handler)  # type: ignore[arg-type]
            app.router.add_post(spelling, handler)  # type: ignore[arg-type]

    # --- from a request to a command

    def _endpoint(self, name: str, command: Callable[[Parameters], str]) -> Callable[[web.Request], object]:
        """Returns the request handler of a command that is not a send."""

        async def handle(request: web.Request) -> web.StreamResponse:
            parameters = await _parameters(request)
            script = self._gateway.script(ApiName.HTTP, (Target(name),))

            def respond() -> HttpResponse:
                if isinstance(parameters, GatewayRefusal):
                    return _response(_error(parameters))
                if whole := self._gateway.whole(script):
                    return _response(_error(whole))
                return _response(command(parameters))

            return await carry(self._gateway, request, respond, script.wire)

        return handle

    def _authenticated(self, command: Callable[[Parameters], str]) -> Callable[[Parameters], str]:
        def checked(parameters: Parameters) -> str:
            refused = credentials.refuses(self._gateway, parameters)
            return _error(refused) if refused else command(parameters)

        return checked

    # --- sendmsg

    async def _sendmsg(self, request: web.Request) -> web.StreamResponse:
        read, gateway = await _parameters(request), self._gateway
        parameters, unreadable = ({}, read) if isinstance(read, GatewayRefusal) else (read, None)
        targets = _targets(parameters)
        script = gateway.script(ApiName.HTTP, targets)
        gateway.lost(ApiName.HTTP, targets, script)

        def respond() -> HttpResponse:
            refused = unreadable or gateway.whole(script) or credentials.refuses(gateway, parameters)
            return self._send(parameters, targets, script, refused)

        return await carry(gateway, request, respond, script.wire)

    def _send(
        self, parameters: Parameters, targets: list[Target], script: FaultScript, refused: GatewayRefusal | None
    ) -> HttpResponse:
        """Sends one text to each recipient; a refusal of the whole request is one line for all of them."""
        gateway = self._gateway
        if refused is None and not (parameters.get("to") and len(targets) <= _MOST_RECIPIENTS):
            refused = refusal("101")
        order = refused or central_order.read(ApiName.HTTP, parameters, gateway.settings, gateway.clock())
        if isinstance(order, GatewayRefusal):
            gateway.refused(ApiName.HTTP, targets, order, script)
            return _response(_error(order))
        results = [gateway.take(order, target.to, script, index) for index, target in enumerate(targets)]
        lines = [_error(result) if isinstance(result, GatewayRefusal) else f"ID: {result.id}" for result in results]
        if len(lines) == 1:
            return _response(lines[0])
        return _response("\n".join(f"{line} To: {target.to}" for line, target in zip(lines, targets, strict=True)))

    # --- the other commands

    def _auth(self, parameters: Parameters) -> str:
        opened = credentials.open_session(self._gateway, parameters)
        return _error(opened) if isinstance(opened, GatewayRefusal) else f"OK: {opened}"

    def _ping(self, _parameters: Parameters) -> str:
        return "OK: "

    def _querymsg(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        return _error(found) if isinstance(found, GatewayRefusal) else self._status(found)

    def _getmsgcharge(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        if isinstance(found, GatewayRefusal):
            return _error(found)
        return f"apiMsgId: {found.id} charge: {found.charge:f} status: {self._gateway.visible_status(found)}"

    def _delmsg(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        if isinstance(found, GatewayRefusal):
            return _error(found)
        self._gateway.cancel(found)
        return self._status(found)

    def _getbalance(self, _parameters: Parameters) -> str:
        return f"Credit: {money(self._gateway.account.balance)}"

    def _token_pay(self, parameters: Parameters) -> str:
        if not parameters.get("token"):
            return _error(refusal("101"))
        refused = self._gateway.account.redeem(parameters["token"])
        return _error(refused) if refused else "OK: 605"

    def _route_coverage(self, parameters: Parameters) -> str:
        price = self._gateway.route(parameters.get("msisdn", ""))
        if isinstance(price, GatewayRefusal):
            return _error(price)
        return f"OK: This prefix is currently supported. Charge: {price:f}"

    def _found(self, parameters: Parameters) -> LedgerMessage | GatewayRefusal:
        return self._gateway.find(parameters.get("apimsgid", ""), parameters.get("climsgid", ""))

    def _status(self, message: LedgerMessage) -> str:
        return f"ID: {message.id} Status: {self._gateway.visible_status(message)}"


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


def _targets(parameters: Parameters) -> list[Target]:
    client_id = parameters.get("climsgid", "")
    return [Target("sendmsg", to, client_id) for to in parameters.get("to", "").split(",")]


def _error(why: GatewayRefusal) -> str:
    return f"ERR: {why.code}, {why.text}"


def _response(text: str) -> HttpResponse:
    return HttpResponse(text.encode("latin-1", "replace"))
