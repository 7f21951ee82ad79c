"""Delivery: one event on its way to one webhook, as it stands in Redis."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from threelane.store.keys import DeliveriesKey, DeliveryKey
from threelane.store.scripts import number, script


class Delivery(msgspec.Struct, frozen=True):
    """The event's JSON, byte for byte as it is posted; how often it was tried, and why that failed last."""

    event: msgspec.Raw
    tries: int = 0
    reason: str = ""

    def failed(self, reason: str) -> Delivery:
        """Return it after one more try."""
        return Delivery(self.event, self.tries + 1, reason)

    def wait_ms(self, delays_seconds: Sequence[float]) -> int | None:
        """Return how long to wait before the next try; None when there is none left."""
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
    """Shift a delivery to another set or time; returns 1, or 0 when somebody changed it meanwhile."""
