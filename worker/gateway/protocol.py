"""Protocol: the interface of a gateway; a new provider is one more folder that declares one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from threelane.contract.message import Message
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, LookUp, Payment
from threelane.worker.policy.rule import Table


class Gateway(Protocol):
    """Sends messages through one provider; no method raises for a network or gateway failure."""

    name: str
    batch_size: int
    """The most messages in one request; it may shrink if the gateway rejects a request as too large."""
    can_look_up: bool
    """Whether a message can be looked up by our id; if not, only its receipt resolves a doubt."""
    can_cancel_by_our_id: bool
    """Whether a message whose gateway id is unknown can be stopped."""
    look_ups_per_request: int
    """The most messages that one request looks up; it may shrink if the gateway does not answer for each."""

    @property
    def table(self) -> Table:
        """The policy table of its codes."""
        ...

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send up to batch_size messages in one request; returns one outcome each, in order."""
        ...

    async def look_up(self, message_id: str) -> LookUp:
        """Look up a message by our id: its status and charge; or NO_LOOK_UP."""
        ...

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        """Look up messages by our ids, in as few requests as the API allows; returns one result each, in order."""
        ...

    async def status(self, gateway_id: str) -> LookUp:
        """Look up a message by the gateway's id: its status and, if reported, its charge; or NO_STATUS_QUERY."""
        ...

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that the gateway still holds; or NO_CANCEL."""
        ...

    async def cancel_by_our_id(self, message_id: str) -> Cancellation:
        """Stop a message that the gateway may hold, by our id; or NO_CANCEL_BY_OUR_ID."""
        ...

    async def coverage(self, msisdn: str) -> Coverage:
        """Query whether a number can be reached; or NO_COVERAGE."""
        ...

    async def pay(self, token: str) -> Payment:
        """Redeem a voucher; or NO_PAYMENT."""
        ...

    async def balance(self) -> float | str:
        """Return the credits left, or why they are unknown; or NO_BALANCE."""
        ...

    async def keep_alive(self) -> None:
        """Keep a shared session alive, if there is one; called once a minute."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
