"""The ledger: every accepted message with its charge and statuses, in memory and optionally in a file."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from threelane.sandbox.order import Effects, Order

_DUPLICATES_LISTED: Final = 100
_encode = msgspec.json.Encoder().encode


class LedgerMessage:
    """One message to one recipient."""

    __slots__ = (
        "api_id",
        "charge",
        "copy",
        "earlier",
        "effects",
        "history",
        "id",
        "order",
        "sequence",
        "status",
        "taken_at",
        "to",
    )

    def __init__(
        self,
        sequence: int,
        api_id: str,
        id: str,
        to: str,
        order: Order,
        charge: Decimal,
        effects: Effects,
        at: float,
    ) -> None:
        self.sequence = sequence
        self.api_id = api_id
        self.id = id
        self.to = to
        self.order = order
        self.charge = charge
        self.effects = effects
        self.taken_at = at
        self.status = ""
        self.history: list[tuple[str, float]] = []
        self.earlier: LedgerMessage | None = None  # of the same client id
        self.copy = 1  # 2 for the second acceptance of this client id for this recipient

    def as_json(self) -> dict[str, object]:
        """Returns the entry as the control API shows it."""
        order = self.order
        return {
            "sequence": self.sequence,
            "api": order.api,
            "api_id": self.api_id,
            "client_id": order.client_id,
            "id": self.id,
            "to": self.to,
            "from": order.sender,
            "text": order.text,
            "encoding": order.encoding,
            "parts": order.parts,
            "charge": format(self.charge, "f"),
            "queue": order.queue,
            "callback": order.callback,
            "taken_at": self.taken_at,
            "scheduled_at": order.due_at,
            "status": self.status,
            "history": [{"status": status, "at": at} for status, at in self.history],
            "copy": self.copy,
            "faults": sorted(self.effects.faults),
            "options": order.options,
        }


class Ledger:
    """All messages, in the order they were accepted."""

    __slots__ = ("_by_client_id", "_by_id", "_copies", "_duplicates", "_file", "_parts", "_statuses", "messages")

    def __init__(self, path: Path | None = None) -> None:
        self._file = path.open("ab", buffering=0) if path else None  # unbuffered: a line survives kill -9
        self.clear()

    def clear(self) -> None:
        """Removes every message; the file keeps its lines."""
        self.messages: list[LedgerMessage] = []
        self._by_id: dict[str, LedgerMessage] = {}
        self._by_client_id: dict[str, LedgerMessage] = {}  # the latest of each
        self._duplicates: dict[str, None] = {}  # client ids accepted twice for one recipient, in that order
        self._copies: Counter[int] = Counter()  # how many messages were the first, second, third... copy
        self._statuses: Counter[str] = Counter()
        self._parts = 0

    def close(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()

    def enter(self, message: LedgerMessage, status: str) -> None:
        """Enters an accepted message."""
        client_id = message.order.client_id
        if client_id:
            message.earlier = self._by_client_id.get(client_id)
            message.copy += sum(other.to == message.to for other in _chain(message.earlier))
            if message.copy > 1:
                self._duplicates[client_id] = None
                self._copies[message.copy] += 1
            self._by_client_id[client_id] = message
        message.status = status
        message.history.append((status, message.taken_at))
        self.messages.append(message)
        self._by_id[message.id] = message
        self._statuses[status] += 1
        self._parts += message.order.parts
        if self._file:
            self._write({"event": "message", **message.as_json()})

    def move(self, message: LedgerMessage, status: str, now: float) -> None:
        """Moves a message to a status."""
        self._statuses[message.status] -= 1
        self._statuses[status] += 1
        message.status = status
        message.history.append((status, now))
        if self._file:
            self._write(
                {
                    "event": "status",
                    "id": message.id,
                    "client_id": message.order.client_id,
                    "to": message.to,
                    "status": status,
                    "charge": format(message.charge, "f"),
                    "at": now,
                }
            )

    def by_id(self, id: str) -> LedgerMessage | None:
        """Returns the message with that gateway id."""
        return self._by_id.get(id)

    def copies(self, client_id: str) -> Iterator[LedgerMessage]:
        """Yields the messages with that client id, the latest first."""
        return _chain(self._by_client_id.get(client_id))

    def select(self, client_id: str | None = None, to: str | None = None) -> Iterable[LedgerMessage]:
        """Returns the messages of a client id, a recipient, both or neither, oldest first."""
        found: Iterable[LedgerMessage] = self.messages
        if client_id is not None:
            found = reversed(list(_chain(self._by_client_id.get(client_id))))
        return found if to is None else (message for message in found if message.to == to)

    def summary(self) -> dict[str, object]:
        """Returns the counts over all messages, in constant time."""
        return {
            "messages": len(self.messages),
            "parts": self._parts,
            "by_status": {status: count for status, count in sorted(self._statuses.items()) if count},
            "duplicates": len(self._duplicates),
            "duplicate_client_ids": list(self._duplicates)[:_DUPLICATES_LISTED],
            "copies": {str(copy): count for copy, count in sorted(self._copies.items())},
        }

    def _write(self, entry: dict[str, object]) -> None:
        assert self._file is not None
        self._file.write(_encode(entry) + b"\n")


def _chain(message: LedgerMessage | None) -> Iterator[LedgerMessage]:
    while message:
        yield message
        message = message.earlier
