"""The HTTP API: the commands for one message, for look-ups and for the account."""

from aiohttp import web

from threelane.sandbox import credentials, http_commands
from threelane.sandbox.account import money
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.http_commands import Command, HttpCommands, HttpSend, Parameters, error
from threelane.sandbox.ledger import LedgerMessage


class HttpApi:
    """The commands, each from parameters to the text of a response."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway
        self._commands = HttpCommands(gateway)

    def add_to(self, app: web.Application) -> None:
        """Adds the routes of every command."""
        commands: dict[str, Command] = {
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
            self._commands.add(app, path, command)
        self._commands.add(app, "/http/auth", self._auth, needs_login=False)
        self._commands.add_send(app, "/http/sendmsg", _sendmsg)

    def _auth(self, parameters: Parameters) -> str:
        opened = credentials.open_session(self._gateway, parameters)
        return error(opened) if isinstance(opened, GatewayRefusal) else f"OK: {opened}"

    def _ping(self, _parameters: Parameters) -> str:
        return "OK: "

    def _querymsg(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        return error(found) if isinstance(found, GatewayRefusal) else self._status(found)

    def _getmsgcharge(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        if isinstance(found, GatewayRefusal):
            return error(found)
        return f"apiMsgId: {found.id} charge: {found.charge:f} status: {self._gateway.visible_status(found)}"

    def _delmsg(self, parameters: Parameters) -> str:
        found = self._found(parameters)
        if isinstance(found, GatewayRefusal):
            return error(found)
        self._gateway.cancel(found)
        return self._status(found)

    def _getbalance(self, _parameters: Parameters) -> str:
        return f"Credit: {money(self._gateway.account.balance)}"

    def _token_pay(self, parameters: Parameters) -> str:
        if not parameters.get("token"):
            return error(refusal("101"))
        refused = self._gateway.account.redeem(parameters["token"])
        return error(refused) if refused else "OK: 605"

    def _route_coverage(self, parameters: Parameters) -> str:
        price = self._gateway.route(parameters.get("msisdn", ""))
        if isinstance(price, GatewayRefusal):
            return error(price)
        return f"OK: This prefix is currently supported. Charge: {price:f}"

    def _found(self, parameters: Parameters) -> LedgerMessage | GatewayRefusal:
        return self._gateway.find(parameters.get("apimsgid", ""), parameters.get("climsgid", ""))

    def _status(self, message: LedgerMessage) -> str:
        return f"ID: {message.id} Status: {self._gateway.visible_status(message)}"


def _sendmsg(parameters: Parameters) -> HttpSend:
    targets = http_commands.targets(parameters.get("to", ""), parameters.get("climsgid", ""))
    return HttpSend(targets, parameters, names_recipients=len(targets) > 1)
