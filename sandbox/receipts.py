"""What a status callback says and where it goes, by the API of its message."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

import msgspec

from sandbox.apis import FORM_TYPE, JSON_TYPE, Api
from sandbox.codes import MASKS
from sandbox.ledger import Message
from sandbox.one_codes import STATUSES
from sandbox.settings import Settings

_INTEGRATION: Final = "sandbox"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Receipt:
    """One status of one message on its way to the callback URL of its API."""

    api: Api
    content: str
    retries: int = 0

    @property
    def content_type(self) -> str:
        """Returns what the content is: JSON for the One API, a form for the others."""
        return JSON_TYPE if self.api is Api.ONE else FORM_TYPE


def address(api: Api, settings: Settings) -> str | None:
    """Returns where the statuses of an API go, if anywhere."""
    return settings.one_callback if api is Api.ONE else settings.callback_url


def is_wanted(message: Message, status: str) -> bool:
    """Tells whether a status is pushed: by the One API each, by the Central APIs those of the message's mask."""
    return message.order.api is Api.ONE or status in MASKS[message.order.callback]


def write(message: Message, status: str, at: float) -> Receipt:
    """Returns the receipt of a status that a message came to."""
    api = message.order.api
    return Receipt(api, _update(message, status, at) if api is Api.ONE else _form(message, status, at))


def _form(message: Message, status: str, at: float) -> str:
    """Returns a callback as a form; written by hand, since urlencode costs as much as taking a message."""
    order = message.order
    return (
        f"api_id={quote_plus(message.api_id)}&apiMsgId={message.id}&cliMsgId={quote_plus(order.client_id)}"
        f"&to={message.to}&from={quote_plus(order.sender)}&timestamp={int(at)}&status={status}"
        f"&charge={message.charge:.6f}"
    )


def _update(message: Message, status: str, at: float) -> str:
    """Returns a callback as JSON; it names no charge."""
    number, name = STATUSES[status]
    update = {
        "channel": message.order.channel,
        "messageId": message.id,
        "clientMessageId": message.order.client_id or None,
        "timestamp": int(at * 1000),
        "statusCode": number,
        "status": name,
    }
    event = {"messageStatusUpdate": [update]}
    return _encode({"integrationId": message.api_id, "integrationName": _INTEGRATION, "event": event}).decode()
