"""The XML API: a document of requests in a form field, a document with a response to each, always an HTTP 200."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from aiohttp import web

from threelane.sandbox import central_order, credentials, form, xml_document
from threelane.sandbox.account import money
from threelane.sandbox.apis import CREDENTIALS, FORM_TYPE, XML_TYPE, ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.faults import Do, FaultScript, Target
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.order import Order
from threelane.sandbox.transport import HttpResponse, carry
from threelane.sandbox.xml_batch import SENDS, XmlBatch
from threelane.sandbox.xml_document import Element

Children = Mapping[str, str]
_SEND: Final = "sendMsg"
_FIELD: Final = "data"
_SEQUENCE: Final = "sequence_no"
_NOT_A_DOCUMENT: Final = "xmlErrorResp"
_MOST_RECIPIENTS: Final = 300  # per element, as per POST of the HTTP API

# The recognised spellings; every other child is only kept in the ledger.
_PARAMETERS: Final = {
    **{name: name for name in CREDENTIALS},
    **{name: name for name in ("to", "text", "from", "callback", "concat", "queue", "escalate", "mo", "validity")},
    **{name: name for name in ("deliv_ack", "deliv_time", "scheduled_time", "msg_type", "udh", "unicode", "data")},
    **{name: name for name in ("req_feat", "max_credits", "binary", "mclass", "msisdn", "apiMsgId")},
    **{name: name for name in ("template", "batch_id")},
    "cliMsgId": "climsgid",
}


class XmlApi:
    """The requests of a document, each from an element to one or more elements."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway
        self._batch = XmlBatch(gateway.batches)
        self._commands: dict[str, Callable[[Children], Children | GatewayRefusal]] = {
            "auth": self._auth,
            "ping": self._ping,
            "queryMsg": self._query,
            "getMsgCharge": self._charge,
            "delMsg": self._stop,
            "getBalance": self._balance,
            "routeCoverage": self._coverage,
            **self._batch.commands,
        }

    def add_to(self, app: web.Application) -> None:
        """Adds the route."""
        app.router.add_post("/xml/xml", self._post)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        gateway = self._gateway
        elements = _elements(request.content_type, await request.read())
        spans = [self._targets(element) for element in elements] if not isinstance(elements, GatewayRefusal) else []
        targets = [target for span in spans for target in span] or [Target("sendmsg")]
        script = gateway.script(ApiName.XML, targets, apart=True)
        gateway.lost(ApiName.XML, [target for target in targets if target.command == "sendmsg"], script)

        def respond() -> HttpResponse:
            if isinstance(elements, GatewayRefusal):
                gateway.refused(ApiName.XML, targets, elements, script)
                return _response([Element(_NOT_A_DOCUMENT, _fault(elements))])
            return _response(self._all(elements, spans, script))

        return await carry(gateway, request, respond, script.wire)

    def _all(self, elements: list[Element], spans: list[list[Target]], script: FaultScript) -> Iterator[Element]:
        """Handles every element in order, regardless of the results before it."""
        index = 0
        for element, span in zip(elements, spans, strict=True):
            rows = self._send(element, span, script, index) if _is_send(element) else None
            index += len(span)
            sequence = {_SEQUENCE: element.children[_SEQUENCE]} if _SEQUENCE in element.children else {}
            for row in rows or (self._other(element, script, index - 1),):
                yield Element(f"{element.tag}Resp", {**row, **sequence})

    # --- sendMsg, sendItem and quickSend

    def _targets(self, element: Element) -> list[Target]:
        """Returns a target for each recipient of a send; one for any other element."""
        if not _is_send(element):
            return [Target(element.tag.lower())]
        parameters = _parameters(element.children)
        client_id = parameters.get("climsgid", "") if element.tag == _SEND else self._batch.client_id(parameters)
        return [Target("sendmsg", to, client_id) for to in parameters.get("to", "").split(",")]

    def _send(self, element: Element, targets: list[Target], script: FaultScript, first: int) -> list[Children]:
        """Sends one text to each recipient: a row for each, or one row when the whole request is refused."""
        gateway, order = self._gateway, self._order(element, len(targets))
        if isinstance(order, GatewayRefusal):
            gateway.refused(ApiName.XML, targets, order, script)
            return [_fault(order)]
        results = [gateway.take(order, target.to, script, first + index) for index, target in enumerate(targets)]
        glued = [f" To:{target.to}" if len(targets) > 1 else "" for target in targets]
        return [_row(result, to) for result, to in zip(results, glued, strict=True)]

    def _order(self, element: Element, recipients: int) -> Order | GatewayRefusal:
        gateway, parameters = self._gateway, _parameters(element.children)
        if refused := credentials.refuses(gateway, parameters):
            return refused
        if not (parameters.get("to") and recipients <= _MOST_RECIPIENTS):
            return refusal("101")
        sent = {name: text for name, text in element.children.items() if name not in CREDENTIALS}
        if element.tag in SENDS:
            message = self._batch.message(element.tag, parameters, element.children)
            if isinstance(message, GatewayRefusal):
                return message
            parameters = sent = message
        return central_order.read(ApiName.XML, parameters, gateway.settings, gateway.clock(), sent)

    # --- the other elements

    def _other(self, element: Element, script: FaultScript, index: int) -> Children:
        for fault in script.at(index):
            if fault.do is Do.CODE:
                return _fault(self._gateway.wording(fault.code, fault.text, fault.seconds))
        command = self._commands.get(element.tag)
        if command is None:
            return _fault(refusal("101"))
        parameters = _parameters(element.children)
        refused = None if element.tag == "auth" else credentials.refuses(self._gateway, parameters)
        result = refused or command(parameters)
        return _fault(result) if isinstance(result, GatewayRefusal) else result

    def _auth(self, parameters: Children) -> Children | GatewayRefusal:
        opened = credentials.open_session(self._gateway, parameters)
        return opened if isinstance(opened, GatewayRefusal) else {"session_id": opened}

    def _ping(self, _parameters: Children) -> Children:
        return {"ok": ""}

    def _query(self, parameters: Children) -> Children | GatewayRefusal:
        found = self._found(parameters)
        return found if isinstance(found, GatewayRefusal) else self._message_status(found)

    def _charge(self, parameters: Children) -> Children | GatewayRefusal:
        found = self._found(parameters)
        if isinstance(found, GatewayRefusal):
            return found
        return {"apiMsgId": found.id, "charge": f"{found.charge:f}", "status": self._gateway.visible_status(found)}

    def _stop(self, parameters: Children) -> Children | GatewayRefusal:
        found = self._found(parameters)
        if isinstance(found, GatewayRefusal):
            return found
        self._gateway.cancel(found)
        return self._message_status(found)

    def _balance(self, _parameters: Children) -> Children:
        return {"ok": money(self._gateway.account.balance)}

    def _coverage(self, parameters: Children) -> Children | GatewayRefusal:
        price = self._gateway.route(parameters.get("msisdn", ""))
        if isinstance(price, GatewayRefusal):
            return price
        return {"ok": "This prefix is currently supported.", "charge": f"{price:f}"}

    def _found(self, parameters: Children) -> LedgerMessage | GatewayRefusal:
        return self._gateway.find(parameters.get("apiMsgId", ""), parameters.get("climsgid", ""))

    def _message_status(self, message: LedgerMessage) -> Children:
        return {"apiMsgId": message.id, "status": self._gateway.visible_status(message)}


def _elements(content_type: str, body: bytes) -> list[Element] | GatewayRefusal:
    """Returns the elements of the document in a form, or the refusal."""
    if content_type != FORM_TYPE:
        return refusal("001")
    document = form.octets(body).get(_FIELD)
    if not document:
        return refusal("101")
    elements = xml_document.read(document)
    return refusal("100") if elements is None else elements


def _is_send(element: Element) -> bool:
    return element.tag == _SEND or element.tag in SENDS


def _parameters(children: Children) -> dict[str, str]:
    return {_PARAMETERS[name]: text for name, text in children.items() if name in _PARAMETERS}


def _row(result: LedgerMessage | GatewayRefusal, to: str) -> Children:
    if isinstance(result, GatewayRefusal):
        return {"fault": f"{result.code}, {result.text}{to}"}
    return {"apiMsgId": f"{result.id}{to}"}


def _fault(why: GatewayRefusal) -> Children:
    return {"fault": f"{why.code}, {why.text}"}


def _response(elements: Iterable[Element]) -> HttpResponse:
    return HttpResponse(xml_document.write(elements), XML_TYPE)
