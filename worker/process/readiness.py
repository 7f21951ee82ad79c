"""Readiness: why a worker process claims nothing now, each reason by the part that found it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

LOGIN = "login"
"""The part that waits until the gateway accepts the credentials."""
REDIS = "redis"
"""The part that waits for the Redis that stores the records."""
BROKER = "broker"
"""The part that waits for the broker; it only informs, since looks find the messages."""
GATEWAY = "gateway"
"""The part that stopped because only this worker does not reach the gateway."""


class Readiness:
    """The reasons for which this process is not ready: part -> a sentence for the operator; safe for threads.

    A worker is ready when there is no reason.  A part sets its own reason and clears it when the fault is over.
    """

    def __init__(self) -> None:
        """Start without reasons."""
        self._changing = threading.Lock()
        self._reasons: Mapping[str, str] = {}

    @property
    def is_ready(self) -> bool:
        """Whether this process may claim messages."""
        return not self._reasons

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why it may not, by part."""
        return self._reasons

    def wait(self, part: str, reason: str) -> bool:
        """Set the reason of a part; returns whether it is new, so that the caller logs it once."""
        with self._changing:
            is_new = self._reasons.get(part) != reason
            self._reasons = {**self._reasons, part: reason}
        return is_new

    def clear(self, part: str) -> bool:
        """Remove the reason of a part; returns whether it had one."""
        with self._changing:
            had = part in self._reasons
            self._reasons = {name: reason for name, reason in self._reasons.items() if name != part}
        return had


READINESS = Readiness()
"""The readiness of this process."""
