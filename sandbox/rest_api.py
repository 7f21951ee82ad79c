"""The Central REST API: JSON in, JSON out, meaningful HTTP statuses."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from threelane.sandbox import json_body, rest_order
from threelane.sandbox.account import money
from threelane.sandbox.apis import JSON_TYPE, ApiName
from threelane.sandbox.codes import STATUSES, GatewayRefusal, refusal
from threelane.sandbox.faults import FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.transport import HttpResponse, carry

_VERSION: Final = "1"
_SCHEME: Final = "bearer "  # in any case
_MOST_RECIPIENTS: Final = 600
_DOCUMENTATION: Final = "https://www.clickatell.com/help/apidocs/error/{}.htm"

_ACCEPTED: Final = 202
_MIXED: Final = 207
_BAD_REQUEST: Final = 400
# fmt: off
_HTTP: Final = {
    **dict.fromkeys(("001", "002", "003", "004", "005", "007", "108"), 401),
    **dict.fromkeys(("301",), 402),
    **dict.fromkeys(("103", "104", "161"), 404),
    **dict.fromkeys(("160",), 405),
    **dict.fromkeys(("114", "121", "122", "128"), 410),
    **dict.fromkeys(("130",), 429),
    **dict.fromkeys(("900", "901"), 503),
}
# fmt: on

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestApi:
    """The resources, each from a request to a JSON response."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds every resource; any other method is code 160, any other resource code 161."""
        resources: dict[str, dict[str, _Handler]] = {
            "/rest/message": {"POST": self._post_message, "GET": self._endpoint("querymsg", self._by_client_id)},
            "/rest/message/{id}": {
                "GET": self._endpoint("querymsg", self._by_id),
                "DELETE": self._endpoint("delmsg", self._stop),
            },
            "/rest/account/balance": {"GET": self._endpoint("getbalance", self._balance)},
            "/rest/coverage/{msisdn}": {"GET": self._endpoint("routecoverage", self._coverage)},
        }
        for path, handlers in resources.items():
            resource = app.router.add_resource(path)
            for method, handler in handlers.items():
                resource.add_route(method, handler)
            resource.add_route("*", self._endpoint("", _refuse("160")))
        app.router.add_route("*", "/rest/{rest:.*}", self._endpoint("", _refuse("161")))

    # --- from a request to a resource

    def _endpoint(self, command: str, resource: Callable[[web.Request], HttpResponse]) -> _Handler:
        """Returns the request handler of a resource that is not a send."""

        async def handle(request: web.Request) -> web.StreamResponse:
            script = self._gateway.script(ApiName.REST, (Target(command),))

            def respond() -> HttpResponse:
                refused = self._gateway.whole(script) or self._refuses(request)
                return _error(refused) if refused else resource(request)

            return await carry(self._gateway, request, respond, script.wire)

        return handle

    def _refuses(self, request: web.Request) -> GatewayRefusal | None:
        """Returns the refusal of the headers: authentication first, then version and content types."""
        headers = request.headers
        authorization = headers.get("Authorization", "")
        if not authorization.lower().startswith(_SCHEME):
            return refusal("001")
        if refused := self._gateway.account.refuses_token(authorization[len(_SCHEME) :].strip()):
            return refused
        if headers.get("X-Version") != _VERSION:
            return refusal("165")
        if JSON_TYPE not in headers.get("Accept", ""):
            return refusal("166")
        if request.method == "POST" and request.content_type != JSON_TYPE:
            return refusal("167")
        return None

    # --- sending

    async def _post_message(self, request: web.Request) -> web.StreamResponse:
        read, gateway = json_body.read(await request.read()), self._gateway
        content = read or {}
        recipients = _recipients(content.get("to"))
        client_id = json_body.string(content, "clientMessageId")
        targets = [Target("sendmsg", to, client_id) for to in recipients or ("",)]
        script = gateway.script(ApiName.REST, targets)
        gateway.lost(ApiName.REST, targets, script)

        def respond() -> HttpResponse:
            refused = gateway.whole(script) or self._refuses(request)
            if refused is None and read is None:
                refused = refusal("100")
            if refused is None and not 0 < len(recipients) <= _MOST_RECIPIENTS:
                refused = refusal("101")
            return self._send(content, targets, script, refused)

        return await carry(gateway, request, respond, script.wire)

    def _send(
        self, content: dict[str, object], targets: Sequence[Target], script: FaultScript, refused: GatewayRefusal | None
    ) -> HttpResponse:
        """Sends one text to each recipient; a refusal of the whole request is a global error."""
        gateway = self._gateway
        order = refused or rest_order.read(content, gateway.settings, gateway.clock())
        if isinstance(order, GatewayRefusal):
            gateway.refused(ApiName.REST, targets, order, script)
            return _error(order)
        results = [gateway.take(order, target.to, script, index) for index, target in enumerate(targets)]
        entries = [_entry(target.to, result) for target, result in zip(targets, results, strict=True)]
        return json_body.response({"data": {"message": entries}}, _status(results))

    # --- the other resources

    def _by_id(self, request: web.Request) -> HttpResponse:
        return self._shown(self._gateway.find(request.match_info["id"], ""))

    def _by_client_id(self, request: web.Request) -> HttpResponse:
        return self._shown(self._gateway.find("", request.query.get("clientMessageId", "")))

    def _stop(self, request: web.Request) -> HttpResponse:
        found = self._gateway.find(request.match_info["id"], "")
        if isinstance(found, GatewayRefusal):
            return _error(found)
        self._gateway.cancel(found)
        return json_body.response({"data": self._message_status(found)})

    def _balance(self, _request: web.Request) -> HttpResponse:
        return json_body.response({"data": {"balance": money(self._gateway.account.balance)}})

    def _coverage(self, request: web.Request) -> HttpResponse:
        number = request.match_info["msisdn"]
        price = self._gateway.route(number)
        if isinstance(price, GatewayRefusal):
            return _error(price)
        return json_body.response(
            {"data": {"routable": True, "destination": number, "minimumCharge": float(price)}},
        )

    def _shown(self, found: LedgerMessage | GatewayRefusal) -> HttpResponse:
        if isinstance(found, GatewayRefusal):
            return _error(found)
        return json_body.response({"data": {**self._message_status(found), "charge": float(found.charge)}})

    def _message_status(self, message: LedgerMessage) -> dict[str, object]:
        status = self._gateway.visible_status(message)
        fields: dict[str, object] = {"apiMessageId": message.id, "messageStatus": status}
        fields["description"] = STATUSES[status]
        if message.order.client_id:
            fields["clientMessageId"] = message.order.client_id
        return fields


