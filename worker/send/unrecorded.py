"""Unrecorded: the messages that this process claimed and whose results are not in Redis yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from threelane.worker.send.claim import Claimed


class Unrecorded:
    """Keeps the claims without a recorded result; safe for threads.

    When the process ends, they are the work that was cut off: their leases lapse, and other workers look them up.
    """

    def __init__(self) -> None:
        """Start without claims."""
        self._changing = threading.Lock()
        self._tokens: set[str] = set()

    def add(self, claims: Iterable[Claimed]) -> None:
        """Note claims."""
        with self._changing:
            self._tokens.update(one.token for one in claims)

    def remove(self, claims: Iterable[Claimed]) -> None:
        """Note that their results are recorded, or that other workers have looked them up by now."""
        with self._changing:
            self._tokens.difference_update(one.token for one in claims)

    def has_any(self) -> bool:
        """Return whether there is one."""
        return bool(self._tokens)
