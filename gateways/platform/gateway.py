"""Platform REST: JSON, one message a request; no look-up and no cancel, so only a receipt resolves a doubt.

Source: Clickatell's help page on the Platform's SMS API, and responses in the tests and bug reports of its clients.
Several recipients of a request share one client message id, so each message has its own request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import redis.asyncio

from threelane.contract.message import Message
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES
from threelane.contract.text import Encoding
from threelane.gateways.one import gateway as one
from threelane.worker.gateway import entries, foreign
from threelane.worker.gateway.api import JsonApi
from threelane.worker.gateway.entries import EntryError, Family, decode, entry_error
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.settings import AccountSettings

FAMILY = Family(LEGACY, digits=3, by_status=MappingProxyType({402: "301"}))
# fmt: off
WORDS = {
    "integration api key": "108",  # a wrong key
    "from number":         "106",  # a wrong sender of a two-way setup
    "authentication failed": "001", "ip lockdown": "007",
    "invalid destination": "105", "invalid source": "106", "empty message": "107", "message parts exceeded": "113",
    "cannot route": "114", "number blocked": "121", "opted out": "122", "invalid sender id": "123", "delisted": "128",
    "mt limit": "130", "no credit": "301", "insufficient credit": "301", "insufficient balance": "301",
    "internal error": "901",
}
# fmt: on
"""Errors that come without a number, by words of their text.

The first two are in bug reports of the Platform's clients; the others are the descriptions of the same numbers in the
HTTP API's documents, and the One API's of no balance.
"""


class PlatformGateway(JsonApi):
    """The Platform's REST API: one recipient a request, and only receipts to resolve a doubt."""

    name = "platform"
    batch_size = 1

    def __init__(self, settings: AccountSettings) -> None:
        """Open the connections; call it on the event loop."""
        super().__init__(settings, {"Authorization": settings.clickatell_api_key.get_secret_value()})

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send one message."""
        message = messages[0]
        reply = await self._request("POST", "messages", msgspec.json.encode(order(message, now, self._most_minutes)))
        if isinstance(reply, AttemptOutcome):
            return [reply]
        return self._wire.trusting([read_send(reply, message.to, message.id)])

    async def balance(self) -> float | str:
        """Return the balance, in the account's currency, or why it is unknown."""
        reply = await self._request("GET", "public-client/balance")
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply)


def order(message: Message, now: int, most_minutes: int = GATEWAY_VALIDITY_MINUTES) -> dict[str, Any]:
    """Return the body of ``POST /messages``: the One API's fields of a message, for a list of one recipient."""
    fields = one.order(message, now, most_minutes)
    del fields["channel"]
    if message.encoding is not Encoding.BINARY:
        fields["charset"] = "UTF-8"
    return fields | {"to": [message.to]}


def read_send(reply: HttpReply, to: str, message_id: str = "") -> AttemptOutcome:
    """Read the response to one message: its entry, whatever the HTTP status, or the error of the whole request."""
    answer = decode(reply.body) or {}
    failed, found = entry_error(_numbered(answer), FAMILY), answer.get("messages")
    if not found:
        return _of_all(failed, reply)
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        return foreign.unreadable(reply)
    outcome = entries.read_entry(_numbered(found[0]), to, reply, FAMILY, message_id)
    if failed and outcome.kind is not OutcomeKind.REFUSED:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {reply.status} an entry and an error")
    return outcome


def read_balance(reply: HttpReply) -> float | str:
    """Read the balance, or why it is unknown."""
    return entries.read_balance(_numbered(decode(reply.body) or {}), "balance", reply, FAMILY)


def _of_all(failed: EntryError | None, reply: HttpReply) -> AttemptOutcome:
    """Return the outcome of a response without entries; after an internal error the message may have been sent."""
    if failed is None:
        return foreign.outcome(reply)
    if LEGACY.rule_for(failed.code).look_up_first:
        wait = reply.retry_after_seconds
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"{failed.code} {failed.text}", retry_after_seconds=wait)
    return entries.refused(failed, reply, FAMILY)


def _numbered(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a response or an entry; an error in words alone gets its number, if the words are known."""
    error = holder.get("error")
    if not isinstance(error, str) or holder.get("errorCode") is not None:
        return holder
    code = next((code for words, code in WORDS.items() if words in error.lower()), None)
    return holder if code is None else {**holder, "errorCode": code}


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:  # noqa: ARG001 - it has no session to share
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return PlatformGateway(settings)
