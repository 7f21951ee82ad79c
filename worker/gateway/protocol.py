"""Protocol: what any gateway must be able to do; a new provider is one more folder that declares one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from threelane.contract.message import Message
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, LookUp, Payment
from threelane.worker.policy.rule import Table


class Gateway(Protocol):
    """A way to send messages; no method raises for what a network or a gateway may do."""

    name: str
    batch_size: int
    """How many messages go in one request; it may shrink if the gateway says that they were too many."""
    can_look_up: bool
    """Whether a message can be asked for by our id; if not, only its receipt resolves a doubt."""

    @property
    def table(self) -> Table:
        """What its codes mean."""
        ...

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Put up to batch_size messages to the gateway in one request; one outcome each, in order."""
        ...

    async def look_up(self, message_id: str) -> LookUp:
        """Ask for a message by our id: what is known of it, and its charge; or NO_LOOK_UP."""
        ...

    async def status(self, gateway_id: str) -> LookUp:
        """Ask for a message by the gateway's id: its status and, where the API tells it, its charge."""
        ...

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that the gateway still holds; or NO_CANCEL."""
        ...

    async def coverage(self, msisdn: str) -> Coverage:
        """Ask whether a number can be reached; or NO_COVERAGE."""
        ...

    async def pay(self, token: str) -> Payment:
        """Pay a voucher in; or NO_PAYMENT."""
        ...

    async def balance(self) -> float | str:
        """Return the credits left, or why they cannot be told."""
        ...

    async def keep_alive(self) -> None:
        """Keep a shared session alive, if there is one; called now and then."""
        ...

    async def close(self) -> None:
        """Give all connections back."""
        ...
