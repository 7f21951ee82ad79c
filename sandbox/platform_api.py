"""Platform REST: one content for several recipients, HTTP 202 for every valid body, the gateway's own codes."""

from dataclasses import replace
from typing import Final

from aiohttp import web

from threelane.sandbox import json_body, one_api, one_order
from threelane.sandbox.apis import ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.faults import FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.transport import HttpResponse, carry

Content = dict[str, object]
_ACCEPTED: Final = 202
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_NO_ERROR: Final = {"errorCode": None, "error": None, "errorDescription": None}
_MOST_RECIPIENTS: Final = 600


class PlatformApi:
    """The one resource; statuses of its messages are pushed only, there is no look-up."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds it."""
        app.router.add_post("/messages", self._post_messages)

    async def _post_messages(self, request: web.Request) -> web.StreamResponse:
        read, gateway = json_body.read(await request.read()), self._gateway
        content = read or {}
        targets = _targets(content)
        script = gateway.script(ApiName.PLATFORM, targets)
        gateway.lost(ApiName.PLATFORM, targets, script)

        def respond() -> HttpResponse:
            refused = gateway.whole(script) or one_api.refuses(gateway, request)
            if refused is None and read is None:
                refused = refusal("100")
            return self._send(content, targets, script, refused)

        return await carry(gateway, request, respond, script.wire)

    def _send(
        self, content: Content, targets: list[Target], script: FaultScript, refused: GatewayRefusal | None
    ) -> HttpResponse:
        gateway = self._gateway
        numbers = {target.to for target in targets}
        if refused is None and ("" in numbers or not len(numbers) == len(targets) <= _MOST_RECIPIENTS):
            refused = refusal("101")
        order = refused or one_order.read(ApiName.PLATFORM, content, gateway.settings, gateway.clock())
        if isinstance(order, GatewayRefusal):
            gateway.refused(ApiName.PLATFORM, targets, order, script)
            http = _UNAUTHORIZED if order.code == "001" else _BAD_REQUEST
            return json_body.response({"messages": [], **_described(order)}, http)
        order = replace(order, request_id=gateway.new_id())
        results = [gateway.take(order, target.to, script, index) for index, target in enumerate(targets)]
        rows = [_row(target.to, result) for target, result in zip(targets, results, strict=True)]
        return json_body.response({"messages": rows, **_NO_ERROR}, _ACCEPTED)


def _targets(content: Content) -> list[Target]:
    """Returns the recipients without their plus; one empty recipient when they are not an array of strings."""
    to, client_id = content.get("to"), json_body.string(content, "clientMessageId")
    if not isinstance(to, list) or not all(isinstance(number, str) for number in to):
        to = []
    return [Target("sendmsg", number.removeprefix("+"), client_id) for number in to] or [Target("sendmsg")]


def _row(to: str, result: LedgerMessage | GatewayRefusal) -> Content:
    if isinstance(result, GatewayRefusal):
        return {"apiMessageId": None, "accepted": False, "to": to, **_described(result)}
    return {"apiMessageId": result.id, "accepted": True, "to": to, **_NO_ERROR}


def _described(why: GatewayRefusal) -> Content:
    return {"errorCode": int(why.code), "error": why.text, "errorDescription": why.text}