def _refuse(code: str) -> Callable[[web.Request], HttpResponse]:
    return lambda _request: _error(refusal(code))


def _recipients(to: object) -> list[str]:
    """Returns the recipients of a send; an empty list when they are not an array of strings."""
    if not isinstance(to, list) or not all(isinstance(number, str) for number in to):
        return []
    return to


def _entry(to: str, result: LedgerMessage | GatewayRefusal) -> dict[str, object]:
    if isinstance(result, GatewayRefusal):
        return {"accepted": False, "to": to, "apiMessageId": "", "error": _described(result)}
    return {"accepted": True, "to": to, "apiMessageId": result.id}


def _status(results: Sequence[LedgerMessage | GatewayRefusal]) -> int:
    """Returns 202 when all were accepted, the status of the code when all got the same one, else 207."""
    codes = {result.code if isinstance(result, GatewayRefusal) else "" for result in results}
    if codes == {""}:
        return _ACCEPTED
    return _HTTP.get(codes.pop(), _BAD_REQUEST) if len(codes) == 1 else _MIXED


def _described(why: GatewayRefusal) -> dict[str, str]:
    return {"code": why.code, "description": why.text, "documentation": _DOCUMENTATION.format(why.code)}


def _error(why: GatewayRefusal) -> HttpResponse:
    return json_body.response({"error": _described(why)}, _HTTP.get(why.code, _BAD_REQUEST))
