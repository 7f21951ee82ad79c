"""Delivery: one event on its way to one webhook, as stored in Redis."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from threelane.store.keys import DeliveriesKey, DeliveryKey
from threelane.store.scripts import number, script


class Delivery(msgspec.Struct, frozen=True):
    """The event's JSON, byte for byte as posted, the number of tries, and why the last one failed."""

    event: msgspec.Raw
    tries: int = 0
    reason: str = ""

    def failed(self, reason: str) -> Delivery:
        """Return the delivery after one more failed try."""
        return Delivery(self.event, self.tries + 1, reason)

    def wait_ms(self, delays_seconds: Sequence[float]) -> int | None:
        """Return how long to wait before the next try; None if there is none left."""
        return int(delays_seconds[self.tries - 1] * 1000) if self.tries <= len(delays_seconds) else None


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Delivery).decode


@script(__file__, number)
def shift(
    *,
    source: DeliveriesKey,
    target: DeliveriesKey,
    contents: DeliveryKey,
    id: str,
    was: str,
    content: str,
    score: int,
) -> None:
    """Move a delivery to another set or time; returns 1, or 0 if it changed meanwhile."""
