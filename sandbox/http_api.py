"""The HTTP API: form parameters in, lines of text out, every answer an HTTP 200."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from aiohttp import web

from sandbox import form, http_order
from sandbox.account import money
from sandbox.codes import Refusal, refusal
from sandbox.faults import NOT_TAKEN, Script
from sandbox.gateway import Gateway
from sandbox.ledger import Message
from sandbox.transport import Answer, carry

Parameters = dict[str, str]
_MOST_RECIPIENTS: Final = 300


class HttpApi:
    """The commands, each from parameters to the text of an answer."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds every command's addresses, by GET and POST, with and without `.php`."""
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
            self._route(app, path, self._door(name, self._authenticated(command)))
        self._route(app, "/http/auth", self._door("auth", self._auth))
        self._route(app, "/http/sendmsg", self._sendmsg)

    @staticmethod
    def _route(app: web.Application, path: str, handler: Callable[[web.Request], object]) -> None:
        for spelling in (path, f"{path}.php"):
            app.router.add_get(spelling, handler)  # type: ignore[arg-type]
            app.router.add_post(spelling, handler)  # type: ignore[arg-type]

    # --- from a request to a command

    def _door(self, name: str, command: Callable[[Parameters], str]) -> Callable[[web.Request], object]:
        """Returns the request handler of a command that is not a send."""

        async def handle(request: web.Request) -> web.StreamResponse:
            parameters = await _parameters(request)
            script = self._gateway.script(name)

            def answer() -> Answer:
                if isinstance(parameters, Refusal):
                    return _answer(_error(parameters))
                if whole := self._whole(script):
                    return _answer(_error(whole))
                return _answer(command(parameters))

            return await carry(self._gateway, request, answer, script.wire)

        return handle

    def _authenticated(self, command: Callable[[Parameters], str]) -> Callable[[Parameters], str]:
        def checked(parameters: Parameters) -> str:
            refused = self._refuses(parameters)
            return _error(refused) if refused else command(parameters)

        return checked

    def _refuses(self, parameters: Parameters) -> Refusal | None:
        """Returns why the caller may not come in: by session, or by the credentials of this request."""
        if session_id := parameters.get("session_id"):
            return None if self._gateway.sessions.renew(session_id, self._gateway.clock()) else refusal("003")
        given = parameters.get
        if given("api_id") or given("user") or given("password"):
            return self._gateway.account.refuses(given("api_id"), given("user"), given("password"))
        return refusal("005" if parameters else "001")

    def _whole(self, script: Script) -> Refusal | None:
        fault = script.whole
        return self._gateway.wording(fault.code, fault.text, fault.seconds) if fault else None

    # --- sendmsg

    async def _sendmsg(self, request: web.Request) -> web.StreamResponse:
        read = await _parameters(request)
        parameters, unreadable = ({}, read) if isinstance(read, Refusal) else (read, None)
        client_id, recipients = parameters.get("climsgid", ""), _recipients(parameters)
        script = self._gateway.script("sendmsg", recipients, client_id)
        wire = script.wire
        if wire is not None and wire.do in NOT_TAKEN:
            self._gateway.lost(client_id, recipients, wire.do)

        def answer() -> Answer:
            refused = unreadable or self._whole(script) or self._refuses(parameters)
            return self._send(parameters, recipients, script, refused)

        return await carry(self._gateway, request, answer, wire)

    def _send(self, parameters: Parameters, recipients: list[str], script: Script, refused: Refusal | None) -> Answer:
        """Sends one text to each recipient; a fault of the whole request is one line for all of them."""
        gateway = self._gateway
        if refused is None and not 0 < len(recipients) <= _MOST_RECIPIENTS:
            refused = refusal("101")
        order = refused or http_order.read(
            parameters, gateway.clock(), gateway.settings.default_concat, gateway.settings.senders
        )
        if isinstance(order, Refusal):
            gateway.refused(parameters.get("climsgid", ""), recipients, order, script)
            return _answer(_error(order))
        results = [gateway.take(order, to, script) for to in recipients]
        lines = [_error(result) if isinstance(result, Refusal) else f"ID: {result.id}" for result in results]
        if len(lines) == 1:
            return _answer(lines[0])
        return _answer("\n".join(f"{line} To: {to}" for line, to in zip(lines, recipients, strict=True)))

    # --- the other commands

    def _auth(self, parameters: Parameters) -> str:
        if not parameters:
            return _error(refusal("001"))
        given = parameters.get
        refused = self._gateway.account.refuses(given("api_id"), given("user"), given("password"))
        return _error(refused) if refused else f"OK: {self._gateway.sessions.open(self._gateway.clock())}"

    def _ping(self, _parameters: Parameters) -> str:
        return "OK: "

    def _querymsg(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        return _error(found) if isinstance(found, Refusal) else self._status(found)

    def _getmsgcharge(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        if isinstance(found, Refusal):
            return _error(found)
        return f"ID: {found.id} Charge: {found.charge:f} Status: {self._gateway.visible_status(found)}"

    def _delmsg(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        if isinstance(found, Refusal):
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
        price = self._price(parameters.get("msisdn", ""))
        if isinstance(price, Refusal):
            return _error(price)
        return f"OK: This prefix is currently supported. Charge: {price:f}"

    def _price(self, number: str) -> Decimal | Refusal:
        if not number:
            return refusal("101")
        if not number.isdecimal():
            return refusal("105")
        price = self._gateway.account.price(number)
        return refusal("114") if price is None else price

    def _found(self, parameters: Parameters) -> Message | Refusal:
        return self._gateway.find(parameters.get("apimsgid", ""), parameters.get("climsgid", ""))

    def _status(self, message: Message) -> str:
        return f"ID: {message.id} Status: {self._gateway.visible_status(message)}"


async def _parameters(request: web.Request) -> Parameters | Refusal:
    """Returns the parameters of the query and the form; a body that is not declared a form hides them all."""
    octets = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
    if request.method == "POST":
        if request.content_type != form.FORM_TYPE:
            return refusal("001")
        body = await request.read()
        octets = octets + b"&" + body if octets else body
    parameters = form.parse(octets)
    return refusal("101") if parameters is None else parameters


def _recipients(parameters: Parameters) -> list[str]:
    to = parameters.get("to", "")
    return to.split(",") if to else []


def _error(why: Refusal) -> str:
    return f"ERR: {why.code}, {why.text}"


def _answer(text: str) -> Answer:
    return Answer(text.encode("latin-1", "replace"))
