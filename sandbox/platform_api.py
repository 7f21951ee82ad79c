"""Platform REST and HTTP: one content, HTTP 2xx for every valid request, the gateway's own codes."""

from dataclasses import replace
from typing import Final, NamedTuple

from aiohttp import web

from threelane.sandbox import json_body, one_order, platform_query
from threelane.sandbox.apis import CURRENCY, ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.faults import FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.platform_codes import CHARSETS, WRONG_KEY
from threelane.sandbox.transport import HttpResponse, carry

Content = dict[str, object]
_NO_ERROR: Final = {"errorCode": None, "error": None, "errorDescription": None}
_MOST_RECIPIENTS: Final = 600
_OF_THE_KEY: Final = ("001", WRONG_KEY.code)


class _Form(NamedTuple):
    """How one form of the API reports success, a wrong request and a wrong key: as HTTP statuses."""

    accepted: int
    refused: int
    wrong_key: int


_REST: Final = _Form(accepted=202, refused=400, wrong_key=401)
_HTTP: Final = _Form(accepted=200, refused=200, wrong_key=200)


class PlatformApi:
    """The resources; statuses of their messages are pushed only, there is no look-up."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds every resource."""
        app.router.add_post("/messages", self._post_messages)
        app.router.add_get("/messages/http/send", self._get_send, allow_head=False)
        app.router.add_get("/public-client/balance", self._get_balance)

    async def _post_messages(self, request: web.Request) -> web.StreamResponse:
        content = json_body.read(await request.read())
        return await self._sent(request, content, _key(request), _REST)

    async def _get_send(self, request: web.Request) -> web.StreamResponse:
        read = platform_query.read(request.raw_path.partition("?")[2])
        return await self._sent(request, read.fields, read.key, _HTTP)

    async def _get_balance(self, request: web.Request) -> web.StreamResponse:
        gateway = self._gateway
        script = gateway.script(ApiName.PLATFORM, (Target("getbalance"),))

        def respond() -> HttpResponse:
            refused = gateway.whole(script) or self._refuses(_key(request))
            if refused:
                return json_body.response(_described(refused), _status(refused, _REST))
            return json_body.response({"balance": float(gateway.account.balance), "currency": CURRENCY})

        return await carry(gateway, request, respond, script.wire)

    async def _sent(self, request: web.Request, read: Content | None, key: str, form: _Form) -> web.StreamResponse:
        """Answers a send of either form; `read` is None when its content is malformed."""
        gateway, content = self._gateway, read or {}
        targets = _targets(content)
        script = gateway.script(ApiName.PLATFORM, targets)
        gateway.lost(ApiName.PLATFORM, targets, script)

        def respond() -> HttpResponse:
            refused = gateway.whole(script) or self._refuses(key)
            if refused is None and read is None:
                refused = refusal("100")
            return self._send(content, targets, script, refused, form)

        return await carry(gateway, request, respond, script.wire)

    def _send(
        self,
        content: Content,
        targets: list[Target],
        script: FaultScript,
        refused: GatewayRefusal | None,
        form: _Form,
    ) -> HttpResponse:
        gateway = self._gateway
        numbers = {target.to for target in targets}
        if refused is None and ("" in numbers or not len(numbers) == len(targets) <= _MOST_RECIPIENTS):
            refused = refusal("101")
        if refused is None and not _is_charset(content.get("charset")):
            refused = refusal("101")
        order = refused or one_order.read(ApiName.PLATFORM, content, gateway.settings, gateway.clock())
        if isinstance(order, GatewayRefusal):
            gateway.refused(ApiName.PLATFORM, targets, order, script)
            return json_body.response({"messages": [], **_described(order)}, _status(order, form))
        order = replace(order, request_id=gateway.new_id())
        results = [gateway.take(order, target.to, script, index) for index, target in enumerate(targets)]
        rows = [_row(target.to, result) for target, result in zip(targets, results, strict=True)]
        return json_body.response({"messages": rows, **_NO_ERROR}, form.accepted)

    def _refuses(self, key: str) -> GatewayRefusal | None:
        return WRONG_KEY if self._gateway.account.refuses_key(key) else None


def _key(request: web.Request) -> str:
    """Returns the key of a request; the header holds nothing else."""
    return request.headers.get("Authorization", "")


def _targets(content: Content) -> list[Target]:
    """Returns the recipients without their plus; one empty recipient when they are not an array of strings."""
    to, client_id = content.get("to"), json_body.string(content, "clientMessageId")
    if not isinstance(to, list) or not all(isinstance(number, str) for number in to):
        to = []
    return [Target("sendmsg", number.removeprefix("+"), client_id) for number in to] or [Target("sendmsg")]


def _status(why: GatewayRefusal, form: _Form) -> int:
    return form.wrong_key if why.code in _OF_THE_KEY else form.refused


def _is_charset(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in CHARSETS)


def _row(to: str, result: LedgerMessage | GatewayRefusal) -> Content:
    if isinstance(result, GatewayRefusal):
        return {"apiMessageId": None, "accepted": False, "to": to, **_described(result)}
    return {"apiMessageId": result.id, "accepted": True, "to": to, **_NO_ERROR}


def _described(why: GatewayRefusal) -> Content:
    return {"errorCode": int(why.code), "error": why.text, "errorDescription": why.text}
