"""The One API: many messages in a request, each with its own recipient, client id and result."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from threelane.sandbox import json_body, one_codes, one_order
from threelane.sandbox.apis import CURRENCY, ApiName
from threelane.sandbox.codes import UNKNOWN, GatewayRefusal, refusal
from threelane.sandbox.faults import FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.transport import HttpResponse, carry

Entry = dict[str, object]
_ACCEPTED: Final = 202
_MIXED: Final = 207

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OneApi:
    """The resources, each from a request to a JSON response."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds every resource; any other method is code 42, any other resource code 41."""
        resources: dict[str, tuple[str, _Handler]] = {
            "/v1/message": ("POST", self._post_message),
            "/v1/message/{id}": ("GET", self._endpoint("querymsg", self._message_status)),
            "/v1/balance": ("GET", self._endpoint("getbalance", self._balance)),
        }
        for path, (method, handler) in resources.items():
            resource = app.router.add_resource(path)
            resource.add_route(method, handler)
            resource.add_route("*", self._endpoint("", lambda _request: _error(refusal("160"))))
        app.router.add_route("*", "/v1/{rest:.*}", self._endpoint("", lambda _request: _error(refusal("161"))))

    # --- from a request to a resource

    def _endpoint(self, command: str, resource: Callable[[web.Request], HttpResponse]) -> _Handler:
        """Returns the request handler of a resource that is not a send."""

        async def handle(request: web.Request) -> web.StreamResponse:
            gateway = self._gateway
            script = gateway.script(ApiName.ONE, (Target(command),))

            def respond() -> HttpResponse:
                refused = gateway.whole(script) or refuses(gateway, request)
                return _error(refused) if refused else resource(request)

            return await carry(gateway, request, respond, script.wire)

        return handle

    # --- sending

    async def _post_message(self, request: web.Request) -> web.StreamResponse:
        gateway, entries = self._gateway, _entries(await request.read())
        targets = [_target(entry) for entry in entries] or [Target("sendmsg")]
        script = gateway.script(ApiName.ONE, targets)
        gateway.lost(ApiName.ONE, targets, script)

        def respond() -> HttpResponse:
            refused = gateway.whole(script) or refuses(gateway, request)
            if refused is None and not entries:
                refused = refusal("100")
            if refused is None and len(entries) > gateway.settings.one_api_most:
                refused = one_codes.TOO_MANY
            if refused is None:
                return self._send(entries, targets, script)
            gateway.refused(ApiName.ONE, targets, refused, script)
            return _error(refused)

        return await carry(gateway, request, respond, script.wire)

    def _send(self, entries: Sequence[Entry], targets: Sequence[Target], script: FaultScript) -> HttpResponse:
        """Accepts or refuses each message on its own."""
        gateway, now = self._gateway, self._gateway.clock()
        results: list[LedgerMessage | GatewayRefusal] = []
        for index, (entry, target) in enumerate(zip(entries, targets, strict=True)):
            order = one_order.read(ApiName.ONE, entry, gateway.settings, now)
            if isinstance(order, GatewayRefusal):
                gateway.refused(ApiName.ONE, (target,), order, script)
                results.append(order)
            else:
                results.append(gateway.take(order, target.to, script, index))
        rows = [_row(target.to, result) for target, result in zip(targets, results, strict=True)]
        return json_body.response({"messages": rows, "error": None}, _status(results))

    # --- the other resources

    def _message_status(self, request: web.Request) -> HttpResponse:
        id = request.match_info["id"]
        found = self._gateway.find(id, "")
        status = UNKNOWN if isinstance(found, GatewayRefusal) else self._gateway.visible_status(found)
        name = one_codes.STATUSES[status].name
        if isinstance(found, GatewayRefusal) or status == UNKNOWN:
            return json_body.response({"messageId": id, "status": name, "timestamp": _ms(self._gateway.clock())})
        return json_body.response({found.order.channel: {"status": name, "timestamp": _ms(found.history[-1][1])}})

    def _balance(self, _request: web.Request) -> HttpResponse:
        return json_body.response({"balance": float(self._gateway.account.balance), "currency": CURRENCY})


def refuses(gateway: SandboxGateway, request: web.Request) -> GatewayRefusal | None:
    """Returns why a request is not authenticated; the header holds only the key, without a scheme."""
    return gateway.account.refuses_key(request.headers.get("Authorization", ""))


def _entries(body: bytes) -> list[Entry]:
    """Returns the messages of a request; an empty list when it is malformed."""
    content = json_body.read(body) or {}
    messages = content.get("messages")
    if not isinstance(messages, list) or not all(isinstance(entry, dict) for entry in messages):
        return []
    return messages


def _target(entry: Entry) -> Target:
    return Target("sendmsg", json_body.string(entry, "to"), json_body.string(entry, "clientMessageId"))


def _row(to: str, result: LedgerMessage | GatewayRefusal) -> Entry:
    if isinstance(result, GatewayRefusal):
        return {"accepted": False, "to": to, "error": _described(one_codes.error(result))}
    return {"apiMessageId": result.id, "accepted": True, "to": to, "error": None}


def _status(results: Sequence[LedgerMessage | GatewayRefusal]) -> int:
    """Returns 202 when all were accepted, else 207; for a single message, the status of its error."""
    refused = [result for result in results if isinstance(result, GatewayRefusal)]
    if not refused:
        return _ACCEPTED
    return one_codes.error(refused[0]).http if len(results) == 1 else _MIXED


def _described(error: one_codes.Error) -> Entry:
    return {"code": error.code, "description": error.description}


def _error(why: GatewayRefusal) -> HttpResponse:
    error = one_codes.error(why)
    return json_body.response({"error": _described(error)}, error.http)


def _ms(moment: float) -> int:
    return int(moment * 1000)
