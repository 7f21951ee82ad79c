"""Attempts: each recipient of each send request, accepted or refused, with the result returned."""

from collections import Counter, deque
from typing import Final, NamedTuple

_KEPT: Final = 100_000


class Attempt(NamedTuple):
    """One attempt to send to one recipient; `id` is empty unless accepted, `code` unless an error was answered."""

    at: float
    api: str
    client_id: str
    to: str
    id: str = ""
    code: str = ""
    text: str = ""
    fault: str = ""  # the transport fault injected, if any

    def as_json(self) -> dict[str, object]:
        """Returns the attempt as the control API shows it."""
        result = f"ERR: {self.code}, {self.text}" if self.code else f"ID: {self.id}" if self.id else ""
        return {
            "at": self.at,
            "api": self.api,
            "client_id": self.client_id,
            "to": self.to,
            "id": self.id or None,
            "code": self.code or None,
            "fault": self.fault or None,
            "answer": result,
        }


class AttemptLog:
    """The latest 100,000 attempts, and the number of refusals by code since the last reset."""

    __slots__ = ("_kept", "refused")

    def __init__(self) -> None:
        self._kept: deque[Attempt] = deque(maxlen=_KEPT)
        self.refused: Counter[str] = Counter()

    def clear(self) -> None:
        """Removes every attempt."""
        self._kept.clear()
        self.refused.clear()

    def add(self, attempt: Attempt) -> None:
        """Records an attempt."""
        self._kept.append(attempt)
        if attempt.code:
            self.refused[attempt.code] += 1

    def select(self, client_id: str | None = None, to: str | None = None) -> list[Attempt]:
        """Returns the attempts of a client id, a recipient, both or neither, oldest first."""
        return [
            attempt
            for attempt in self._kept
            if (client_id is None or attempt.client_id == client_id) and (to is None or attempt.to == to)
        ]
