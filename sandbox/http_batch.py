"""The batch commands of the HTTP API: one template, a request or a list of recipients at a time."""

from aiohttp import web

from threelane.sandbox import http_commands
from threelane.sandbox.apis import ApiName
from threelane.sandbox.codes import GatewayRefusal
from threelane.sandbox.faults import Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.http_commands import HttpCommands, HttpSend, Parameters, error


class HttpBatch:
    """`startbatch`, `senditem`, `quicksend` and `endbatch`."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._batches = gateway.batches
        self._commands = HttpCommands(gateway)

    def add_to(self, app: web.Application) -> None:
        """Adds the routes of every command."""
        self._commands.add(app, "/http_batch/startbatch", self._start)
        self._commands.add(app, "/http_batch/endbatch", self._end)
        self._commands.add_send(app, "/http_batch/senditem", self._item)
        self._commands.add_send(app, "/http_batch/quicksend", self._quick)

    def _start(self, parameters: Parameters) -> str:
        started = self._batches.start(ApiName.HTTP, parameters)
        return error(started) if isinstance(started, GatewayRefusal) else f"ID: {started}"

    def _end(self, parameters: Parameters) -> str:
        refused = self._batches.end(parameters.get("batch_id", ""))
        return error(refused) if refused else "OK"

    def _item(self, parameters: Parameters) -> HttpSend:
        """One recipient, with a value for each placeholder of the template."""
        return self._send(parameters, parameters, is_list=False)

    def _quick(self, parameters: Parameters) -> HttpSend:
        """A list of recipients for the template as it is."""
        return self._send(parameters, {}, is_list=True)

    def _send(self, parameters: Parameters, fields: Parameters, is_list: bool) -> HttpSend:
        to, id = parameters.get("to", ""), parameters.get("batch_id", "")
        batch = self._batches.find(id)
        client_id = "" if isinstance(batch, GatewayRefusal) else batch.client_id
        targets = http_commands.targets(to, client_id) if is_list else [Target("sendmsg", to, client_id)]
        if isinstance(batch, GatewayRefusal):
            return HttpSend(targets, batch, is_list)
        return HttpSend(targets, {**batch.options, "batch_id": id, "to": to, "text": batch.text(fields)}, is_list)
