"""The content of a status callback, by the API of its message."""

from typing import Final
from urllib.parse import quote_plus

from threelane.sandbox import platform_codes, push
from threelane.sandbox.apis import CENTRAL, ApiName, CallbackForm
from threelane.sandbox.codes import MASKS, STATUSES
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.one_codes import STATUSES as ONE_STATUSES
from threelane.sandbox.push import Push

INTEGRATION: Final = "sandbox"
_ROOT: Final = "callback"  # not documented


def is_wanted(message: LedgerMessage, status: str) -> bool:
    """Returns whether a status is pushed: Central APIs push those of the message's mask, the others all."""
    return message.order.api not in CENTRAL or status in MASKS[message.order.callback]


def write(message: LedgerMessage, status: str, at: float, method: CallbackForm) -> Push:
    """Returns the callback of a message's status; the One API ignores the method."""
    api = message.order.api
    if api == ApiName.ONE:
        return Push(api, CallbackForm.JSON, _update(message, status, at))
    if api == ApiName.PLATFORM:
        form = CallbackForm.GET if method is CallbackForm.GET else CallbackForm.JSON
        return Push(api, form, push.pack(form, _platform(message, status, at)))
    if method is CallbackForm.XML:
        return Push(api, method, push.pack(method, _central(message, status, at), _ROOT))
    if method is CallbackForm.JSON:
        return Push(api, method, push.pack(method, _central_json(message, status, at)))
    return Push(api, method, _form(message, status, at))


def _form(message: LedgerMessage, status: str, at: float) -> str:
    """Returns a callback as a form; formatted by hand, since encoding it costs as much as accepting a message."""
    order = message.order
    return (
        f"api_id={quote_plus(message.api_id)}&apiMsgId={message.id}&cliMsgId={quote_plus(order.client_id)}"
        f"&to={message.to}&from={quote_plus(order.sender)}&timestamp={int(at)}&status={status}"
        f"&charge={message.charge:.6f}"
    )


def _central(message: LedgerMessage, status: str, at: float) -> push.Fields:
    """Returns the fields of a form, for the other encodings."""
    return {
        "api_id": message.api_id,
        "apiMsgId": message.id,
        "cliMsgId": message.order.client_id,
        "to": message.to,
        "from": message.order.sender,
        "timestamp": int(at),
        "status": status,
        "charge": f"{message.charge:.6f}",
    }


def _central_json(message: LedgerMessage, status: str, at: float) -> push.Fields:
    """Returns the fields by the names of Central REST."""
    return {
        "apiMessageId": message.id,
        "clientMessageId": message.order.client_id,
        "messageStatus": status,
        "charge": float(message.charge),
        "timestamp": int(at),
        "to": message.to,
    }


def _platform(message: LedgerMessage, status: str, at: float) -> push.Fields:
    """Returns the fields of Platform REST, with the gateway's own status codes, unlike the One API."""
    order = message.order
    return {
        "integrationName": INTEGRATION,
        "messageId": message.id,
        "requestId": order.request_id,
        "clientMessageId": order.client_id or None,
        "to": message.to,
        "from": order.sender or None,
        "statusCode": int(status),
        "status": platform_codes.STATUSES[status],
        "statusDescription": STATUSES[status],
        "timestamp": int(at * 1000),
    }


def _update(message: LedgerMessage, status: str, at: float) -> str:
    """Returns a callback of the One API, which has no charge."""
    number, name = ONE_STATUSES[status]
    update = {
        "channel": message.order.channel,
        "messageId": message.id,
        "clientMessageId": message.order.client_id or None,
        "timestamp": int(at * 1000),
        "statusCode": number,
        "status": name,
    }
    event = {"messageStatusUpdate": [update]}
    return push.as_json({"integrationId": message.api_id, "integrationName": INTEGRATION, "event": event})
