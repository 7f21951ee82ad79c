"""One API: JSON, up to 99 messages a request with an entry for each; no look-up by our id, no cancel.

Source: Clickatell's One API guide and table of errors.  Priority, parts, callbacks and costs are settings of the
integration and not of a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import msgspec
import redis.asyncio

from threelane.contract.message import Message, gateway_time
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES, minutes_left
from threelane.contract.text import Encoding
from threelane.gateways.one.codes import ONE_API
from threelane.worker.gateway import entries, foreign
from threelane.worker.gateway.api import JsonApi
from threelane.worker.gateway.entries import EntryError, Family, decode, entry_error
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.process.settings import AccountSettings

FAMILY = Family(ONE_API, digits=1, by_status=MappingProxyType({402: "20"}))
TOO_MANY, INTERNAL = "22", "18"
_NAMES_OF_AN_ID = ("apiMessageId", "messageId")


class OneGateway(JsonApi):
    """The One API: many messages a request, and only receipts to resolve a doubt."""

    name = "one"
    root = "v1"
    batch_size = 99

    def __init__(self, settings: AccountSettings) -> None:
        """Open the connections; call it on the event loop."""
        super().__init__(settings, {"Authorization": settings.clickatell_api_key.get_secret_value()})

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send up to 99 messages; after a refusal as too many, the next requests have half as many."""
        body = msgspec.json.encode({"messages": [order(one, now, self._most_minutes) for one in messages]})
        reply = await self._request("POST", "message", body)
        if isinstance(reply, AttemptOutcome):
            return [reply] * len(messages)
        outcomes = read_send(reply, messages)
        if all(one.kind is OutcomeKind.REFUSED and one.code == TOO_MANY for one in outcomes):
            self.batch_size = max(1, min(self.batch_size, len(messages) // 2))
        return self._wire.trusting(outcomes)

    async def status(self, gateway_id: str) -> LookUp:
        """Look up by the gateway's id; the API reports no charge."""
        reply = await self._request("GET", f"message/{quote(gateway_id, safe='')}")
        return LookUp.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_status(reply, gateway_id)

    async def balance(self) -> float | str:
        """Return the balance, in the account's currency, or why it is unknown."""
        reply = await self._request("GET", "balance")
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply)


def order(message: Message, now: int, most_minutes: int = GATEWAY_VALIDITY_MINUTES) -> dict[str, Any]:
    """Return one message of ``POST /v1/message``; its text is plain Unicode."""
    fields: dict[str, Any] = {
        "channel": message.channel,
        "to": message.to,
        "content": message.text,
        "clientMessageId": message.id,
        "validityPeriod": minutes_left(message.expires_at, now, most_minutes),
    }
    if message.sender and message.channel == "sms":
        fields["from"] = message.sender
    if message.encoding is Encoding.BINARY:
        fields |= {"content": message.binary, "binary": True}
    if message.udh:
        fields["userDataHeader"] = message.udh
    if at := gateway_time(message, now):  # its offset has no colon
        fields["scheduledDeliveryTime"] = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
    return fields


def read_send(reply: HttpReply, messages: Sequence[Message]) -> list[AttemptOutcome]:
    """Read the response to a request: an entry for each message, or one error for all."""
    answer = decode(reply.body) or {}
    failed, found = entry_error(answer, FAMILY), answer.get("messages")
    if not found:
        return [_of_all(failed, reply)] * len(messages)
    neither = AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {reply.status} entries that match no message")
    if failed or not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return [neither] * len(messages)
    matched = _by_id(found) if any("clientMessageId" in one for one in found) else _by_position(found, messages)
    return [
        entries.read_entry(matched[one.id], one.to, reply, FAMILY) if one.id in matched else neither for one in messages
    ]


def read_status(reply: HttpReply, gateway_id: str) -> LookUp:
    """Read the response to a status look-up: under its channel's name, or at the top level for an unknown id."""
    answer = decode(reply.body) or {}
    holders = [one for one in (answer, *answer.values()) if isinstance(one, dict)]
    statuses = [one["status"] for one in holders if isinstance(one.get("status"), str)]
    if len(statuses) != 1 or entry_error(answer, FAMILY) or not entries.is_yes(reply.status):
        return LookUp(Known.FAILED, text=foreign.beginning(reply))
    if any(entries.names_another(one, name, gateway_id) for one in holders for name in _NAMES_OF_AN_ID):
        return LookUp(Known.FAILED, text="the response names another message")
    name = statuses[0].upper()
    return LookUp(Known.NO_STATUS if name == "UNKNOWN" else Known.FOUND, gateway_id, name[:64])


def read_balance(reply: HttpReply) -> float | str:
    """Read the balance, or why it is unknown."""
    return entries.read_balance(decode(reply.body) or {}, "balance", reply, FAMILY)


def _of_all(failed: EntryError | None, reply: HttpReply) -> AttemptOutcome:
    """Return the outcome of a response without entries; after an internal error the messages may have been sent."""
    if failed is None:
        return foreign.outcome(reply)
    if failed.code == INTERNAL:
        wait = reply.retry_after_seconds
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"{failed.code} {failed.text}", retry_after_seconds=wait)
    return entries.refused(failed, reply, FAMILY)


def _by_id(found: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the entries by our id, without ids that occur twice."""
    ids = [one.get("clientMessageId") for one in found]
    return {name: one for name, one in zip(ids, found, strict=True) if isinstance(name, str) and ids.count(name) == 1}


def _by_position(found: Sequence[Mapping[str, Any]], messages: Sequence[Message]) -> dict[str, Mapping[str, Any]]:
    """Return the entries by position, unless their number or a recipient shows that positions do not match.

    An accepted entry must name its recipient; a refused one need not.
    """
    if len(found) != len(messages):
        return {}
    others = {one.to for one in messages}
    pairs = [(message, entry, entries.recipient(entry)) for message, entry in zip(messages, found, strict=True)]
    if any(named != message.to and named in others for message, _, named in pairs):
        return {}
    return {message.id: entry for message, entry, named in pairs if named == message.to or not entry.get("accepted")}


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:  # noqa: ARG001 - it has no session to share
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return OneGateway(settings)
