"""The content of a reply's callback, by API."""

from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import quote

from threelane.sandbox import push
from threelane.sandbox.apis import ApiName, CallbackForm
from threelane.sandbox.receipts import INTEGRATION
from threelane.sandbox.reply import Charset, HandsetPart, HandsetReply

_ROOT: Final = "clickmo"
_CENTRAL_ZONE: Final = timezone(timedelta(hours=2))
_CHANNEL: Final = "sms"


def write(reply: HandsetReply, part: HandsetPart, at: float, api_id: str, related_client_id: str | None) -> str:
    """Returns the callback of one part, in the form and the charset of its reply."""
    if reply.api is ApiName.ONE:
        return _one(reply, part, at, api_id, related_client_id)
    if reply.api is ApiName.PLATFORM:
        return push.pack(reply.carried_as, _platform(reply, part, at))
    return push.pack(reply.carried_as, _central(reply, part, at, api_id), _ROOT)


def _central(reply: HandsetReply, part: HandsetPart, at: float, api_id: str) -> push.Fields:
    return {
        "api_id": api_id,
        "moMsgId": part.id,
        "from": reply.sender,
        "to": reply.to,
        "timestamp": datetime.fromtimestamp(at, _CENTRAL_ZONE).strftime("%Y-%m-%d %H:%M:%S"),
        "text": _text(reply, part.text),
        "charset": reply.carried_in,
        "udh": part.udh,
        **({"network": reply.network} if reply.network else {}),
    }


def _platform(reply: HandsetReply, part: HandsetPart, at: float) -> push.Fields:
    return {
        "integrationName": INTEGRATION,
        "messageId": reply.related or None,
        "replyMessageId": part.id,
        "fromNumber": reply.sender,
        "toNumber": reply.to,
        "timestamp": int(at * 1000),
        "text": _text(reply, part.text),
        "charset": reply.carried_in,
        "udh": part.udh,
        "network": reply.network or None,
        "keyword": None,
    }


def _one(reply: HandsetReply, part: HandsetPart, at: float, api_id: str, related_client_id: str | None) -> str:
    text = {
        "channel": _CHANNEL,
        "messageId": part.id,
        "relatedMessageId": reply.related or None,
        "relatedClientMessageId": related_client_id,
        "from": reply.sender,
        "to": reply.to,
        "timestamp": int(at * 1000),
        "content": _text(reply, part.text),
        "charset": reply.carried_in,
        **({"sms": {"network": reply.network}} if reply.network else {}),
    }
    return push.as_json({"integrationId": api_id, "integrationName": INTEGRATION, "event": {"moText": [text]}})


def _text(reply: HandsetReply, piece: str) -> str | bytes:
    """Returns the octets for a form; for JSON and XML the text, percent-encoded unless it is UTF-8."""
    if reply.carried_as in (CallbackForm.POST, CallbackForm.GET):
        return piece.encode(reply.carried_in)
    return piece if reply.carried_in is Charset.UTF_8 else quote(piece.encode(reply.carried_in), safe="")
